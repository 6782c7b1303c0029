"""Which quiet rules cannot be judged, and which of them somebody should be told of."""

from __future__ import annotations

from functools import partial

import pytest
from msgspec.structs import replace

from monitor.core import events as e
from monitor.core.rule_unseen import HISTORY_NS, JUDGED_NS, Unseen, UnseenRules
from monitor.core.settings import EngineSettings
from monitor.core.state.facts import Lack, Why
from monitor.core.types import PORTFOLIO, SECOND_NS, AccountMode, Subject, asset_subject
from monitor.rulebook import builtin_files
from tests.core.desk import BTC, DBTC, DYDX, HL, HL_VENUE, MAIN, START_NS, Desk

RULES = """
margin:
  - id: usage
    for_each: account
    summary: Margin
    when: margin_usage_ratio >= 0.3
    severity: high
test:
  - id: stressed
    for_each: portfolio
    summary: Volatile
    when: volatility_percentile >= 0.9
    severity: warning
  - id: exposed
    for_each: portfolio
    summary: Exposed
    when: gross_exposure_usd >= 1000.0
    severity: warning
  - id: interesting
    for_each: portfolio
    summary: Exposed
    when: gross_exposure_usd >= 1000.0
    severity: info
  - id: says_it_itself
    for_each: account
    summary: Old
    when: account_age_s >= 60.0
    max_staleness: 60s
    on_unknown: fire
    severity: high
  - id: far
    for_each: market
    summary: Dear
    when: mark_price >= 1000.0
    severity: high
"""


BOTH = """
margin:
  - id: both
    for_each: account
    summary: Margin in a volatile market
    when: margin_usage_ratio >= 0.01 && volatility_percentile >= 0.9
    severity: high
"""


def desk() -> Desk:
    """An account of which nothing was heard but that it is standard, and a market listed."""
    found = Desk((HL, "main"), rules=RULES).list_market()
    found.tell(
        e.AccountModeSeen(venue=HL, channel="x", account="main", mode=AccountMode.STANDARD)
    ).evaluate()
    return found


def look(
    at: Desk, rules: UnseenRules | None = None, *, history_due_s: float | None = None
) -> dict[str, Unseen]:
    """Those found now, by rule."""
    at.evaluate()
    found = (rules or UnseenRules()).look(
        at.engine.state,
        at.engine.rulebook.rules,
        partial(at.engine.absent_inputs, now=at.now),
        at.now,
        history_due_ns=None if history_due_s is None else at.ns(history_due_s),
    )
    return {one.rule: one for one in found}


def test_what_is_missing_is_found_in_its_time() -> None:
    """Margin after two minutes, the rest after five; not what is merely interesting, far, told by
    the rule itself, or still filled by history."""
    at = desk()
    assert look(at.at(119.0)) == {}
    assert look(at.at(120.0)).keys() == look(at.at(299.0)).keys() == {"usage"}
    found = look(at.at(300.0))
    assert found.keys() == {"usage", "exposed"}
    assert (found["usage"].margin, found["usage"].exposed) == (True, False)
    assert (found["exposed"].margin, found["exposed"].subject) == (False, "portfolio")
    assert found["exposed"].at == found["usage"].at == MAIN  # one account is behind both
    assert "never stated" in found["usage"].why or "never listed" in found["usage"].why
    assert found["usage"].since_ns == START_NS


def test_what_is_known_is_found_no_more_and_what_grows_old_is_again() -> None:
    """Since when it has been unknown begins anew; the reason is that of now."""
    at = desk()
    at.at(200.0).context("BTC", HL, mark_price=100.0)
    at.positions(("BTC", 2.0)).money(100.0, cash=-100.0, maintenance=1.0)
    assert look(at) == {}
    at.at(300.0).evaluate()
    found = look(at.at(600.0))
    assert found.keys() == {"usage", "exposed"}
    assert found["usage"].exposed
    assert "too old" in found["usage"].why
    assert found["usage"].since_ns > START_NS + 200 * SECOND_NS


