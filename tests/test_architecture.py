"""The floors and the purity of ``design.md`` §4, enforced by walking every import.

A module may import its own room and the rooms on the floors below; rooms on the same floor never
import each other. Pure rooms reach for no clock, socket, randomness, environment or log.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "monitor"

FLOORS: tuple[frozenset[str], ...] = (
    frozenset({"core"}),
    frozenset({"observability", "venues", "oracles", "rulebook"}),
    frozenset({"runtime"}),
    frozenset(
        {"chains", "actions", "notify", "store", "server", "sim", "stress", "backtest"},
    ),
    frozenset({"config"}),
    frozenset({"app"}),
    frozenset({"cli"}),
    frozenset({"__main__"}),
)
PURE = (
    "core", "venues", "oracles", "notify/alerts.py", "notify/blindness.py", "notify/book.py",
    "notify/dispatch.py", "notify/folding.py", "notify/notice.py", "notify/queue.py",
)  # fmt: skip
IMPURE_MODULES = frozenset(
    {
        "aiohttp", "asyncio", "datetime.now", "logging", "multiprocessing", "os", "pathlib",
        "prometheus_client", "random", "secrets", "selectors", "signal", "socket", "sqlite3",
        "structlog", "subprocess", "tenacity", "threading", "time", "urllib.request", "uuid",
        "uvloop", "websockets",
    },
)  # fmt: skip


def modules() -> list[Path]:
    """Every Python file of the package."""
    return sorted(ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    """The first-level folder (or module) a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def subroom_of(path: Path) -> str | None:
    """The venue (or chain family, or simulated venue) folder, where siblings are kept apart."""
    parts = path.relative_to(ROOT).parts
    return parts[1] if parts[0] in {"venues", "chains"} and len(parts) > 2 else None


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything imported; ``from a import b`` gives ``a.b``."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def floor_of(room: str) -> int:
    """How high a room lies; unknown rooms are an error of the design."""
    for height, rooms in enumerate(FLOORS):
        if room in rooms:
            return height
    pytest.fail(f"monitor/{room} stands on no floor of design.md §4")


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_only_go_down(path: Path) -> None:
    """Upward and sideways imports are refused."""
    room = room_of(path)
    if room == "__init__":
        return
    wrong = []
    for line, name in imports_of(path):
        parts = name.split(".")
        if parts[0] != "monitor" or len(parts) < 2:
            continue
        other = parts[1]
        if other == "__version__":
            continue
        if other == room:
            mine = subroom_of(path)
            if mine and len(parts) > 3 and parts[2] != mine:
                wrong.append(f"{path}:{line} imports its sibling {name}")
        elif floor_of(other) >= floor_of(room):
            wrong.append(f"{path}:{line} imports {name} from its own floor or above")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_pure_rooms_touch_nothing(path: Path) -> None:
    """No clock, network, environment, logging or randomness where decisions are made."""
    relative = str(path.relative_to(ROOT))
    if not relative.startswith(PURE):
        return
    wrong = [
        f"{path}:{line} imports {name}"
        for line, name in imports_of(path)
        if any(name == bad or name.startswith(f"{bad}.") for bad in IMPURE_MODULES)
    ]
    assert not wrong, "\n".join(wrong)


def test_simulators_share_no_codec_with_the_venues() -> None:
    """Two independent implementations of each wire format must meet only on the wire."""
    wrong = [
        f"{path}:{line} imports {name}"
        for path in modules()
        if room_of(path) == "sim"
        for line, name in imports_of(path)
        if name.startswith("monitor.venues")
    ]
    assert not wrong, "\n".join(wrong)
