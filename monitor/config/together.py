"""What is wrong with several fields of the file together. *Pure.*

The settings check it too, but only once every field by itself is right; a person wants to hear of
both at once, so here it is asked of the raw data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from monitor.core.yamltext import Path as KeyPath
from monitor.notify.webhook import WebhookSettings
from monitor.server.settings import ServerSettings
from monitor.venues.hyperliquid.settings import HyperliquidSettings


def across_fields(data: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Each mistake with the path of the field to point at."""
    yield from _server_together(data)
    yield from _webhooks_together(data)
    for venue, address_twice in (("hyperliquid", True), ("dydx", False)):
        yield from _accounts_together(data, venue, address_twice=address_twice)


def _server_together(data: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    names = ("host", "read_token_file", "read_token_env")
    section = data.get("server")
    if isinstance(section, dict):
        given = {name: section[name] for name in names if name in section}
        for message in _model_mistakes(ServerSettings, given):
            yield ("server", "host" if "host" in section else names[1]), message


def _webhooks_together(data: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    rows = _rows(data, "notify", "webhooks")
    names = ("url", "allow_loopback", "allow_networks")
    for index, row in rows:
        given = {name: row[name] for name in names if name in row}
        for message in _model_mistakes(WebhookSettings, {**given, "secret": {"env": "ANY"}}):
            yield ("notify", "webhooks", index, "url"), message
    default = WebhookSettings.model_fields["name"].default
    yield from _twice(
        ("notify", "webhooks"), [(i, "name", row.get("name", default)) for i, row in rows]
    )


def _accounts_together(
    data: Mapping[str, Any], venue: str, *, address_twice: bool
) -> Iterator[tuple[KeyPath, str]]:
    rows = _rows(data, "venues", venue, "accounts")
    place = ("venues", venue, "accounts")
    yield from _twice(place, [(i, "alias", row["alias"]) for i, row in rows if "alias" in row])
    if address_twice:
        found = [(i, "address", str(row.get("address", i)).lower()) for i, row in rows]
        yield from _twice(place, found)
        invented = [{"alias": f"a{i}", "address": f"0x{i:040x}"} for i, _ in rows]
        for message in _model_mistakes(HyperliquidSettings, {"accounts": invented}):
            yield place, message
        return
    seen: dict[tuple[str, str], int] = {}
    for index, row in rows:
        parents = row.get("parents", [0])
        for parent in parents if isinstance(parents, list) else []:
            key = (str(row.get("address", index)), str(parent))
            first = seen.setdefault(key, index)
            if first != index:
                yield (
                    (*place, index, "address"),
                    f"the same address and parent subaccount {parent} as in accounts[{first}]",
                )


def _rows(data: Mapping[str, Any], *path: str) -> list[tuple[int, dict[str, Any]]]:
    """The well-formed entries of a list somewhere in the file, with their numbers."""
    at: Any = data
    for name in path:
        at = at.get(name) if isinstance(at, dict) else None
    return [(i, row) for i, row in enumerate(at if isinstance(at, list) else []) if _is_row(row)]


def _is_row(row: object) -> bool:
    return isinstance(row, dict)


def _twice(
    place: tuple[str, ...], found: Sequence[tuple[int, str, object]]
) -> Iterator[tuple[KeyPath, str]]:
    first: dict[str, int] = {}
    for index, name, value in found:
        other = first.setdefault(str(value), index)
        if other != index:
            shown = f" {value!r}" if name != "address" else ""
            yield (
                (*place, index, name),
                f"the same {name}{shown} is configured twice, first in {place[-1]}[{other}]",
            )


def _model_mistakes(model: type[BaseModel], given: Mapping[str, Any]) -> list[str]:
    """What a model says of fields that are right one by one; nothing where one of them is not."""
    try:
        model.model_validate(given)
    except ValidationError as error:
        details = error.errors()
        return [] if any(detail["loc"] for detail in details) else [one["msg"] for one in details]
    return []