LAG = """
- id: lag
  for_each: venue
  summary: Late
  when: indexer_lag_blocks >= 100.0
  severity: high
"""


@pytest.mark.parametrize("named", [True, False], ids=["a validator is named", "none is"])
def test_a_validator_that_nobody_named_is_not_missing(named: bool) -> None:
    """Without one the indexer's lag is never known, by the desk's own choice: nobody is paged for
    it. One that was named and never answers is told of after five minutes."""
    settings = EngineSettings(venues=(HL,), validated=(HL,) if named else ())
    at = Desk(settings=settings, rules=LAG)
    at.tell(e.ChainTimeSeen(venue=HL, channel="x", source="indexer", time_ns=START_NS, height=7))
    at.evaluate()
    assert look(at.at(299.0)) == {}
    assert list(look(at.at(300.0))) == (["lag"] if named else [])
    ((_, why),) = at.engine.absent_inputs("lag", HL_VENUE, at.now)
    assert "validator_urls" in why.reason
    assert why.lack is (Lack.MISSING if named else Lack.CHOICE)


@pytest.mark.parametrize(
    ("mode", "cash", "told"),
    [
        pytest.param(AccountMode.UNIFIED, None, [], id="unified: there are no parts"),
        pytest.param(AccountMode.PORTFOLIO_MARGIN, None, [], id="portfolio margin: nor here"),
        pytest.param(AccountMode.STANDARD, -50_000.0, [], id="standard, with its cash"),
        pytest.param(
            AccountMode.STANDARD, None, ["equity_mismatch"], id="standard, and its cash is missing"
        ),
    ],
)
def test_parts_that_an_equity_does_not_have_are_not_missing(
    mode: AccountMode, cash: float | None, told: list[str]
) -> None:
    """By the rule as it ships: a page about such an account would never end."""
    at = Desk((HL, "main"), rules=dict(builtin_files())["data.yaml"]).list_market().mode(mode)
    for second in range(0, 331, 10):
        at.at(second).context(mark_price=30_000.0, oracle_price=30_000.0)
        at.positions(("BTC", 2.0), mark_price=30_000.0).money(10_000, cash=cash)
        at.evaluate()
    found = [one.rule for one in look(at).values() if one.subject == MAIN]
    assert [rule for rule in found if rule == "equity_mismatch"] == told
    why = at.engine.why_absent("equity_difference_ratio", MAIN, at.now)
    assert why.lack is (Lack.MISSING if mode is AccountMode.STANDARD else Lack.CHOICE)


@pytest.mark.parametrize(
    ("told", "due_s", "words"),
    [
        ("nothing", HISTORY_NS / SECOND_NS, "never began"),
        ("nothing", None, ""),
        ("waiting", HISTORY_NS / SECOND_NS, ""),
        ("stuck", HISTORY_NS / SECOND_NS, "the history of 2 markets could not be read"),
        ("read", HISTORY_NS / SECOND_NS, ""),
    ],
)
def test_a_history_that_failed_or_never_began_is_told(
    told: str, due_s: float | None, words: str
) -> None:
    """After half an hour; while it is read, or where none is to be read, nobody is."""
    at = desk().at(60.0)
    unread = () if told == "read" else ("BTC", "ETH")
    if told != "nothing":
        at.tell(
            e.HistoryProgressed(
                venue=HL, channel="x/history", kind="prices", wanted=2, unread=unread,
                waiting=2 if told == "waiting" else 0, read=0, began_ns=at.now,
            )
        )  # fmt: skip
    rules = UnseenRules()
    assert "stressed" not in look(at.at(1700.0), rules, history_due_s=due_s)
    assert "stressed" not in look(at.at(1900.0), rules, history_due_s=due_s)
    found = look(at.at(2200.0), rules, history_due_s=due_s)
    assert ("stressed" in found) is bool(words)
    if words:
        assert words in found["stressed"].why
        assert found["stressed"].why.startswith("volatility_percentile: no hour")


