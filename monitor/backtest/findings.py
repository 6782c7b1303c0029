"""What the numbers of a run say, in sentences made from those numbers and nothing else. *Pure.*

A difference is claimed only where its 5-95 % interval excludes "none"; where too little happened to
judge, the sentence says that.
"""

from __future__ import annotations

from collections.abc import Iterator

from monitor.backtest.bootstrap import Interval
from monitor.backtest.figures import TRIGGER_NAME, ArmFigures, Figures, StateFigures
from monitor.backtest.run import ONLY
from monitor.backtest.words import DASH, MINUS, TIMES
from monitor.core.decision import ActionLevel

EPISODES_MIN = 5
FALLS_MIN = 5
JUDGED_ENOUGH = 0.995  # of the hours; above it nothing is said


def percent(value: float | None, digits: int = 0) -> str:
    """A ratio as ``12 %``; a dash where nothing is known."""
    if value is None:
        return DASH
    text = f"{100.0 * value:,.{digits}f} %"
    return "0 %" if text == "-0 %" else text.replace("-", MINUS)


def times(value: float | None) -> str:
    """A multiple as ``1.80`` and a times sign."""
    if value is None:
        return DASH
    text = f"{value:.2f}{TIMES}"
    return f"0.00{TIMES}" if text == f"-0.00{TIMES}" else text.replace("-", MINUS)


def bounds(one: Interval, words: str = "times") -> str:
    """The value and its 5-95 % interval."""
    say = times if words == "times" else percent
    if one.value is None:
        return DASH
    if one.low is None or one.high is None:
        return f"{say(one.value)} (no interval)"
    return f"{say(one.value)} ({say(one.low)} … {say(one.high)})"


def findings(figures: Figures) -> list[tuple[str, str]]:
    """(what it is about, sentences), most important first."""
    found: list[tuple[str, str]] = []
    for name in market_cuts(figures):
        states = figures.states_of(name)
        if states:
            found += [
                (f"{name} as a warning", " ".join(_warning(states)) + _unconfirmed(figures, name)),
                (f"{name} as a gauge and gate", " ".join(_gauge(states[0]))),
            ]
        arm = next((one for one in figures.arms if one.arm.name == f"{ONLY}{name}"), None)
        if arm is not None and arm.difference is not None:
            found.append((f"{name} as conduct", _conduct(arm)))
    found.append(("Reaction time", _reactions(figures)))
    found.append(("The plain baselines", " ".join(_baselines(figures))))
    return found


def market_cuts(figures: Figures) -> list[str]:
    """Rules that cut by what the market does, whatever the book holds."""
    followers = {one.arm.name.removeprefix(ONLY) for one in figures.arms}
    rules = figures.result.task.rules.book.rules
    return [one.id for one in rules if one.level is ActionLevel.CUT and one.id in followers]


def _warning(states: tuple[StateFigures, ...]) -> Iterator[str]:
    for one in states:
        timing = one.timing
        lead = "" if timing.lead_h_median is None else f", median lead {timing.lead_h_median:.0f} h"
        yield (
            f"{_when(one)} it was on for {timing.led} of {timing.falls} "
            f"falls{lead}, "
            f"{percent(timing.active_ratio, 1)} of the time, with "
            f"{timing.false_per_month:.2f} false episodes a month; crash odds within a day were "
            f"{bounds(one.lift.crash)} the usual: {_verdict(one)}.{_known(one)}"
        )
    if len(states) == 3:
        before, since = (_claims(one) for one in states[1:])
        if before and not since:
            yield (
                "What it knew of crashes it knew before 2023; since then its timing is weak: do "
                "not present it as a predictor."
            )
        elif since and before:
            yield "It raised crash odds in both halves."
        elif since:
            yield "It raised crash odds since 2023 only."
        else:
            yield "In neither half can its timing of crashes be told from chance."


def _unconfirmed(figures: Figures, name: str) -> str:
    """How often it held without the second observation that a cut wants: on hours that settle
    together, that is a whole settlement later."""
    count = figures.result.unconfirmed.get(name, 0)
    if not count:
        return ""
    return (
        f" {count} time{'s' if count > 1 else ''} it held at one observation and no longer at the "
        "next that told it anew, and did not fire."
    )


