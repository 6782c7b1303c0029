"""How the steps of a sum are written for whoever does them again by hand.

A line is ``words: expression = result`` in plain numbers, with ``x`` for times and ``ln``, ``exp``,
``sqrt``, ``^`` and ``|…|`` as on paper; behind a number stands in brackets whose it is. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import fsum
from typing import NamedTuple

Steps = tuple[str, ...]
_CENTS_FROM = 100_000.0
NAMED = 4  # so many parts of a sum by name: they fit on two lines of a screen


class Term(NamedTuple):
    """One part of a sum: whose it is, signed, and how its size came about where that is a sum of
    its own (``0.15 x 2000``)."""

    name: str
    value: float
    size: str = ""


def bare(value: float) -> str:
    """A number with as many digits as a sum by hand needs."""
    return f"{value:.8g}"


def usd(value: float) -> str:
    """An amount to the cent; a small one with as many digits as a ratio needs."""
    return f"{value:,.2f}" if abs(value) >= _CENTS_FROM else bare(value)


def then(value: float) -> str:
    """A number that is added to a sum, with its sign: ``+ 0.2``, ``- 0.2``."""
    return f"{'-' if value < 0.0 else '+'} {bare(abs(value))}"


def falling_back(rate: float, base: float, hours: float, persistence: float) -> str:
    """The sum of the hourly rates to come, as ``formulas.funding.project_rate_sum`` adds them."""
    weight = f"{hours:g}"
    if persistence != 1.0:
        weight = f"(1 - {persistence:g}^{hours:g}) / (1 - {persistence:g})"
    return f"{hours:g} x {bare(base)} + ({bare(rate)} {then(-base)}) x {weight}"


def step(words: str, expression: str, result: float) -> str:
    """``words: expression = result``."""
    return f"{words}: {expression} = {bare(result)}"


def divided(words: str, over: float, under: float) -> str:
    """``words: over / under = ratio`` of two amounts; ``under`` not 0."""
    return step(words, f"{usd(over)} / {usd(under)}", over / under)


def added(
    words: str,
    terms: Iterable[Term],
    *,
    show: Callable[[float], str] = usd,
    named: int = NAMED,
) -> Steps:
    """``words: 900 (hyperliquid) + 120 (dydx) - 20 (3 more) = 1000``, the biggest first; nothing
    where there is nothing to add."""
    found = [one for one in terms if one.value != 0.0]
    if not found:
        return ()
    return (f"{words}: {listed(found, show=show, named=named)} = {show(total(found))}",)


def total(terms: Iterable[Term]) -> float:
    """What they come to."""
    return fsum(one.value for one in terms)


def listed(terms: Iterable[Term], *, show: Callable[[float], str] = usd, named: int = NAMED) -> str:
    """The left side of ``added``: a few by name, the rest in one."""
    ranked = sorted(terms, key=lambda one: (-abs(one.value), one.name))
    # One more is no longer than to say that there is one more.
    first = ranked if len(ranked) <= named + 1 else ranked[:named]
    told = [(one.value, f"{one.size or show(abs(one.value))} ({one.name})") for one in first]
    rest = ranked[len(first) :]
    if rest:
        left = fsum(one.value for one in rest)
        told.append((left, f"{show(abs(left))} ({len(rest)} more)"))
    text = ""
    for value, words in told:
        sign = "-" if value < 0.0 else "+"
        text += f" {sign} {words}" if text else f"{'-' if value < 0.0 else ''}{words}"
    return text


def ranked(
    words: str,
    values: Iterable[tuple[str, float]],
    *,
    highest: bool = True,
    show: Callable[[float], str] = bare,
    named: int = NAMED,
) -> Steps:
    """``words: 0.9 (hyperliquid/main), 0.5 (dydx/main) and 3 more``: the one that counts first."""
    found = sorted(values, key=lambda one: (-one[1] if highest else one[1], one[0]))
    if not found:
        return ()
    first = found if len(found) <= named + 1 else found[:named]
    told = ", ".join(f"{show(value)} ({name})" for name, value in first)
    more = len(found) - len(first)
    return (f"{words}: {told}{f' and {more} more' if more else ''}",)