def test_an_excuse_is_looked_at_again_and_its_time_is_no_blindness() -> None:
    """Remembered for a minute; from when on it is none, the minutes count anew."""
    at, rules = desk(), UnseenRules()
    assert "stressed" not in look(at.at(1750.0), rules, history_due_s=1800.0)
    assert "stressed" not in look(at.at(1805.0), rules, history_due_s=1800.0)
    later_s = 1750.0 + JUDGED_NS / SECOND_NS
    for after_s in (0.0, 30.0, 90.0, 299.0, 300.0, 400.0):
        found = look(at.at(later_s + after_s), rules, history_due_s=1800.0)
        assert ("stressed" in found) is (after_s >= 300.0)
        assert found["usage"].since_ns == START_NS
    assert found["stressed"].since_ns == at.ns(later_s)


def test_what_still_fills_does_not_count_before_it_is_missing() -> None:
    """A rule that waits for its history from the start is blind only since other news stopped."""
    at, rules = Desk((HL, "main"), rules=BOTH).list_market(), UnseenRules()
    at.tell(e.AccountModeSeen(venue=HL, channel="x", account="main", mode=AccountMode.STANDARD))
    for second in range(0, 600, 30):
        at.at(second).context("BTC", HL, mark_price=100.0)
        at.positions(("BTC", 2.0)).money(100.0, cash=-100.0, maintenance=50.0)
        assert look(at, rules) == {}
    assert at.engine.state.rules[f"both|{MAIN}"].state.unknown_since_ns == START_NS
    found = {second: look(at.at(second), rules) for second in range(600, 1200, 30)}
    assert min(second for second, one in found.items() if "both" in one) in range(720, 780)


def test_what_fires_speaks_for_itself() -> None:
    """Its page is marked stale, and another tells of that."""
    at = desk()
    at.context("BTC", HL, mark_price=100.0).positions(("BTC", 20.0)).evaluate()
    assert at.engine.state.rules["exposed|portfolio"].state.firing
    assert "exposed" not in look(at.at(900.0))


@pytest.mark.parametrize(
    ("name", "subject", "lack"),
    [
        ("mark_price", BTC, Lack.MISSING),
        ("equity_usd", MAIN, Lack.MISSING),
        ("margin_usage_ratio", MAIN, Lack.MISSING),  # what it rests on
        ("mark_price", DBTC, Lack.CHOICE),  # its venue margins on the oracle
        ("net_to_view_cap_ratio", asset_subject("BTC"), Lack.CHOICE),
        ("harvest_edge_ratio", asset_subject("ETH"), Lack.CHOICE),
        ("cross_margin_strategies_count", MAIN, Lack.CHOICE),
        ("spread_of_usual_ratio", BTC, Lack.FILLING),
        ("request_error_ratio", HL_VENUE, Lack.FILLING),
        ("volatility_slow", asset_subject("BTC"), Lack.HISTORY),
        ("volatility_percentile", PORTFOLIO, Lack.HISTORY),
        ("volatility_horizon", asset_subject("BTC"), Lack.HISTORY),  # what it rests on
        ("funding_z", BTC, Lack.HISTORY),
        ("funding_common_factor_ratio", PORTFOLIO, Lack.MISSING),
        ("funding_stress_unknown_s", PORTFOLIO, Lack.HISTORY),
        ("funding_baseline_known_ratio", HL_VENUE, Lack.HISTORY),
    ],
)
def test_kinds_of_absence(name: str, subject: Subject, lack: Lack) -> None:
    """Said where the absence is made; what is not said to be anything else is missing."""
    at = Desk((HL, "main"), (DYDX, "main")).list_market().list_market("ETH")
    at.list_market("BTC-USD", DYDX)
    at.tell(e.AccountModeSeen(venue=HL, channel="x", account="main", mode=AccountMode.STANDARD))
    at.evaluate()
    why = at.engine.why_absent(name, subject, at.now)
    assert why.reason
    assert why.lack is lack, why.reason


