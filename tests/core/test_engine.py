"""The engine: when rules are asked, what a decision holds, what a reload and a restart keep."""

from __future__ import annotations

import msgspec
import pytest

from monitor.core import events as e
from monitor.core.decision import ActionLevel, Decision
from monitor.core.engine import Engine
from monitor.core.errors import ConfigError
from monitor.core.measures.catalogue import CATALOGUE, DEFINITIONS
from monitor.core.measures.definition import Definition, Key, rank_definitions
from monitor.core.measures.tree import MarketNode, Node
from monitor.core.measures.use import Use
from monitor.core.settings import EngineSettings
from monitor.core.types import AlertState, SubjectKind, feed_subject, rule_subject
from tests.core.desk import BTC, HL, MAIN, PORTFOLIO, Desk

INACTIVE, PENDING = AlertState.INACTIVE, AlertState.PENDING
FIRING, RECOVERING = AlertState.FIRING, AlertState.RECOVERING

LOW = """
- id: mark_low
  for_each: market
  when: mark_price < 90.0
  until: mark_price > 95.0
  for: {hold}
  keep_firing_for: {keep}
  severity: warning
  do: {{level: page}}
  scope: market
  summary: Mark is low
"""


def low(hold: str = "0s", keep: str = "0s") -> str:
    """The rule most tests ask."""
    return LOW.format(hold=hold, keep=keep)


def states(decision: Decision) -> list[tuple[str, AlertState, AlertState]]:
    """(rule, before, after) of each transition."""
    return [(one.rule, one.before, one.after) for one in decision.transitions]


def mark(desk: Desk, second: float, price: float) -> Decision:
    """A mark, and the batch's decision."""
    return desk.at(second).context(mark_price=price).evaluate()


def state_of(desk: Desk, rule: str = "mark_low", subject: str = BTC) -> AlertState:
    """The state a rule is in."""
    memory = desk.engine.state.rules.get(f"{rule}|{subject}")
    return INACTIVE if memory is None else memory.state.state


# ------------------------------------------------------------------------------ the catalogue


def test_catalogue_is_sound() -> None:
    """Every declaration is computed for every kind it names, and readable by a trader."""
    for name, spec in CATALOGUE.items():
        assert {kind for n, kind in DEFINITIONS if n == name} == set(spec.kinds), name
        assert spec.help.endswith("."), name
        assert spec.low <= min(spec.typical), name
        assert max(spec.typical) <= spec.high, name
    assert all(rank >= 0 for rank in rank_definitions(DEFINITIONS).values())


def test_a_measure_that_reads_itself_is_refused() -> None:
    """By whatever way round."""
    broken = dict(DEFINITIONS)
    key: Key = ("equity_usd", SubjectKind.ACCOUNT)
    relation = DEFINITIONS["leverage", SubjectKind.ACCOUNT].needs[0][0]
    broken[key] = msgspec.structs.replace(broken[key], needs=((relation, "leverage"),))
    with pytest.raises(ValueError, match="reads itself"):
        rank_definitions(broken)


# ---------------------------------------------------------------------------------- a life


def test_a_rule_lives() -> None:
    """Pending, firing, recovering, inactive, each at its own deadline, told by wake_at."""
    desk = Desk(rules=low("5s", "8s")).list_market("SOL")

    def say(second: float, price: float) -> Decision:
        return desk.at(second).context("SOL", mark_price=price).evaluate()

    assert states(say(0, 100)) == []
    decision = say(1, 80)
    assert states(decision) == [("mark_low", INACTIVE, PENDING)]
    assert decision.wake_at_ns == desk.ns(6)
    decision = desk.at(6).evaluate()
    assert states(decision) == [("mark_low", PENDING, FIRING)]
    assert decision.transitions[0].firing_epoch_ns == desk.ns(6)
    decision = say(7, 96)
    assert states(decision) == [("mark_low", FIRING, RECOVERING)]
    assert decision.wake_at_ns == desk.ns(15)
    decision = desk.at(15).evaluate()
    assert states(decision) == [("mark_low", RECOVERING, INACTIVE)]


