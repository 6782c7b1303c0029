"""The floors and the purity of ``design.md`` §4, enforced by walking every import.

A module may import its own room and the rooms on the floors below; rooms on the same floor never
import each other. Pure rooms reach for no clock, socket, randomness, environment or log.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
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
PURE_ROOMS = ("core", "venues", "oracles")  # whole; elsewhere a module says it of itself
IMPURE_MODULES = frozenset(
    {
        "aiohttp", "asyncio", "logging", "multiprocessing", "os", "pathlib",
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


def is_own_file(room: str, name: str) -> bool:
    """True where ``name`` is a file of the room itself, which its folders share."""
    return (ROOT / room / f"{name}.py").exists()


@cache
def imports_of(path: Path) -> tuple[tuple[int, str], ...]:
    """(line, dotted name) of everything imported; ``from a import b`` gives ``a.b``."""
    return tuple(_imports_of(path))


def _imports_of(path: Path) -> Iterator[tuple[int, str]]:
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
            if mine and len(parts) > 2 and parts[2] != mine and not is_own_file(other, parts[2]):
                wrong.append(f"{path}:{line} imports its sibling {name}")
        elif floor_of(other) >= floor_of(room):
            wrong.append(f"{path}:{line} imports {name} from its own floor or above")
    assert not wrong, "\n".join(wrong)


def is_pure(path: Path) -> bool:
    """Of a pure room, or a module whose docstring says *Pure.*"""
    if room_of(path) in PURE_ROOMS:
        return True
    source = path.read_text()
    return "*Pure.*" in source and "*Pure.*" in (ast.get_docstring(ast.parse(source)) or "")


PURE = [path for path in modules() if is_pure(path)]
# Asking a date for the present is reading a clock, whatever it was imported as.
CLOCK_CALLS = frozenset({"now", "utcnow", "today"})
CLOCK_TYPES = frozenset({"datetime", "date"})


@pytest.mark.parametrize("path", PURE, ids=lambda p: str(p.relative_to(ROOT)))
def test_pure_modules_touch_nothing(path: Path) -> None:
    """No clock, network, environment, logging or randomness where decisions are made."""
    wrong = [
        f"{path}:{line} imports {name}"
        for line, name in imports_of(path)
        if any(name == bad or name.startswith(f"{bad}.") for bad in IMPURE_MODULES)
    ]
    wrong += [f"{path}:{line} reads the clock" for line in clock_reads(path.read_text())]
    assert not wrong, "\n".join(wrong)


def clock_reads(source: str) -> list[int]:
    """Lines with ``datetime.now(…)`` and its like."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CLOCK_CALLS
        and ast.unparse(node.func.value).rpartition(".")[2] in CLOCK_TYPES
    ]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("datetime.now(tz=UTC)", [1]),
        ("import datetime as dt\ndt.datetime.utcnow()", [2]),
        ("date.today()", [1]),
        ("clock.now()", []),
        ("datetime.fromtimestamp(0, tz=UTC)", []),
    ],
)
def test_reading_the_clock_is_recognised(source: str, found: list[int]) -> None:
    """And the clock that is handed in is not."""
    assert clock_reads(source) == found


def test_what_claims_to_be_pure_is_checked() -> None:
    """Beyond the pure rooms, too: the list is not empty by mistake."""
    rooms = {room_of(path) for path in PURE}
    assert {"core", "venues", "notify", "server", "actions", "app", "config"} <= rooms


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