def test_what_a_rule_reads_lacks_what_that_rests_on() -> None:
    """As it is looked up anew for whoever is told."""
    rule = """
- id: volatile
  for_each: asset
  summary: Volatile
  when: volatility_horizon >= 0.9
  severity: warning
"""
    at = Desk((HL, "main"), rules=rule).list_market()
    at.evaluate()
    ((name, why),) = at.engine.absent_inputs("volatile", asset_subject("BTC"), at.now)
    assert (name, why.lack) == ("volatility_horizon", Lack.HISTORY), why


def test_the_words_of_a_reason_excuse_nothing() -> None:
    """A market may be named as it likes, and a venue may answer with any words."""
    at = desk().at(130.0)
    at.evaluate()
    words = "no source: 3 of 9 hours of it known without a gap"
    for lack in Lack:
        found = judged(at, [("margin_usage_ratio", Why(words, lack))], UnseenRules())
        assert ("usage" in found) is (lack is Lack.MISSING)


OPEN_ENDED = """
margin:
  - id: all_of
    for_each: account
    summary: All
    when: margin_usage_ratio >= 0.3 && funding_stress_index >= 90.0
    severity: high
  - id: all_of_groups
    for_each: account
    summary: Groups
    when: funding_stress_index >= 90.0 && (margin_usage_ratio >= 0.3 || leverage >= 3.0)
    severity: high
  - id: any_of
    for_each: account
    summary: Any
    when: margin_usage_ratio >= 0.3 || funding_stress_index >= 90.0
    severity: high
  - id: two_of
    for_each: account
    summary: Two
    flags:
      one: margin_usage_ratio >= 0.3
      other: funding_stress_index >= 90.0
      third: leverage >= 3.0
    at_least: 2
    within: 30m
    severity: high
"""


def judged(at: Desk, absent: list[tuple[str, Why]], rules: UnseenRules) -> dict[str, Unseen]:
    """Those found where these inputs are absent."""
    found = rules.look(
        at.engine.state, at.engine.rulebook.rules, lambda *_: absent, at.now, history_due_ns=None
    )
    return {one.rule: one for one in found}


def test_what_nobody_could_tell_excuses_only_what_needs_it() -> None:
    """An input that is missing may alone make an OR, or two of three, true."""
    at = Desk((HL, "main"), rules=OPEN_ENDED).list_market()
    at.evaluate()
    absent = [
        ("funding_stress_index", Why("only one watched market of BTC", Lack.CHOICE)),
        ("margin_usage_ratio", Why(f"equity of {MAIN} was never stated")),
    ]
    at.at(130.0).evaluate()
    assert judged(at, absent, UnseenRules()).keys() == {"any_of", "two_of"}
    assert judged(at, absent[:1], UnseenRules()) == {}


def test_who_is_blind_through_a_venue_is_exposed_by_what_it_holds() -> None:
    """The reason ends at the venue; the positions are the account's."""
    at = desk()
    at.positions(("BTC", 2.0)).at(130.0).evaluate()
    absent = [("margin_usage_ratio", Why(f"block_age_s of venue:{HL}: no block was told"))]
    (usage,) = judged(at, absent, UnseenRules()).values()
    assert usage.at == f"venue:{HL}"
    assert usage.exposed


def test_blindness_that_began_again_is_judged_again() -> None:
    """Seen for a moment between two looks: its minutes begin anew."""
    at, rules = desk(), UnseenRules()
    absent = [("margin_usage_ratio", Why(f"equity of {MAIN} was never stated"))]
    assert judged(at.at(130.0), absent, rules)["usage"].since_ns == START_NS
    memory = at.engine.state.rules[f"usage|{MAIN}"]
    memory.state = replace(memory.state, unknown_since_ns=at.ns(132.0))
    assert judged(at.at(160.0), absent, rules) == {}
    assert judged(at.at(252.0), absent, rules)["usage"].since_ns == at.ns(132.0)