def test_nothing_fires_before_its_hold() -> None:
    """One nanosecond short is short."""
    desk = Desk(rules=low("5s")).list_market()
    mark(desk, 0, 80)
    desk.at(5).now -= 1
    assert states(desk.evaluate()) == []
    desk.now += 1
    assert states(desk.evaluate()) == [("mark_low", PENDING, FIRING)]


def test_absence_resolves_nothing() -> None:
    """An hour of silence, a lost channel, a gap: still firing; the first known exit ends it."""
    desk = Desk(rules=low()).list_market().open(f"{HL}/ctx/BTC")
    assert states(mark(desk, 0, 80)) == [("mark_low", INACTIVE, FIRING)]
    for second in range(1, 60):
        desk.at(60 * second)
        if second == 5:
            desk.lose(f"{HL}/ctx/BTC", gap=True)
        assert states(desk.evaluate()) == []
    assert desk.value("mark_price") is None
    assert state_of(desk) is FIRING
    assert states(mark(desk, 3_600, 100)) == [("mark_low", FIRING, INACTIVE)]


def test_a_suspect_price_neither_fires_nor_resolves() -> None:
    """A zero is no crash, and a jump back up is no recovery until confirmed."""
    desk = Desk(rules=low()).list_market()
    mark(desk, 0, 100)
    assert states(mark(desk, 1, 0.0)) == []
    assert states(mark(desk, 2, 100)) == []
    assert states(mark(desk, 3, 80)) == [("mark_low", INACTIVE, FIRING)]
    assert states(mark(desk, 4, 800)) == []
    assert states(mark(desk, 5, 80)) == []


def test_a_transition_cites_what_it_read() -> None:
    """Value, unit, age, and the reason where there was none."""
    desk = Desk(rules=low()).list_market()
    transition = mark(desk, 0, 80).transitions[0]
    cited = {one.measure: one for one in transition.inputs}
    assert (cited["mark_price"].value, cited["mark_price"].unit) == (80.0, "price")
    assert cited["mark_price"].as_of_ns == desk.now
    assert cited["mark_price"].subject == BTC
    assert "80" in transition.summary
    assert transition.alert == "MarkLow"


def test_a_deadline_makes_readings_current() -> None:
    """What a rule cites at its deadline is as fresh as the channel proved it, not as last told."""
    desk = Desk(rules=low("30s")).list_market("SOL").open(f"{HL}/ctx/SOL")
    desk.context("SOL", mark_price=80.0).evaluate()
    desk.at(25).alive(f"{HL}/ctx/SOL")
    transition = desk.at(30).evaluate().transitions[0]
    assert transition.inputs[0].as_of_ns == desk.ns(25)


# -------------------------------------------------------------------------- who is asked when


def test_rules_are_asked_only_when_a_limit_is_crossed() -> None:
    """A hundred moves inside the band ask nobody; the crossing does."""
    desk = Desk(rules=low()).list_market()
    mark(desk, 0, 100)
    asked, computed = desk.engine.steps_total, desk.engine.recomputed_total
    for second in range(1, 101):
        assert mark(desk, second, 100 + second % 7).quiet
    assert desk.engine.steps_total == asked
    assert desk.engine.recomputed_total - computed < 15  # expiries, not moves
    assert desk.value("mark_price") == 102.0
    assert states(mark(desk, 101, 89.9)) == [("mark_low", INACTIVE, FIRING)]


@pytest.mark.parametrize(
    ("price", "fires"),
    [
        pytest.param(90.0, False, id="on the limit"),
        pytest.param(89.999999, True, id="just below"),
    ],
)
def test_a_limit_is_exact(price: float, fires: bool) -> None:
    """Previews and guard bands change nothing about where a limit lies."""
    desk = Desk(rules=low()).list_market()
    mark(desk, 0, 100)
    assert (states(mark(desk, 1, price)) != []) is fires


