"""Child processes that cannot outlive the program that started them.

``finally`` and signal handlers end a child in every orderly case, but nothing runs after SIGKILL
(an impatient task manager, the kernel short of memory). There Linux itself can do it: a process may
ask to be killed when its parent dies. Elsewhere the child then stays.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent() -> Callable[[], None] | None:
    """A ``preexec_fn`` after which the child is killed when this process dies; None elsewhere.

    To be called in the process that starts the child, from its main thread: the kernel watches the
    thread that forked.
    """
    if not sys.platform.startswith("linux"):
        return None
    # All that could take a lock happens before the fork.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def in_child() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died between the fork and the line above
            os._exit(1)

    return in_child
