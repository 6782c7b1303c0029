"""Reading single values of a scenario file: words, numbers, lengths of time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

import yaml

Value = str | float | tuple[str, ...]
Values = Mapping[str, Value]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h)?\Z")
_UNIT_S = {None: 1.0, "s": 1.0, "m": 60.0, "h": 3_600.0}


class WrongError(Exception):
    """A value that does not fit; carries what would."""

    def __init__(self, message: str, *, allowed: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.allowed = tuple(allowed)


Reader = Callable[[yaml.Node], Value]


def _scalar(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise WrongError("A single value is needed here.")
    return str(node.value)


def read_text(node: yaml.Node) -> str:
    """Any text that is not empty."""
    text = " ".join(_scalar(node).split())
    if not text:
        raise WrongError("Some text is needed here.")
    return text


def read_duration(node: yaml.Node) -> float:
    """Seconds."""
    match = _DURATION.match(_scalar(node))
    if match is None:
        raise WrongError("This is no length of time.", allowed=("30", "30s", "2m", "1h"))
    return float(match.group(1)) * _UNIT_S[match.group(2)]


def read_offset(node: yaml.Node) -> float:
    """Seconds, below zero with a minus: how far a clock is ahead."""
    text = _scalar(node)
    node = yaml.ScalarNode(node.tag, text.removeprefix("-"))
    return -read_duration(node) if text.startswith("-") else read_duration(node)


def number_between(low: float, high: float) -> Reader:
    """A reader of numbers from ``low`` to ``high``."""

    def read(node: yaml.Node) -> float:
        try:
            value = float(_scalar(node))
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise WrongError("This number does not fit.", allowed=(f"{low:g} to {high:g}",))
        return value

    return read


def one_of(names: Iterable[str]) -> Reader:
    """A reader of one name out of a closed set."""
    known = tuple(names)

    def read(node: yaml.Node) -> str:
        value = _scalar(node)
        if value not in known:
            raise WrongError("This name is not known.", allowed=known)
        return value

    return read


def some_of(names: Iterable[str], *, everything: str) -> Reader:
    """A reader of one name, a list of names, or the word for all of them."""
    known = tuple(names)

    def read(node: yaml.Node) -> Value:
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        chosen = tuple(_scalar(item) for item in items)
        if chosen == (everything,):
            return everything
        for value in chosen:
            if value not in known:
                raise WrongError("This name is not known.", allowed=(everything, *known))
        return chosen

    return read