def test_resting_on_a_limit_asks_nobody() -> None:
    """The same middle of another book, exactly on the limit: the middle is all that is computed,
    and the rule's other input is not asked for."""
    rule = low().replace("mark_price < 90.0", "oracle_age_s < 60.0 && mid_price < 90.0")
    desk = Desk(rules=rule.replace("until: mark_price", "until: mid_price")).list_market()
    desk.context(oracle_price=90.0).top(89.0, 91.0).evaluate()
    computed = desk.engine.recomputed_total
    assert desk.at(0.5).top(88.0, 92.0).evaluate().quiet
    assert desk.engine.recomputed_total == computed + 1
    assert states(desk.at(0.6).top(88.0, 91.999).evaluate()) == [("mark_low", INACTIVE, FIRING)]


def test_leaving_a_limit_is_seen() -> None:
    """A value that stood exactly on a limit moves off it by a hair, to either side."""
    rule = low().replace("mark_price < 90.0", "mark_price >= 90.0 && mark_price <= 90.0")
    rule = rule.replace("  until: mark_price > 95.0\n", "")
    for off in (89.999999, 90.000001):
        desk = Desk(rules=rule).list_market()
        assert states(mark(desk, 0, 90.0)) == [("mark_low", INACTIVE, FIRING)]
        assert states(mark(desk, 1, off)) == [("mark_low", FIRING, INACTIVE)]


def test_rules_that_compare_measures_are_asked_at_every_change() -> None:
    """No band can be known for arithmetic."""
    rule = LOW.replace("mark_price < 90.0", "mark_price < 0.9 * oracle_price").replace(
        "  until: mark_price > 95.0\n", ""
    )
    desk = Desk(rules=rule.format(hold="0s", keep="0s")).list_market()
    desk.context(oracle_price=100.0)
    assert states(mark(desk, 0, 95)) == []
    assert states(mark(desk, 1, 89)) == [("mark_low", INACTIVE, FIRING)]
    desk.at(2).context(oracle_price=97.0)
    assert states(desk.evaluate()) == [("mark_low", FIRING, INACTIVE)]


def test_ages_cross_their_limit_by_themselves() -> None:
    """No message says that a feed went silent: the deadline does, to the nanosecond."""
    desk = Desk(rules=FEED).open(f"{HL}/ctx/BTC", 1.0)
    feed = feed_subject(HL, "ctx")
    decision = desk.evaluate()
    assert decision.wake_at_ns == desk.ns(15) + 1
    desk.at(10).alive(f"{HL}/ctx/")
    desk.now = desk.ns(15) + 1
    decision = desk.evaluate()
    assert decision.quiet
    wake = decision.wake_at_ns
    assert wake == desk.ns(25) + 1
    desk.now = wake
    assert states(desk.evaluate()) == [("feed_silent", INACTIVE, FIRING)]
    assert desk.value("feed_age_s", feed) == pytest.approx(15.0)
    desk.at(30).alive(f"{HL}/ctx/").evaluate()
    decision = desk.at(31).evaluate()
    assert state_of(desk, "feed_silent", feed) is INACTIVE


FEED = """
- id: feed_silent
  for_each: feed
  when: feed_age_s > 15.0
  severity: warning
  do: {level: page}
  scope: venue
  summary: A feed is silent
"""

CONFIRMED = """
- id: mark_low
  for_each: market
  when: mark_price < 90.0
  confirm: {need: 2, of: 2, apart: 20s}
  severity: critical
  do: {level: cut, gross_to: 0.5}
  scope: market
  mode: act
  summary: Mark is low
"""


def test_confirmations_need_distinct_observations() -> None:
    """The same value told again counts as one more look; a heartbeat does not."""
    desk = Desk(rules=CONFIRMED).list_market().open(f"{HL}/ctx/BTC")
    mark(desk, 0, 80)
    for second in (5, 10, 15, 20, 25):
        desk.at(second).alive(f"{HL}/ctx/")
        assert states(desk.evaluate()) == []
    decision = mark(desk, 26, 80)
    assert states(decision) == [("mark_low", PENDING, FIRING)]
    assert decision.kill_requests[0].level is ActionLevel.CUT
    assert decision.kill_requests[0].gross_to_ratio == 0.5
    assert "WOULD HAVE" in decision.transitions[0].action


