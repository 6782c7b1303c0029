"""``riskd demo`` on a terminal: keys act at once, and however it ends nothing stays behind."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.cli.children import die_with_parent
from monitor.cli.keys import KEYS, Keyboard
from monitor.cli.main import main
from monitor.cli.pager import Alertmanager
from tests.file_modes import file_modes_bind

WAIT_S = 60.0  # two cores may be shared with other work
LIVES = "keys: 1 outage"
STORY_SPEED = 15  # of what people are shown while somebody acts, several times
STORY_WAIT_S = 240.0
# In this order, whatever else is told between.
STORY = (
    "KILL   LATCHED: cut venue:hyperliquid to 95 % of $",
    "KILL   cancels what adds risk at hyperliquid/main: buy 5.0 ETH. Stops that protect stay.",
    "KILL   plans on positions read again: sell ",
    "HYPE at ",
    "KILL   CONTAINED: venue:hyperliquid, ",
    "world  Hyperliquid begins to refuse",
    "desk   $ riskd kill --scope asset:HYPE --level flatten",
    "KILL   LATCHED: flatten asset:HYPE",
    "KILL   INCOMPLETE: asset:HYPE, ",
    "world  Hyperliquid takes orders again.",
    "KILL   CONTAINED: asset:HYPE, ",
    "desk   $ riskd rearm --scope asset:HYPE",
    "Left undone: nothing.",
    "or clear venue:hyperliquid (CUT).",
    "desk   $ riskd rearm --confirm ",
    "KILL   CLEARED: asset:HYPE by ",
)
RECORD = (
    "audit  report of trip trip-",
    "audit  report of trip trip-",
    "audit  riskd audit verify: ",
    "`riskd demo --keep DIR` keeps it to read.",
)


class Terminal:
    """The demo on a terminal of its own, as a person has it."""

    def __init__(self, temporary: Path, *flags: str) -> None:
        self.temporary = temporary
        self.told = ""
        self._ours, self._theirs = pty.openpty()
        self.before = termios.tcgetattr(self._theirs)
        self._die = die_with_parent()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "monitor", "demo", "--port=0", *flags],
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            start_new_session=True,
            preexec_fn=self._take,  # noqa: PLW1509 - this test starts no threads
            env={"PATH": os.environ["PATH"], "TMPDIR": str(temporary), "LANG": "C.UTF-8"},
        )

    def _take(self) -> None:
        """In the child: this terminal becomes its controlling one, so that Ctrl-C is a signal."""
        os.close(os.open(os.ttyname(self._theirs), os.O_RDWR))
        if self._die is not None:
            self._die()

    def type(self, keys: str) -> None:
        """Keys, all at once."""
        os.write(self._ours, keys.encode())

    def until(self, *texts: str, wait_s: float = WAIT_S) -> None:
        """Until all of this was shown; fails when the demo ends before."""
        deadline_s = time.monotonic() + wait_s
        while not all(text in self.told for text in texts):
            assert time.monotonic() < deadline_s, self.told[-3000:]
            ready, _, _ = select.select([self._ours], [], [], 0.2)
            if ready:
                self.told += os.read(self._ours, 65536).decode("utf-8", "replace")
            else:
                assert self.process.poll() is None, self.told[-3000:]

    def ended(self) -> int:
        """Its exit code, its last words read meanwhile."""
        deadline_s = time.monotonic() + WAIT_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline_s, self.told[-3000:]
            if self._ours >= 0 and select.select([self._ours], [], [], 0.1)[0]:
                self.told += os.read(self._ours, 65536).decode("utf-8", "replace")
        return self.process.wait()

    def after(self) -> list[object]:
        """How the terminal is set now."""
        return list(termios.tcgetattr(self._theirs))

    def hang_up(self) -> None:
        """The window is closed."""
        os.close(self._ours)
        self._ours = -1

    def close(self) -> None:
        """End it, whatever happened."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for number in (self._ours, self._theirs):
            if number >= 0:
                os.close(number)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A running demo, told to have begun."""
    shown = Terminal(tmp_path)
    try:
        shown.until(LIVES)
        yield shown
    finally:
        shown.close()


def processes_of(folder: Path, *, wait_s: float = 10.0) -> list[str]:
    """Command lines that name the folder, once there is none or after ``wait_s``."""
    deadline_s = time.monotonic() + wait_s
    while True:
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue  # ended meanwhile
            if str(folder) in words:
                found.append(words)
        if not found or time.monotonic() > deadline_s:
            return found
        time.sleep(0.05)  # the kernel does not tell


@pytest.mark.component
def test_every_key_acts_at_once_and_q_ends(terminal: Terminal) -> None:
    """All fault keys in one burst, then h, then q: nothing waits for Enter or for the next key."""
    terminal.type("".join(KEYS))
    terminal.until(*(text for text, _ in KEYS.values()))
    terminal.type("h")
    terminal.until("healed everything.")
    terminal.type("q")
    assert terminal.ended() == 0, terminal.told
    assert "Traceback" not in terminal.told
    assert terminal.after() == terminal.before
    assert processes_of(terminal.temporary) == []
    assert list(terminal.temporary.iterdir()) == []


@pytest.mark.component
def test_ctrl_c_ends_in_order(terminal: Terminal) -> None:
    """Exit code 0, the terminal as before, no process and no file left."""
    terminal.type("\x03")
    assert terminal.ended() == 0, terminal.told
    assert "Traceback" not in terminal.told
    assert terminal.after() == terminal.before
    assert processes_of(terminal.temporary) == []
    assert list(terminal.temporary.iterdir()) == []


@pytest.mark.component
@pytest.mark.parametrize("how", ["closed", "told, then closed", "closed at the last words"])
def test_a_closed_window_ends_it_in_order(how: str, terminal: Terminal) -> None:
    """SIGHUP, from the kernel too, is like SIGTERM: exit code 0 and nothing left, whether somebody
    hears the last words, nobody does, or the window closes after them."""
    if how != "closed":
        terminal.process.send_signal(signal.SIGHUP)
    if how == "closed at the last words":
        terminal.until("That was the demo.")
    terminal.hang_up()
    assert terminal.ended() == 0
    assert processes_of(terminal.temporary) == []
    assert list(terminal.temporary.iterdir()) == []


@pytest.mark.component
def test_the_kill_switch_has_its_part_in_the_story(tmp_path: Path) -> None:
    """Storm, page, cancels, cut, proof; then a person's pull that the venue refuses, INCOMPLETE,
    CONTAINED, and the way back in two steps; at the end reports and a record that is whole."""
    shown = Terminal(tmp_path, f"--speed={STORY_SPEED}")
    try:
        shown.until(STORY[-1], wait_s=STORY_WAIT_S)
        signers = [words for words in processes_of(tmp_path, wait_s=0.0) if " signer " in words]
        assert len(signers) == 1, "the signer is a process of its own"
        shown.type("q")
        assert shown.ended() == 0, shown.told
    finally:
        shown.close()
    lines = iter(shown.told.splitlines())
    for text in (*STORY, *RECORD):
        assert any(text in line for line in lines), f"{text}: not told in its turn\n{shown.told}"
    # How soon a page arrives is the pager's: only that it does.
    for page in ("critical: CUT venue:hyperliquid to 95 %", "critical: FLATTEN asset:HYPE"):
        assert f"PAGE   {page}" in shown.told
    assert "Traceback" not in shown.told
    assert processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


async def test_a_terminal_that_is_gone_has_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may close at any moment, so also before the first key is waited for."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(stdin, "isatty", lambda: True)  # it was when that was asked
        os.close(ours)
        async with Keyboard():
            pass


@pytest.mark.component
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_its_alertmanager_dies_with_it(terminal: Terminal) -> None:
    """Even when the demo is killed and can end nothing."""
    if Alertmanager.binary() is None:
        pytest.skip("no Alertmanager here; tests/install-components installs it")
    before = processes_of(terminal.temporary, wait_s=0.0)
    assert any("--storage.path" in words for words in before)
    terminal.process.kill()
    terminal.process.wait()
    assert processes_of(terminal.temporary) == []


@pytest.mark.component
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_its_signer_dies_with_it(terminal: Terminal) -> None:
    """Whoever holds a key never outlives the demo, even one that is killed and can end nothing."""
    before = processes_of(terminal.temporary, wait_s=0.0)
    assert any(" signer " in words for words in before)
    terminal.process.kill()
    terminal.process.wait()
    assert processes_of(terminal.temporary) == []


@pytest.mark.parametrize("verb", ["demo", "sim"])
@pytest.mark.parametrize("speed", ["0", "-1", "nan", "inf", "fast", "1001"])
def test_a_speed_is_a_number_above_zero(
    verb: str, speed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused in a sentence before anything is made."""
    with pytest.raises(SystemExit) as ended:
        main([verb, f"--speed={speed}"])
    assert ended.value.code == 2
    assert "a speed is a number above 0" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["a-file", "a-file/below", "closed/below"])
def test_a_directory_that_cannot_be_kept_in(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence with the flag and why."""
    (tmp_path / "a-file").write_text("")
    (tmp_path / "closed").mkdir(mode=0o500)
    with file_modes_bind():
        assert main(["demo", f"--keep={tmp_path / place}"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"--keep {tmp_path / place}: store and journal cannot be kept there")
    assert told.count("\n") == 1
