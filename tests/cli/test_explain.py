"""``riskd explain``: one screen, bare numbers, unknown with its reason."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import pytest

from monitor.cli.explain import screen, uncut
from monitor.cli.main import main
from monitor.core.engine import Engine
from monitor.core.events import RulebookLoaded
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.trial.series import parse_series
from monitor.core.trial.world import engine_of
from monitor.core.types import SECOND_NS, EngineNs, Subject
from monitor.rulebook import builtin_files
from monitor.server.explain import explain_document
from tests.cli.test_asking import Server
from tests.core.stress_desk import EXAMPLE, StressDesk
from tests.core.test_workings_volatility import jumped

START = 1_790_000_000 * SECOND_NS
MINUTE = 60 * SECOND_NS
A, B = "account:dydx/main", "account:hyperliquid/main"


def engine(series: Mapping[str, str], *, minutes: int) -> Engine:
    """The built-in rules over these series (``measure subject``), run for some minutes."""
    played = {
        (name.partition(" ")[0], Subject(name.partition(" ")[2] or "portfolio")): parse_series(text)
        for name, text in series.items()
    }
    made = engine_of(played, (), start_ns=START, step_ns=MINUTE, catalogue=CATALOGUE)
    made.apply(RulebookLoaded(files=builtin_files(), loaded_by="test"), START)
    for minute in range(minutes + 1):
        made.evaluate(START + minute * MINUTE)
    return made


def explained(rule: str, about: str, series: Mapping[str, str], *, minutes: int = 5) -> list[str]:
    """The screen of a rule."""
    now = START + minutes * MINUTE
    lines = screen(explain_document(engine(series, minutes=minutes), rule, about, now))
    assert len(lines) <= 23
    assert max(len(line) for line in lines) <= 80
    return lines


def test_a_measured_target_stands_beside_the_condition() -> None:
    """What a cut to a cap leaves, and that nothing is cut while nobody knows it."""
    series = {"leverage_net_to_cap_ratio": "1.2x9", "leverage_cap_target_usd": "943396x9"}
    lines = explained("leverage_cap", "", series)
    assert lines[0].startswith("leverage_cap  high, cut to leverage_cap_target_usd over 60 min, ")
    assert "  leverage_cap_target_usd = 943396 ($943,396), 0 s old" in lines
    action = next(line for line in lines if line.startswith("ACTION"))
    assert "WOULD HAVE cut gross of portfolio to $943,396" in action
    blind = explained("leverage_cap", "", {**series, "leverage_cap_target_usd": "_x9"})
    assert any("no cut: leverage cap target is unknown" in line for line in blind)
    rough = explained("leverage_cap", "", {**series, "leverage_cap_target_usd": "943396~x9"})
    assert any("no cut: leverage cap target is an estimate" in line for line in rough)


def test_a_firing_rule_is_recomputed_by_hand() -> None:
    """Condition, both numbers, the verdict, the age, what it asks for."""
    lines = explained("margin_usage_high", A, {f"margin_usage_ratio {A}": "0.3412x9"})
    assert lines[0].startswith("margin_usage_high  high, block_new, observe")
    assert lines[0].endswith("FIRING 4 min")
    assert lines[1].startswith(f"about {A}: ")
    assert "VERDICT  TRUE" in lines
    assert "    margin_usage_ratio 0.3412 >= 0.3: true" in lines
    assert "    margin_usage_ratio 0.3412 <= 0.25: false" in lines
    assert "  margin_usage_ratio = 0.3412 (34.12 %), 0 s old" in lines
    assert any(line.startswith("ACTION  WOULD HAVE blocked new risk") for line in lines)


MANY = {
    f"{name} {A}": value
    for name, value in (
        ("liquidation_distance_of_minimum_ratio", "2.4x9"),
        ("liquidation_hedge_of_minimum_ratio", "2.1x9"),
        ("liquidation_hedge_break_ratio", "0.22x9"),
        ("liquidation_near_sigmas", "2.0x9"),
        ("liquidation_hedge_sigmas", "2.6x9"),
        ("liquidation_probability_24h_ratio", "0.03x9"),
        ("liquidation_distance_ratio", "0.27x9"),
    )
}


def test_what_it_asks_for_stands_on_the_fullest_screen() -> None:
    """Lines of what was read give way, and the way to them is told."""
    lines = explained("liquidation_likely", A, MANY)
    assert lines[0].endswith("FIRING 4 min")
    assert lines[-2].startswith("TIMERS  fires after 30 s")
    assert lines[-1].startswith("ACTION  WOULD HAVE blocked new risk")
    assert re.fullmatch(r"  … and \d+ more lines \(--all shows them\)", lines[-3])


def test_how_it_would_end_gives_way_while_it_has_not_begun() -> None:
    """Before the numbers that were read do."""
    quiet = dict.fromkeys(MANY, "9x9") | {f"liquidation_probability_24h_ratio {A}": "0.0x9"}
    lines = explained("liquidation_likely", A, quiet)
    until = next(place for place, line in enumerate(lines) if line.startswith("  until "))
    assert lines[until + 1] == "READ"
    assert "  liquidation_hedge_sigmas = 9 (9 sigmas), 0 s old" in lines


def test_all_of_it_is_there_uncut() -> None:
    """Every condition to its last word, every number, within the width of a screen."""
    made, now = engine(MANY, minutes=5), START + 5 * MINUTE
    lines = uncut(explain_document(made, "liquidation_likely", A, now))
    assert max(len(line) for line in lines) <= 80
    assert not any(line.endswith("…") for line in lines)
    said = " ".join(" ".join(lines).split())
    for one in (
        made.rulebook.get("liquidation_likely").until.text,
        *(  # type: ignore[union-attr]
            f"{name.partition(' ')[0]} = {value.partition('x')[0]}" for name, value in MANY.items()
        ),
    ):
        assert one.removesuffix(".0") in said


def test_unknown_says_why() -> None:
    """Never a zero; the rule keeps firing."""
    series = {f"margin_usage_ratio {A}": "0.3412x3 _x9"}
    lines = explained("margin_usage_high", A, series)
    assert lines[0].endswith("FIRING 4 min")
    assert "VERDICT  UNKNOWN" in lines
    assert "    margin_usage_ratio unknown >= 0.3: unknown" in lines
    assert "  margin_usage_ratio: UNKNOWN, a gap in its series" in lines
    assert any("unknown for 120 s" in line or "unknown for 2 min" in line for line in lines)


def test_the_worst_is_shown_where_nobody_is_named() -> None:
    """And the others by name and state."""
    series = {f"margin_usage_ratio {A}": "0.1x9", f"margin_usage_ratio {B}": "0.5x9"}
    lines = explained("margin_usage_high", "", series)
    assert lines[1].startswith(f"about {B}")
    assert f"ALSO    {A} inactive" in lines


def test_of_several_at_rest_the_one_nearest_to_its_limit_is_shown() -> None:
    """Not the first by name, upward and downward."""
    series = {f"margin_usage_ratio {A}": "0.1x9", f"margin_usage_ratio {B}": "0.2x9"}
    assert explained("margin_usage_high", "", series)[1].startswith(f"about {B}")
    away = {
        f"liquidation_distance_ratio {A}": "0.5x9",
        f"liquidation_distance_ratio {B}": "0.2x9",
    }
    assert explained("liquidation_distance_high", "", away)[1].startswith(f"about {B}")


def test_a_part_of_the_name_is_enough() -> None:
    """As a person would say it."""
    series = {f"margin_usage_ratio {A}": "0.1x9", f"margin_usage_ratio {B}": "0.5x9"}
    assert explained("margin_usage_high", "dydx", series)[1].startswith(f"about {A}")


def test_flags_are_shown_with_what_they_count() -> None:
    """True now, true a while ago, or not known."""
    lines = explained("any_two", "", {"volatility_percentile": "0.9x2 0.1x9"})
    flag = next(line for line in lines if "flags.volatility" in line)
    assert flag.startswith("  flags.volatility FALSE for 3 min, counts TRUE: volatility_perc")
    assert any(line.startswith("  flags.funding") and "UNKNOWN" in line for line in lines)
    # What is unknown is read first.
    read = lines.index("READ")
    assert lines[read + 1] == "  funding_stress_index: UNKNOWN, the test gives no series for it"


def test_what_is_unknown_is_said_on_a_full_screen() -> None:
    """What other rules say stands with the flags already, and gives way."""
    lines = explained("two_flags", "", {"drawdown_ratio": "0.01x9"})
    assert any("volatility_percentile: UNKNOWN" in line for line in lines)
    assert any(line.startswith("TIMERS  fires after 4 min") for line in lines)
    assert not any(line.startswith("  firing__") for line in lines[lines.index("READ") :])


def test_a_cut_of_flagged_assets_names_flags_assets_and_times() -> None:
    """Which flags, since when, and which position names the asset; another asset has none."""
    thin = {
        "volatility_percentile": "0.9x30",
        "news_flag": "0x30",
        "exit_depth_ratio position:hyperliquid/main/BTC": "4x30",
        "exit_depth_ratio position:hyperliquid/main/ETH": "9x30",
    }
    lines = explained("any_two_cut", "BTC", thin, minutes=14)
    read = " ".join(line.strip() for line in lines[lines.index("READ") :])
    assert "two_flags about the book for 9 min (liquidity true for 13 min, volat" in read
    assert "asset_flagged about BTC for 13 min" in read
    why = explained("asset_flagged", "BTC", thin, minutes=14)
    assert "  book_thin about hyperliquid/main/BTC for 13 min" in why
    assert "ACTION  WOULD HAVE cut gross of asset BTC to 85 %" in lines
    other = explained("any_two_cut", "ETH", thin, minutes=14)
    assert other[0].endswith("INACTIVE")
    assert not any("asset_flagged about" in line for line in other)
    assert "  book_thin about hyperliquid/main/BTC for 13 min" in explained(
        "two_flags", "", thin, minutes=14
    )


@pytest.mark.parametrize(
    ("rule", "about", "said"),
    [
        ("margin_usage_hihg", "", "Did you mean 'margin_usage_high'?"),
        ("margin_usage_high", "paradex", f"It is about: {A}"),
        ("clock_skew", "", "is asked about nothing: no venue"),
    ],
    ids=["mistyped rule", "mistyped subject", "nothing known"],
)
def test_what_cannot_be_explained(rule: str, about: str, said: str) -> None:
    """In one sentence, with what there is."""
    found = engine({f"margin_usage_ratio {A}": "0.1x9"}, minutes=1)
    if rule == "clock_skew":
        found = engine({}, minutes=1)
    assert said in explain_document(found, rule, about, START)["error"]


def test_looking_changes_nothing() -> None:
    """A snapshot before and after is the same, byte for byte."""
    made = engine({f"margin_usage_ratio {A}": "0.3412x3 _x9"}, minutes=5)
    before = made.snapshot()
    for rule in made.rulebook.rules:
        explain_document(made, rule.id, "", START + 5 * MINUTE)
    assert made.snapshot() == before


@pytest.fixture
def server() -> Iterator[Server]:
    """A riskd that answers what the test says."""
    made = Server()
    yield made
    made.close()


def test_the_verb_asks_and_prints(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """Rule and subject go into the question."""
    made = engine({f"margin_usage_ratio {A}": "0.3412x9"}, minutes=5)
    document = explain_document(made, "margin_usage_high", A, START + 5 * MINUTE)
    server.says(200, document)
    assert main(["explain", "margin_usage_high", A, f"--url={server.url}"]) == 0
    assert capsys.readouterr().out.splitlines() == screen(document)
    (asked, _) = server.handler.asked[0]  # type: ignore[attr-defined]  # made by the fixture
    assert asked == "/v1/explain?rule=margin_usage_high&subject=account%3Adydx%2Fmain"


def test_exit_codes(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """2 where there is no such rule, 3 where nobody answers."""
    server.says(404, {"error": "There is no rule."})
    assert main(["explain", "x", f"--url={server.url}"]) == 2
    assert capsys.readouterr().err == "There is no rule.\n"
    server.says(200, {})
    assert main(["explain", "x", f"--url={server.url}"]) == 3
    assert "it is not riskd" in capsys.readouterr().err


def stressed() -> tuple[Engine, EngineNs]:
    """The worked example of the index, seen twice: a cut is proposed."""
    desk = StressDesk(*EXAMPLE)
    desk.engine.apply(RulebookLoaded(files=builtin_files(), loaded_by="test"), desk.now)
    desk.evaluate()
    desk.later(3600)
    for one in EXAMPLE:
        desk.settle_all(one.apr / 8760, one.market)
    desk.evaluate()
    return desk.engine, desk.now


def test_the_stress_index_is_added_up_by_hand() -> None:
    """On the screen of a firing rule, whatever else gives way: five raw values, where they begin
    and end to count, ramps, points, coverage and who adds most; as JSON each as a measure too."""
    made, now = stressed()
    document = explain_document(made, "funding_stress", "", now)
    lines = screen(document)
    assert lines[0].endswith("FIRING 0 s")
    assert len(lines) <= 23
    assert max(len(line) for line in lines) <= 80
    first = lines.index("    level (0.55 - 0.15) / 0.45 = 0.8889 x 25 = 22.22")
    index = next(one for one in document["inputs"] if one["name"] == "funding_stress_index")
    assert lines[first - 1] == f"  funding_stress_index = {index['number']}, 0 s old"
    said = " ".join(line.strip() for line in lines[first : first + 6])
    assert "breadth 0.8 >= 0.8: 1 x 25 = 25.00" in said
    assert "coverage 100 % of open interest, 5 of 5 assets" in said
    assert "most from DDD 90 %/yr, BBB 62 %/yr, " in said
    points = [float(text) for text in re.findall(r"x \d+ = ([\d.]+)", said)]
    assert len(points) == 5
    assert sum(points) == pytest.approx(index["value"], abs=0.025)
    parts = {one["measure"]: one["value"] for one in index["parts"]}
    assert len(parts) == 11
    assert parts["funding_stress_level_apr"] == pytest.approx(0.55)
    assert parts["funding_stress_coverage_ratio"] == 1.0
    assert sum(parts[name] for name in parts if name.endswith("_points")) == pytest.approx(
        index["value"]
    )


def test_a_step_that_two_numbers_share_is_shown_once() -> None:
    """Under the first: a day of moves takes three of the lines that a screen has."""
    at = jumped(96.0)
    at.load(
        "- {id: jump, for_each: asset, summary: jump, severity: info, "
        "when: jump_share_ratio > 0.5 && jump_sigmas_ratio > 4.0}\n"
    )
    at.evaluate()
    lines = screen(explain_document(at.engine, "jump", "BTC", at.now))
    assert sum("hourly log moves in %" in line for line in lines) == 1
    assert any(line.startswith("    deviation: sqrt(") for line in lines)
    assert any("larger of the last two / deviation" in line for line in lines)


def test_an_alert_prints_what_the_index_is_made_of() -> None:
    """Raw value, ramp and points of each part, and the coverage: below the line for a phone."""
    desk = StressDesk(*EXAMPLE)
    desk.engine.apply(RulebookLoaded(files=builtin_files(), loaded_by="test"), desk.now)
    told = next(one for one in desk.evaluate().transitions if one.rule == "funding_elevated")
    assert "69.3 >= 40, DDD 90 %, BBB 62 %" in told.summary
    assert len(told.summary) <= 120
    for line in (
        "level 0.55: ramp 0.8889, 22.22 points",
        "breadth 0.8: ramp 1, 25.00 points",
        "surprise 6.1: ramp 0.6833, 17.08 points",
        "change 4: ramp 0.3333, 5.00 points",
        "flips 0.2: ramp 0, 0.00 points",
        "coverage 100 % of open interest, 5 of 5 assets",
    ):
        assert line in told.description
