"""What of a venue is dark, counted once; and that silence is no halt, while a halt is seen."""

from __future__ import annotations

import pytest

from monitor.core import events as e
from monitor.core.decision import Decision
from monitor.core.types import AlertState, feed_subject
from monitor.notify.alerts import DispatchPolicy, Route
from monitor.notify.dispatch import Dispatcher
from monitor.notify.notice import decode_notice
from monitor.rulebook import builtin_files
from tests.core.desk import HL, HL_VENUE, Desk

STATUS = f"{HL}/rest.exchangeStatus"
SOCKET = f"{HL}/market-1"
FEEDS = ("ctx", "bbo", "trades")


def connected(desk: Desk, name: str) -> Desk:
    """A socket or poll works."""
    return desk.tell(e.FeedConnected(venue=HL, channel=f"{HL}/{name}", feed=name))


def lost(desk: Desk, name: str) -> Desk:
    """A socket or poll is down, and what it carries by name with it."""
    return desk.tell(
        e.FeedLost(venue=HL, channel=f"{HL}/{name}", feed=name, reason="refused", retry_s=1.0)
    )


def block(desk: Desk, at_s: float, channel: str = STATUS) -> Desk:
    """A source says that the newest block is of ``at_s``."""
    return desk.tell(
        e.ChainTimeSeen(venue=HL, channel=channel, source="exchange", time_ns=desk.ns(at_s))
    )


def watched() -> Desk:
    """One socket with three feeds of two channels, two polls; everything speaks."""
    desk = connected(Desk(), "market-1")
    for feed in FEEDS:
        desk.open(f"{HL}/{feed}/BTC", 1.0).open(f"{HL}/{feed}/SOL", 1.0)
    for poll in ("rest.exchangeStatus", "rest.account"):
        connected(desk, poll).open(f"{HL}/{poll}", 5.0)
    return desk


def speak(desk: Desk, *silent: str) -> Desk:
    """Every channel but the named ones proves alive."""
    for name in list(desk.engine.state.channels):
        if name not in silent:
            desk.alive(name)
    return desk


def counts(desk: Desk) -> dict[str, float | None]:
    """The venue's counts of what is dark."""
    desk.evaluate()
    names = ("feeds_known", "feeds_lost", "connections_lost", "feeds_silent", "channels_lost")
    return {name: desk.value(name, HL_VENUE) for name in names}


def fired(decision: Decision) -> list[tuple[str, str]]:
    """(rule, summary) of what began."""
    return [
        (one.rule, one.summary) for one in decision.transitions if one.after is AlertState.FIRING
    ]


# ------------------------------------------------------------------------------------ blocks


def test_a_venue_that_answers_with_an_old_block_ages_exactly() -> None:
    """A halt: each answer repeats the last block, whose age grows to the nanosecond."""
    desk = watched()
    desk.load(dict(builtin_files())["data.yaml"])
    begun: list[tuple[str, str]] = []
    for second in range(0, 41, 5):
        block(speak(desk.at(second)), 0)
        begun += fired(desk.evaluate())
        assert desk.value("block_age_s", HL_VENUE) == float(second)
    assert "venue_stalled" in [rule for rule, _ in begun]


@pytest.mark.parametrize("way", ["lost", "silent"])
def test_an_outage_is_no_halt(way: str) -> None:
    """Whoever hears nothing does not know how old the newest block is; no rule calls it halted."""
    desk = watched()
    desk.load(dict(builtin_files())["data.yaml"])
    block(desk, 0)
    begun = fired(desk.evaluate())
    if way == "lost":
        lost(lost(desk.at(1), "rest.exchangeStatus"), "market-1")
        desk.evaluate()
        assert desk.value("block_age_s", HL_VENUE) is None
    for second in range(2, 240):
        begun += fired(desk.at(second).evaluate())
        age = desk.value("block_age_s", HL_VENUE)
        assert age is None or age < 20.0
    rules = [rule for rule, _ in begun]
    assert not {"venue_stalled", "venue_slow"} & set(rules)
    assert rules.count("venue_unreachable") == 1