def test_max_staleness_of_a_rule_is_a_deadline() -> None:
    """Unknown for the rule although the measure is present, and known again by a heartbeat."""
    rule = low() + "  max_staleness: 4s\n  on_unknown: fire\n"
    desk = Desk(rules=rule).list_market("SOL").open(f"{HL}/ctx/SOL")
    desk.context("SOL", mark_price=100.0)
    decision = desk.evaluate()
    assert decision.wake_at_ns == desk.ns(4) + 1
    desk.at(3).alive(f"{HL}/ctx/")
    assert desk.at(4.1).evaluate().quiet
    decision = desk.at(7.1).evaluate()
    assert states(decision) == [("mark_low", INACTIVE, FIRING)]
    assert decision.transitions[0].reason == "missing_data"
    desk.at(8).alive(f"{HL}/ctx/").evaluate()
    assert states(desk.at(9).evaluate()) == [("mark_low", FIRING, INACTIVE)]


def test_rules_read_rules() -> None:
    """In the same batch, whatever their order in the file."""
    rules = low() + SECOND
    desk = Desk(rules=rules).list_market()
    decision = mark(desk, 0, 80)
    assert states(decision) == [("mark_low", INACTIVE, FIRING), ("second", INACTIVE, FIRING)]
    assert desk.value("rule_firing", rule_subject("mark_low")) == 1.0
    assert desk.at(60).value("rule_state_s", rule_subject("mark_low")) == 60.0
    assert states(mark(desk, 61, 100)) == [
        ("mark_low", FIRING, INACTIVE),
        ("second", FIRING, INACTIVE),
    ]
    assert desk.value("rule_state_s", rule_subject("mark_low")) == 0.0


SECOND = """
- id: second
  for_each: portfolio
  when: firing__mark_low > 0.5
  severity: info
  do: {level: page}
  scope: portfolio
  summary: Some mark is low
"""


def test_unaffected_rules_cost_nothing() -> None:
    """A hundred times the rules about other measures: not one more computation, not one ask."""

    def work(copies: int) -> tuple[int, int]:
        rules = low() + "".join(
            low().replace("mark_low", f"other_{n}").replace("mark_price", "index_price")
            for n in range(copies)
        )
        desk = Desk(rules=rules).list_market()
        mark(desk, 0, 100)
        before = desk.engine.recomputed_total, desk.engine.steps_total
        for second in range(1, 50):
            mark(desk, second, 100 if second % 2 else 80)
        return (
            desk.engine.recomputed_total - before[0],
            desk.engine.steps_total - before[1],
        )

    assert work(1) == work(100)


# ---------------------------------------------------------------------------- containment


def broken_definitions(failing: bool) -> dict[Key, Definition]:
    """The real catalogue with one measure that raises, or leaves its range."""

    def compute(node: MarketNode, _use: Use) -> float | None:
        price = node.market.mark.value
        if price is None or price < 90:
            if failing:
                raise RuntimeError("boom")
            return float("inf")
        return price

    key: Key = ("index_price", SubjectKind.MARKET)
    found = dict(DEFINITIONS)
    found[key] = msgspec.structs.replace(
        DEFINITIONS[key],
        compute=compute,
        bits=1,
        preview=None,  # type: ignore[arg-type]  # MarketNode
    )
    return found


@pytest.mark.parametrize("failing", [True, False], ids=["raises", "leaves its range"])
def test_one_measure_fails_alone(failing: bool) -> None:
    """Absent, counted, named once; others go on and it heals."""
    rules = low() + low().replace("mark_low", "index_low").replace("mark_price", "index_price")
    desk = Desk(definitions=broken_definitions(failing), rules=rules).list_market()
    assert mark(desk, 0, 100).measure_errors == ()
    decision = mark(desk, 1, 80)
    assert len(decision.measure_errors) == 1
    assert decision.measure_errors[0].startswith(f"index_price of {BTC}")
    assert states(decision) == [("mark_low", INACTIVE, FIRING)]
    assert desk.value("index_price") is None
    assert mark(desk, 2, 81).measure_errors == ()
    assert desk.engine.measure_errors_total["index_price"] >= 2
    mark(desk, 3, 100)
    assert desk.value("index_price") == 100.0
    assert len(mark(desk, 4, 80).measure_errors) == 1