def _known(one: StateFigures) -> str:
    """That it was blind for part of the time: not firing then was no verdict."""
    if one.judged_ratio <= 0.0:
        return " It could be judged in no hour: what it reads was never known."
    if one.judged_ratio >= JUDGED_ENOUGH:
        return ""
    return f" It could be judged in {percent(one.judged_ratio)} of the hours."


def _when(one: StateFigures) -> str:
    title = one.period.title
    return f"Over the {title}" if title.startswith("whole") else title[0].upper() + title[1:]


def _enough(one: StateFigures) -> bool:
    return one.timing.episodes >= EPISODES_MIN and one.timing.falls >= FALLS_MIN


def _claims(one: StateFigures) -> bool:
    low = one.lift.crash.low
    return _enough(one) and low is not None and low > 1.0


def _verdict(one: StateFigures) -> str:
    crash = one.lift.crash
    if not _enough(one):
        return f"too little to judge ({one.timing.episodes} episodes, {one.timing.falls} falls)"
    if crash.low is None or crash.high is None:
        return "no interval, so no claim"
    if crash.low > 1.0:
        return "raised beyond chance"
    return "lowered beyond chance" if crash.high < 1.0 else "not told from chance"


def _gauge(one: StateFigures) -> Iterator[str]:
    stir = one.lift.volatility
    claim = stir.low is not None and stir.low > 1.0
    yield (
        f"While it was on, the next day was {bounds(stir)} as volatile as otherwise"
        + (": as a leverage gauge it holds." if claim else ": no claim as a leverage gauge.")
    )
    if one.funding_on is not None and one.funding_off is not None:
        dearer = one.funding_on > one.funding_off
        yield (
            f"Being long cost {percent(one.funding_on)} a year in funding while it was on and "
            f"{percent(one.funding_off)} otherwise"
            + (
                ": a gate that stays shut until it has normalised keeps the dear hours out."
                if dearer
                else ": as a gate it saved no funding."
            )
        )


def _conduct(one: ArmFigures) -> str:
    difference = one.difference
    if difference is None:
        return ""
    ratio = difference.ratio
    if ratio.low is None or ratio.high is None:
        verdict = "too little was given up to judge"
    elif ratio.low > 1.0:
        verdict = "more than holding less at all times would have removed"
    elif ratio.high < 1.0:
        verdict = "less than holding less at all times would have removed"
    else:
        verdict = "not told from simply holding less at all times"
    return (
        f"Following it alone removed {bounds(difference.tail, 'percent')} of the worst days for "
        f"{bounds(difference.exposure, 'percent')} of the exposure, {bounds(ratio)} per unit given "
        f"up: {verdict}. Mean return changed by {bounds(difference.return_per_year, 'percent')} a "
        "year after costs."
    )


def _reactions(figures: Figures) -> str:
    arms = [one for one in figures.arms if one.arm.judged]
    plain = figures.arms[0]
    parts = [
        f"{one.arm.title.lower()}: worst drawdown {percent(one.net.drawdown_max_ratio, 1)}, return "
        f"{percent(one.net.return_ratio)}, trading costs "
        f"{one.arm.book.costs.trading_usd:,.0f} USD"
        for one in arms
    ]
    text = (
        f"{'; '.join(parts)}. Without rules: {percent(plain.net.drawdown_max_ratio, 1)} and "
        f"{percent(plain.net.return_ratio)}."
    )
    return text[0].upper() + text[1:]


def _baselines(figures: Figures) -> Iterator[str]:
    for state in figures.states_of(TRIGGER_NAME):
        timing = state.timing
        yield (
            f"{_when(state)} “{TRIGGER_NAME}” was on for {timing.led} of "
            f"{timing.falls} falls, {percent(timing.active_ratio, 1)} of the time, with "
            f"{timing.false_per_month:.2f} false episodes a month.{_known(state)}"
        )
    for one in figures.arms:
        if one.arm.name in {"always", "trigger"} and one.difference is not None:
            yield (
                f"{one.arm.title}: {bounds(one.difference.tail, 'percent')} of the worst days "
                f"removed for {bounds(one.difference.exposure, 'percent')} of the exposure "
                f"({bounds(one.difference.ratio)} per unit)."
            )
