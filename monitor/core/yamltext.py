"""YAML that remembers its lines, for every file a person writes (configuration, rulebooks).

Plain data plus a map from path to line, so that a mistake found anywhere later can name
``file:line``. Takes text, never opens a file. *Pure.*
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import yaml

from monitor.core.errors import Problem

Path = tuple[str | int, ...]
Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]

NESTING_MAX = 40  # deeper than any file a person writes; bounds recursion
DATE = "tag:yaml.org,2002:timestamp"


@dataclass(slots=True)
class YamlText:
    """A parsed file: its data, where each path stands, and what was wrong with the text itself."""

    source: str
    data: Plain = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    # Texts over several lines: the line they begin on, and what was typed.
    written: dict[Path, tuple[int, str]] = field(default_factory=dict)

    def where(self, path: Path, *, word: str = "") -> str:
        """``file:line`` of a path, or of its nearest parent that stands in the file; of ``word``
        in its text, where that runs over several lines."""
        while path and path not in self.lines:
            path = path[:-1]
        line = self.lines.get(path, 1)
        if word and path in self.written:
            first, typed = self.written[path]
            found = re.search(rf"\b{re.escape(word)}\b", typed)
            line = first + typed.count("\n", 0, found.start()) if found else line
        return f"{self.source}:{line}"


def parse_yaml(text: str, *, source: str) -> YamlText:
    """Read one YAML document; syntax mistakes and duplicate keys are ``problems``, not raised."""
    result = YamlText(source=source)
    line, what = 1, ""
    try:
        result.data = _document(text, result)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"a character that text may not hold (U+{ord(text[error.position]):04X})"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        what = str(error.problem or error.context)
    except RecursionError:
        what = "nested too deeply"
    except yaml.YAMLError as error:
        what = str(error)
    if what:
        message = f"this is not valid YAML: {what}."
        result.problems.append(Problem(where=f"{source}:{line}", field="-", message=message))
    return result


def _document(text: str, into: YamlText) -> Plain:
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        return None if node is None else _plain(loader, node, (), into)
    finally:
        loader.dispose()


def dotted(path: Iterable[str | int]) -> str:
    """``venues.dydx.accounts[0].address``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text or "-"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name closest to a mistyped one, or None when none is close."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return matches[0] if matches else None


def _plain(loader: yaml.SafeLoader, node: yaml.Node, path: Path, into: YamlText) -> Plain:
    into.lines[path] = node.start_mark.line + 1
    if len(path) > NESTING_MAX:
        raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=node.start_mark)
    if isinstance(node, yaml.MappingNode):
        return _mapping(loader, node, path, into)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(loader, item, (*path, index), into) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode) and node.value.startswith(("0x", "0X")):
        return str(node.value)  # an address, which YAML 1.1 would take for a number
    start, end = node.start_mark, node.end_mark
    if end.line > start.line and start.buffer is not None:
        into.written[path] = (start.line + 1, start.buffer[start.pointer : end.pointer])
    if node.tag == DATE:
        return str(node.value)  # text to us, and no less so where the calendar has no such day
    try:
        value = loader.construct_object(node)
    except (ValueError, LookupError) as error:
        kind = node.tag.rpartition(":")[2]
        raise yaml.MarkedYAMLError(
            problem=f"{node.value[:40]!r} cannot be read as {kind}", problem_mark=node.start_mark
        ) from error
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(node.value)  # binaries and the like: a rule or an address never is one


def _mapping(
    loader: yaml.SafeLoader, node: yaml.MappingNode, path: Path, into: YamlText
) -> dict[str, Plain]:
    result: dict[str, Plain] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
        if key is None:
            into.problems.append(
                Problem(
                    where=f"{into.source}:{line}",
                    field=dotted(path),
                    message="a name must be plain text.",
                )
            )
            continue
        if key in result:
            into.problems.append(
                Problem(
                    where=f"{into.source}:{line}",
                    field=dotted((*path, key)),
                    message=f"stands twice; the first is on line {into.lines[(*path, key)]}.",
                )
            )
            continue
        result[key] = _plain(loader, value_node, (*path, key), into)
        into.lines[(*path, key)] = line
    return result