def test_a_broken_measure_that_nobody_asks_about_is_absent_when_read() -> None:
    """Reading for the console raises nothing and changes nothing."""
    desk = Desk(definitions=broken_definitions(True)).list_market()
    mark(desk, 0, 80)
    assert desk.value("index_price") is None
    assert "boom" in desk.why("index_price")


def test_one_rule_fails_alone() -> None:
    """A step that raises is a health ERROR told once; the state is kept; others go on."""
    desk = Desk(rules=low() + low().replace("mark_low", "twin")).list_market()
    mark(desk, 0, 80)
    asked = desk.engine._rules._asked[f"mark_low|{BTC}"]
    good = asked.rule.when

    class Bomb:
        """An expression that should not be possible."""

        plain = False
        variables = frozenset({"mark_price"})

        def evaluate(self, _resolve: object) -> None:
            """Fails."""
            raise RuntimeError("boom")

    msgspec.structs.force_setattr(asked.rule, "when", Bomb())
    decision = mark(desk, 1, 100)
    assert [(one.rule, bool(one.error)) for one in decision.health] == [("mark_low", True)]
    assert states(decision) == [("twin", FIRING, INACTIVE)]
    assert state_of(desk) is FIRING
    assert mark(desk, 2, 80).health == ()
    msgspec.structs.force_setattr(asked.rule, "when", good)
    decision = mark(desk, 3, 100)
    assert [(one.rule, one.error) for one in decision.health] == [("mark_low", "")]
    assert states(decision)[0] == ("mark_low", FIRING, INACTIVE)


# ------------------------------------------------------------------------------- estimates


def estimated_definitions() -> dict[Key, Definition]:
    """Gross exposure that is an estimate while the oracle differs from the mark."""
    key: Key = ("mark_price", SubjectKind.MARKET)

    def compute(node: Node, use: Use) -> float | None:
        value = DEFINITIONS[key].compute(node, use)
        assert isinstance(node, MarketNode)
        use.estimated = node.market.oracle.value != node.market.mark.value
        return value

    found = dict(DEFINITIONS)
    found[key] = msgspec.structs.replace(DEFINITIONS[key], compute=compute, preview=None, bits=3)
    return found


def test_estimates_hold_and_never_cut() -> None:
    """The stronger action is asked for once the numbers are exact."""
    desk = Desk(definitions=estimated_definitions(), rules=CONFIRMED).list_market()
    desk.context(oracle_price=79.0)
    mark(desk, 0, 80)
    decision = mark(desk, 30, 80)
    request = decision.kill_requests[0]
    assert (request.level, request.capped_by_estimate) == (ActionLevel.HOLD, True)
    assert request.gross_to_ratio is None
    assert decision.transitions[0].inputs[0].estimated
    assert mark(desk, 31, 80).kill_requests == ()
    desk.at(32).context(mark_price=80.0, oracle_price=80.0)
    request = desk.evaluate().kill_requests[0]
    assert (request.level, request.capped_by_estimate) == (ActionLevel.CUT, False)
    assert mark(desk, 33, 80).kill_requests == ()


def test_absence_may_hold() -> None:
    """A rule that fires on missing data asks for its hold once."""
    rule = HOLD_BLIND
    desk = Desk(rules=rule).list_market("SOL").context("SOL", mark_price=100.0)
    desk.evaluate()
    requests = []
    for second in range(1, 60):
        requests += desk.at(second).evaluate().kill_requests
    assert [(one.level, one.capped_by_estimate) for one in requests] == [(ActionLevel.HOLD, False)]


HOLD_BLIND = """
- id: blind
  for_each: market
  when: mark_price < 90.0
  for: 30s
  max_staleness: 4s
  on_unknown: fire
  severity: high
  do: {level: hold}
  scope: venue
  summary: Mark is low or unknown
"""


# ---------------------------------------------------------------------------------- reload