@pytest.mark.parametrize(
    ("cadence_s", "limit_s"),
    [
        pytest.param(5.0, 15.0, id="three cadences"),
        pytest.param(1.0, 10.0, id="the floor"),
        pytest.param(None, 20.0, id="no cadence"),
    ],
)
def test_block_age_ends_with_its_source(cadence_s: float | None, limit_s: float) -> None:
    """Present at the limit of silence, though no older than at the last answer; absent a nanosecond
    later, back with the next answer."""
    desk = block(Desk().open(STATUS, cadence_s), 0)
    desk.evaluate()
    assert desk.at(limit_s).value("block_age_s", HL_VENUE) == 0.0
    desk.now += 1
    assert desk.value("block_age_s", HL_VENUE) is None
    assert "answers" in desk.why("block_age_s", HL_VENUE)
    desk.at(60)
    block(desk, 0)
    assert desk.after("block_age_s", HL_VENUE) == 60.0


def test_waiting_for_an_answer_makes_no_block_old() -> None:
    """A poll every ten seconds may be late by twice that: whatever we have not asked or read yet,
    on a busy machine too, is no halt. Then the venue repeats an old block, and that is one."""
    desk = Desk().open(STATUS, 10.0).load(dict(builtin_files())["data.yaml"])
    begun: list[tuple[str, str]] = []
    for answered in (0, 29, 58, 87):
        block(desk.at(answered), answered)
        for second in range(answered, answered + 29):
            begun += fired(desk.at(second).evaluate())
            assert (desk.value("block_age_s", HL_VENUE) or 0.0) < 10.0
    assert [rule for rule, _ in begun if rule in {"venue_slow", "venue_stalled"}] == []
    for answered in (116, 126):
        begun += fired(block(desk.at(answered), 87).evaluate())
    assert "venue_stalled" in [rule for rule, _ in begun]


def test_one_living_source_is_enough() -> None:
    """The stream is gone, the poll answers: the newest block known to either counts."""
    desk = block(Desk().open(STATUS, 5.0), 0)
    desk.open(f"{HL}/blocks", 1.0).tell(
        e.ChainTimeSeen(
            venue=HL, channel=f"{HL}/blocks", source="stream", time_ns=desk.ns(2), height=7
        )
    )
    desk.lose(f"{HL}/blocks")
    desk.at(12).alive(STATUS)
    assert desk.after("block_age_s", HL_VENUE) == 10.0


# ------------------------------------------------------------------------------------ counts


def test_everything_speaks() -> None:
    """A socket, three feeds and two polls; none of them dark."""
    assert counts(watched()) == {
        "feeds_known": 6.0,
        "feeds_lost": 0.0,
        "connections_lost": 0.0,
        "feeds_silent": 0.0,
        "channels_lost": 0.0,
    }


def test_a_lost_socket_explains_its_channels() -> None:
    """What it carried is lost with it, and not counted again beside it."""
    desk = lost(watched(), "market-1")
    for feed in FEEDS:
        desk.lose(f"{HL}/{feed}/")
    assert counts(desk) == {
        "feeds_known": 6.0,
        "feeds_lost": 4.0,
        "connections_lost": 1.0,
        "feeds_silent": 0.0,
        "channels_lost": 0.0,
    }


@pytest.mark.parametrize("how", ["closed", "silent"])
def test_a_dead_channel_is_a_channel(how: str) -> None:
    """One of two: its feed lives. Both: the feed is silent, and no channel is told beside it."""
    desk = watched()
    names = (f"{HL}/ctx/BTC", f"{HL}/ctx/SOL")
    for dead, feeds, channels in (names[:1], 0.0, 1.0), (names, 1.0, 0.0):
        for name in dead if how == "closed" else ():
            desk.lose(name)
        desk.now += 20_000_000_000
        speak(desk, *dead)
        found = counts(desk)
        assert (found["feeds_silent"], found["channels_lost"]) == (feeds, channels)
        assert found["connections_lost"] == 0.0


def test_a_venue_whose_sockets_speak_is_not_dark() -> None:
    """Requests that are refused, most of the venue's feeds or not, do not make it unreachable."""
    desk = watched()
    for poll in ("rest.a", "rest.b", "rest.c", "rest.d"):
        connected(desk, poll).open(f"{HL}/{poll}", 5.0)
    assert desk.after("venue_dark_ratio", HL_VENUE) == 0.0
    for poll in ("rest.a", "rest.b", "rest.c", "rest.d", "rest.account", "rest.exchangeStatus"):
        lost(desk, poll)
    assert desk.after("feeds_lost_ratio", HL_VENUE) == 0.6
    assert desk.after("venue_dark_ratio", HL_VENUE) == 0.0
    desk.lose(f"{HL}/ctx/").lose(f"{HL}/bbo/")
    assert desk.after("venue_dark_ratio", HL_VENUE) == pytest.approx(2 / 3)
    lost(desk, "market-1").lose(f"{HL}/trades/")
    assert desk.after("venue_dark_ratio", HL_VENUE) == 1.0


