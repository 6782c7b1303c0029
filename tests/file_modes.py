"""File modes that bind root too, so that tests of what cannot be written run as any user.

Root may write everywhere because of one capability (``CAP_DAC_OVERRIDE``, capabilities(7)). It is
put down for a moment and taken up again; only the calling thread is concerned.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h
CAP_DAC_OVERRIDE = 1
_Header = ctypes.c_uint32 * 2  # version, thread (0: this one)
_Sets = ctypes.c_uint32 * 6  # effective, permitted, inheritable; then their upper halves


@contextmanager
def file_modes_bind() -> Iterator[None]:
    """Within, this thread may write only what the modes of files and folders say."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, held = _Header(CAPABILITY_VERSION_3, 0), _Sets()
    _checked(libc.capget(header, held))
    lowered = _Sets(*held)
    lowered[0] &= ~(1 << CAP_DAC_OVERRIDE)
    _checked(libc.capset(header, lowered))
    try:
        yield
    finally:
        _checked(libc.capset(header, held))


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
