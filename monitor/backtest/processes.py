"""One run in several processes: each takes some of the arms through the whole history.

Arms meet nowhere, so the parts put together are the run, byte for byte. Children are forks: they
have all that was read, and send back only what came of their arms.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection
from multiprocessing.context import ForkContext
from types import TracebackType

from monitor.backtest.judge import Ruling
from monitor.backtest.run import (
    Part,
    Progress,
    Result,
    Task,
    Told,
    arm_names,
    in_order,
    join,
    walk_first,
    walk_part,
)
from monitor.core.errors import MonitorError

STEPS = 200  # a child says so often how far it is


def can_fork() -> bool:
    """Whether this system makes a process by copying one."""
    return "fork" in multiprocessing.get_all_start_methods()


def run_backtest(
    task: Task,
    *,
    tell: Callable[[str, Ruling], None],
    progress: Progress = lambda _done, _whole: None,
    jobs: int = 1,
) -> Result:
    """Run every arm over the whole history in up to ``jobs`` processes; ``tell`` gets (arm, ruling)
    of each ruling that has news, in order of hours and arms: at once with one process, in the end
    with more. ``progress`` gets hours that every arm has behind it, of how many.

    Raises:
        MonitorError: If a process died.
    """
    names = arm_names(task)
    rulings = dict.fromkeys(names, 0)

    def count(one: Told) -> None:
        rulings[one[1]] += len(one[2].transitions)
        tell(one[1], one[2])

    groups = _groups(len(names), jobs if can_fork() else 1)
    if len(groups) == 1:
        result = walk_first(task, groups[0], tell=count, progress=progress)
    else:
        result = _together(task, groups, count, progress)
    result.rulings = {name: number for name, number in rulings.items() if number}
    return result


def _groups(arms: int, jobs: int) -> list[list[int]]:
    """Which arms each process takes. The first takes one: it has the plain books beside it."""
    if jobs <= 1 or arms <= 1:
        return [list(range(arms))]
    rest = list(range(1, arms))
    others = min(jobs - 1, len(rest))
    return [[0], *(rest[number::others] for number in range(others))]


def _together(
    task: Task, groups: Sequence[Sequence[int]], tell: Callable[[Told], None], progress: Progress
) -> Result:
    whole = task.history.hours
    with ExitStack() as stack:
        children = [stack.enter_context(_Child(task, places)) for places in groups[1:]]
        own = 0

        def followed(done: int, _whole: int) -> None:
            nonlocal own
            own = done
            for child in children:
                child.listen()
            progress(min(own, *(child.done for child in children)), whole)

        told: list[Told] = []
        result = walk_first(task, groups[0], tell=told.append, progress=followed)
        parts = [child.result(lambda: followed(whole, whole)) for child in children]
    for one in in_order([*told, *(one for part in parts for one in part.told)], arm_names(task)):
        tell(one)
    return join(result, parts)


class _Child:
    """A process that takes some arms; gone when its ``with`` ends, whatever became of it."""

    def __init__(self, task: Task, places: Sequence[int]) -> None:
        context: ForkContext = multiprocessing.get_context("fork")
        self._receiver, self._sender = context.Pipe(duplex=False)
        self._process = context.Process(target=_take, args=(self._sender, task, places))
        self._part: Part | None = None
        self.done = 0

    def __enter__(self) -> _Child:
        self._process.start()
        self._sender.close()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._receiver.close()
        if self._part is None:
            self._process.terminate()
        self._process.join()

    def listen(self) -> None:
        """Take what it has said so far."""
        while self._part is None and self._receiver.poll():
            self._hear()

    def result(self, told: Callable[[], None]) -> Part:
        """Wait for what came of its arms; ``told`` is called when it is further.

        Raises:
            MonitorError: If it died.
        """
        while self._part is None:
            self._hear()
            told()
        return self._part

    def _hear(self) -> None:
        try:
            said: int | Part = self._receiver.recv()
        except EOFError as error:
            raise MonitorError("A process of the backtest died: see above, or --jobs 1.") from error
        if isinstance(said, Part):
            self._part = said
        else:
            self.done = said


def _take(sender: Connection, task: Task, places: Sequence[int]) -> None:
    """What the child does; what it raises is printed by it and ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it ends it

    def say(done: int, whole: int) -> None:
        if done * STEPS // whole != (done - 1) * STEPS // whole:
            sender.send(done)

    sender.send(walk_part(task, places, progress=say))
    sender.close()