def test_a_bad_rulebook_changes_nothing() -> None:
    """Refused with every problem; the rules in force stay."""
    desk = Desk(rules=low()).list_market()
    mark(desk, 0, 80)
    with pytest.raises(ConfigError):
        desk.load("- id: broken\n")
    assert desk.evaluate().quiet
    assert state_of(desk) is FIRING
    assert desk.engine.rulebook.get("mark_low") is not None


def test_a_reload_keeps_unchanged_rules() -> None:
    """State and timers: the hold that began before the reload ends when it would have."""
    desk = Desk(rules=low("10s")).list_market()
    mark(desk, 0, 80)
    desk.at(5).load(low("10s") + SECOND)
    assert states(desk.evaluate()) == []
    assert states(desk.at(10).evaluate())[0] == ("mark_low", PENDING, FIRING)


def test_a_changed_rule_keeps_its_alert_until_judged_anew() -> None:
    """Stays firing while its inputs are unknown, ends when the new condition allows it."""
    desk = Desk(rules=low()).list_market()
    mark(desk, 0, 80)
    desk.at(60).load(low().replace("< 90.0", "< 70.0").replace("> 95.0", "> 75.0"))
    assert states(desk.evaluate()) == []
    assert state_of(desk) is FIRING
    assert states(mark(desk, 61, 80)) == [("mark_low", FIRING, INACTIVE)]


def test_a_removed_rule_ends_with_its_reason() -> None:
    """Said as such: nothing was found to be well again."""
    desk = Desk(rules=low() + SECOND).list_market()
    mark(desk, 0, 80)
    desk.at(1).load(SECOND.replace("firing__mark_low > 0.5", "feeds_stale > 5.0"))
    decision = desk.evaluate()
    removed = [one for one in decision.transitions if one.rule == "mark_low"]
    assert [(one.before, one.after, one.reason) for one in removed] == [
        (FIRING, INACTIVE, "rule_removed"),
    ]
    assert f"mark_low|{BTC}" not in desk.engine.state.rules
    assert desk.engine.take_rule_rows()[1] == (("mark_low", BTC),)


def test_a_rule_is_asked_about_subjects_that_appear_later() -> None:
    """Including a rule over assets of a market that had no name yet."""
    desk = Desk(rules=low()).context(mark_price=80.0)
    assert states(desk.evaluate()) == [("mark_low", INACTIVE, FIRING)]
    desk.context("SOL", mark_price=80.0)
    assert [one.subject for one in desk.evaluate().transitions] == [f"market:{HL}/SOL"]


def test_variables_of_an_ancestor_that_comes_later() -> None:
    """A market's asset is known once it is listed; until then its measures are unknown."""
    rule = low().replace("mark_price < 90.0", "net_exposure_usd > 50.0")
    rule = rule.replace("mark_price > 95.0", "net_exposure_usd < 40.0")
    desk = Desk((HL, "main"), rules=rule).context(mark_price=100.0)
    desk.positions(("BTC", 1)).evaluate()
    assert state_of(desk) is INACTIVE
    desk.at(1).list_market().context(mark_price=100.0)
    assert states(desk.evaluate()) == [("mark_low", INACTIVE, FIRING)]


# ---------------------------------------------------------------------------------- restart


@pytest.mark.parametrize(
    ("prices", "state", "gap_s"),
    [
        pytest.param((100,), INACTIVE, 10, id="inactive"),
        pytest.param((80,), PENDING, 10, id="pending, a short gap"),
        pytest.param((80, 80), FIRING, 10, id="firing"),
        pytest.param((80, 80), FIRING, 7_200, id="firing, a long gap"),
        pytest.param((80, 80, 96), RECOVERING, 10, id="recovering"),
    ],
)
def test_a_restart_keeps_every_state(
    prices: tuple[float, ...], state: AlertState, gap_s: int
) -> None:
    """From kept rows and memories alone; the first evaluation says nothing new."""
    rules = low("5s", "600s")
    desk = Desk(rules=rules).list_market()
    for n, price in enumerate(prices):
        mark(desk, 6 * n, price)
    desk.at(6 * len(prices)).evaluate() if state is FIRING else None
    assert state_of(desk) is state
    rows, gone = desk.engine.take_rule_rows()
    assert gone == ()
    assert desk.engine.take_rule_rows() == ((), ())
    epoch = desk.engine.state.rules[f"mark_low|{BTC}"].state.firing_epoch_ns

    again = Desk(engine=Engine(EngineSettings()))
    again.engine.restore(rows, desk.engine.memories(), stopped_ns=desk.now)
    again.now = desk.now + gap_s * 10**9
    again.load(rules)
    assert states(again.evaluate()) == []
    assert state_of(again) is state
    again.list_market().evaluate()
    memory = again.engine.state.rules[f"mark_low|{BTC}"]
    assert (memory.state.state, memory.state.firing_epoch_ns) == (state, epoch)


