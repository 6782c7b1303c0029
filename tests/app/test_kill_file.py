"""Whatever lies there as KILL stops the book, once, and again when it is put back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from monitor.app.kill_file import SETTLED_NS, KillFile
from tests.file_modes import file_modes_bind

OLD_NS = 1_700_000_000 * 1_000_000_000


def left(folder: Path, content: bytes = b"") -> Path:
    """A KILL file of some time ago."""
    path = folder / "KILL"
    path.write_bytes(content)
    os.utime(path, ns=(OLD_NS, OLD_NS))
    return path


NOW_NS = OLD_NS + 3600 * SETTLED_NS


def test_one_file_is_one_request(tmp_path: Path) -> None:
    """However often it is looked at, and in another process as well."""
    path = left(tmp_path, b'{"level": "flatten"}')
    file = KillFile(path)
    assert file.exists()
    first = file.look(NOW_NS)
    assert first is not None
    assert first.level == "flatten"
    assert file.look(NOW_NS) is None
    again = KillFile(path).look(NOW_NS)
    assert again is not None
    assert again.id == first.id


def test_put_back_it_is_another_request(tmp_path: Path) -> None:
    """Moved away and back with its old time, too."""
    path = left(tmp_path)
    file = KillFile(path)
    first = file.look(NOW_NS)
    path.rename(tmp_path / "away")
    assert file.look(NOW_NS) is None
    assert not file.exists()
    (tmp_path / "away").rename(path)
    second = file.look(NOW_NS)
    assert first is not None
    assert second is not None
    assert second.id != first.id


def test_a_file_that_is_being_written_is_looked_at_again(tmp_path: Path) -> None:
    """`cat > KILL` makes an empty one first."""
    file = KillFile(left(tmp_path))
    assert file.look(OLD_NS + SETTLED_NS - 1) is None
    assert file.look(OLD_NS + SETTLED_NS) is not None


@pytest.mark.parametrize("kind", ["pipe", "folder", "dangling link"])
def test_what_is_no_file_is_a_halt_and_blocks_nothing(tmp_path: Path, kind: str) -> None:
    """Somebody wants the book stopped."""
    path = tmp_path / "KILL"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nowhere")
    request = KillFile(path).look(path.lstat().st_mtime_ns + SETTLED_NS)
    assert request is not None
    assert (request.scope, request.level) == ("portfolio", "halt")


def test_one_that_cannot_be_read_works_each_time(tmp_path: Path) -> None:
    """`sudo touch` with a strict mask, at the second incident too."""
    ids = []
    for _ in range(2):
        path = left(tmp_path, b"secret")
        path.chmod(0)
        with file_modes_bind():
            request = KillFile(path).look(NOW_NS)
        assert request is not None
        assert request.level == "halt"
        ids.append(request.id)
        path.unlink()
    assert ids[0] != ids[1]
