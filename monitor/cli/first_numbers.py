"""A newcomer's first numbers: riskd's beside the venue's, unknown as unknown."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]
SHOWN = ("equity", "gross", "leverage", "margin usage")


def first_numbers(state: Document) -> list[str]:
    """A table over all accounts, and the positions below each."""
    heads = (("equity (riskd)", 16), ("equity (venue)", 16), ("gross", 14), ("leverage", 10))
    head = "".join(f"{text:>{width}}" for text, width in heads)
    lines = ["", f"{'account':<28}{head}{'margin':>9}"]
    for account in state["accounts"]:
        rows = {row["label"]: row for row in account["rows"]}
        stated = rows["equity"].get("venue") or {}
        lines.append(
            f"{account['venue']}/{account['account']:<{27 - len(account['venue'])}}"
            f"{_money(rows['equity']['ours']['value']):>16}{_money(stated.get('value')):>16}"
            f"{_money(rows['gross']['ours']['value']):>14}"
            f"{_times(rows['leverage']['ours']['value']):>10}"
            f"{_percent(rows['margin usage']['ours']['value']):>9}"
        )
        if account["note"]:
            lines.append(f"  {account['note']}")
        lines += [_position(position) for position in account["positions"]]
        if not account["positions"]:
            lines.append("  no positions" if account["positions_known"] else "  positions unknown")
    return lines


def _position(position: Document) -> str:
    notional = _money(position["notional"]["value"])
    return (
        f"  {position['market']:<20} {position['size']:>14}  notional {notional}, "
        f"liquidation {_distance(position['distance'])}"
    )


def _money(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.2f}"


def _times(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}x"


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value * 100:.1f} %"


def _distance(reading: Document) -> str:
    value = reading["value"]
    if value is None:
        return "none" if reading.get("none") else "unknown"
    return "far" if value >= 10.0 else f"{value * 100:.1f} % away"