def test_a_restart_with_a_rule_gone_says_so() -> None:
    """Even before its subject is heard of."""
    desk = Desk(rules=low()).list_market()
    mark(desk, 0, 80)
    rows, _ = desk.engine.take_rule_rows()
    again = Desk(rules="", engine=Engine(EngineSettings()))
    again.engine.restore(rows, (), stopped_ns=desk.now)
    again.at(5).load(SECOND.replace("firing__mark_low > 0.5", "feeds_stale > 5.0"))
    decision = again.evaluate()
    assert [(one.rule, one.reason) for one in decision.transitions] == [
        ("mark_low", "rule_removed"),
    ]


def test_a_restart_keeps_peaks_and_counts_transfers_meanwhile() -> None:
    """A withdrawal while nobody watched is no loss; a loss is."""
    desk = Desk((HL, "main")).positions().money(10_000)
    desk.evaluate()
    again = Desk(engine=Engine(EngineSettings(accounts=((HL, "main"),))))
    again.engine.restore((), desk.engine.memories(), stopped_ns=desk.now)
    again.at(600).positions().money(6_000)
    again.evaluate()
    assert again.value("drawdown_ratio", MAIN) == pytest.approx(0.4)
    again.tell(
        e.TransfersReported(
            venue=HL,
            channel=f"{HL}/ledger/main",
            account="main",
            history=True,
            transfers=(
                e.TransferReport(
                    transfer_id="w",
                    amount_usd=-3_000,  # type: ignore[arg-type]  # a whole number will do
                    time_ns=again.ns(300),
                    kind="withdrawal",  # type: ignore[arg-type]  # the enum's value
                ),
            ),
        ),
    )
    again.at(900).positions().money(6_000)
    assert again.after("drawdown_ratio", PORTFOLIO) == pytest.approx(1_000 / 7_000)


def test_restoring_late_is_refused() -> None:
    """Kept state must not overwrite what was learnt."""
    desk = Desk().list_market()
    desk.evaluate()
    with pytest.raises(ValueError, match="before the first event"):
        desk.engine.restore((), (), stopped_ns=1)


# ---------------------------------------------------------------------------------- reading


def test_instances_tell_every_measure_once() -> None:
    """Every readable measure of every subject, hidden ones not."""
    desk = Desk((HL, "main"), rules=low()).list_market()
    mark(desk, 0, 100)
    told = [(spec.name, subject) for spec, subject, _ in desk.engine.instances(desk.now)]
    assert len(told) == len(set(told))
    expected = {
        (name, subject)
        for subject in desk.engine.subjects()
        for name, kind in DEFINITIONS
        if subject.split(":")[0] == kind.value and not name.startswith("_")
    }
    assert set(told) == expected
    assert ("mark_price", BTC) in expected


def test_reading_changes_nothing() -> None:
    """A console that reads everything at every instant leaves the snapshot as it is."""
    desk = Desk((HL, "main"), rules=low("5s") + FEED).list_market().open(f"{HL}/ctx/BTC", 1.0)
    desk.context(mark_price=80.0).positions(("BTC", 1)).money(100).evaluate()
    before = desk.engine.snapshot()
    for second in range(20):
        list(desk.engine.instances(desk.ns(second)))
    assert desk.engine.snapshot() == before