def test_a_venue_known_by_requests_alone_is_dark_with_them() -> None:
    """Where no socket ever spoke, what is asked for is all there is to see."""
    desk = connected(Desk(), "rest.account").open(f"{HL}/rest.account", 5.0)
    assert desk.after("venue_dark_ratio", HL_VENUE) == 0.0
    lost(desk, "rest.account")
    assert desk.after("venue_dark_ratio", HL_VENUE) == 1.0


def test_a_connection_is_a_socket_or_a_poll() -> None:
    """A feed of channels has no connection of its own to lose."""
    desk = watched()
    assert desk.after("feed_connected", feed_subject(HL, "market-1")) == 1.0
    assert desk.value("feed_connected", feed_subject(HL, "ctx")) is None
    assert "not a connection" in desk.why("feed_connected", feed_subject(HL, "ctx"))


# ------------------------------------------------------------------------------------- pages


def pages(desk: Desk, until_s: int, *silent: str, from_s: int = 0) -> list[tuple[str, str]]:
    """(rule, summary) of what people are told while all but ``silent`` speaks every second."""
    policy = DispatchPolicy(deployment="desk", routes=(Route(channel="pager"),))
    dispatcher = Dispatcher(policy, now=desk.ns(from_s))
    found: list[tuple[str, str]] = []
    for second in range(from_s, until_s):
        decision = speak(desk.at(second), *silent).evaluate()
        for phase in (dispatcher.decided(decision), dispatcher.tick(desk.ns(second)).phase):
            notices = [decode_notice(entry.notice) for entry in phase.entries]
            found += [(one.label("rule"), one.annotation("summary")) for one in notices]
    return found


def test_an_outage_is_one_page_with_a_count() -> None:
    """However many channels it takes away, and even if they go one after the other."""
    desk = watched().load(dict(builtin_files())["data.yaml"])
    assert pages(desk, 60) == []
    for name in ("rest.account", "market-1"):
        lost(desk, name)
    for feed in FEEDS:
        desk.lose(f"{HL}/{feed}/")
    ((rule, text),) = pages(desk, 200, from_s=60)
    assert rule == "venue_unreachable"
    assert "5 of 6 feeds lost; venue hyperliquid. WOULD HAVE held it" in text


@pytest.mark.parametrize(
    ("dead", "rule", "words"),
    [
        pytest.param(
            (f"{HL}/ctx/BTC",), "channel_lost", "1 channel lost (limit 0), ctx/BTC", id="channel"
        ),
        pytest.param(
            (f"{HL}/ctx/BTC", f"{HL}/ctx/SOL"),
            "data_stale",
            "1 feed silent (limit 0), ctx",
            id="feed",
        ),
    ],
)
def test_a_partial_loss_is_one_page_that_names_it(
    dead: tuple[str, ...], rule: str, words: str
) -> None:
    """Which channel or feed stands in the first line."""
    desk = watched().load(dict(builtin_files())["data.yaml"])
    (found,) = pages(desk, 200, *dead)
    assert found[0] == rule
    assert f"{words}; venue hyperliquid" in found[1]


def test_failing_polls_are_one_page() -> None:
    """Several connections, one page with their names, until all are back."""
    desk = watched().load(dict(builtin_files())["data.yaml"])
    for name in ("rest.account", "rest.exchangeStatus"):
        lost(desk, name)
    ((rule, text),) = pages(desk, 200)
    assert rule == "feed_disconnected"
    assert (
        "2 connections down (limit 0), rest.exchangeStatus, rest.account; venue hyperliquid" in text
    )


def test_an_outage_is_not_told_again_per_account() -> None:
    """The venue's page holds all its accounts; a single account unread is told as such."""
    text = dict(builtin_files())["data.yaml"]
    for whole_venue, rule in ((True, "venue_unreachable"), (False, "account_truth_stale")):
        desk = Desk((HL, "main"))
        connected(desk, "market-1")
        connected(desk, "rest.account").open(f"{HL}/rest.account", 5.0)
        for feed in FEEDS:
            desk.open(f"{HL}/{feed}/BTC", 1.0)
        desk.load(text)
        assert [one for one, _ in pages(desk, 20)] == []
        if whole_venue:
            lost(lost(desk, "market-1"), "rest.account")
            for feed in FEEDS:
                desk.lose(f"{HL}/{feed}/")
        assert [one for one, _ in pages(desk, 300, from_s=20)] == [rule]
