"""An armed riskd with a latch comes up whatever is wrong beside it: it enforces, pages, mends."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest

from monitor.app.degraded import ALERT
from monitor.app.inputs import KEPT_RULES
from monitor.core.errors import ConfigError
from monitor.core.killswitch.state import Stage
from tests.alertmanager import free_port
from tests.killpath.rig import HL_SCOPE, Desk, Rig, run

RULE = """\
- id: ours
  for_each: venue
  summary: Too much is held
  when: gross_exposure_usd >= 99000000.0
  severity: critical
"""
LEGS = "legs: [{asset: BTC, size: 1.5, expires: 2037-01-01T00:00:00Z}]\n"
TOKEN = "a-token-of-some-length"  # noqa: S105 - of a test


@dataclass
class Trouble:
    """One thing that is wrong at the second start; ``made`` and ``mended`` change the files."""

    part: str
    says: str
    severity: str = "high"
    more: Mapping[str, object] = field(default_factory=dict)
    made: Callable[[Rig], None] = lambda _rig: None
    mended: Callable[[Rig], None] = lambda _rig: None


def write(name: str, text: str) -> Callable[[Rig], None]:
    """Replace a file of the desk."""
    return lambda rig: (rig.folder / name).write_text(text, encoding="utf-8") and None


def gone(name: str) -> Callable[[Rig], None]:
    """Take a file of the desk away."""
    return lambda rig: (rig.folder / name).unlink()


BAD_RULES = Trouble(
    "rulebook",
    "no_such_measure",
    severity="critical",
    made=write("rules.yaml", RULE.replace("gross_exposure_usd", "no_such_measure")),
    mended=write("rules.yaml", RULE),
)
NO_RULES = Trouble(
    "rulebook",
    "there is no file",
    severity="critical",
    made=gone("rules.yaml"),
    mended=write("rules.yaml", RULE),
)
BAD_LEGS = Trouble(
    "legs",
    "must be a number",
    made=write("legs.yaml", LEGS.replace("1.5", "much")),
    mended=write("legs.yaml", LEGS),
)
NO_TOKEN = Trouble(
    "token",
    "cannot be read",
    made=gone("token"),
    mended=write("token", TOKEN),
)
SHORT_TOKEN = Trouble(
    "token", "characters", made=write("token", "short"), mended=write("token", TOKEN)
)
NO_LEASE = Trouble("lease", "restart lease", more={"kill": {"lease_secret_file": "no-such-file"}})
NO_PAGER = Trouble(
    "channel-other",
    "webhook other",
    more={
        "notify": {
            "webhooks": [
                {
                    "name": "other",
                    "url": "https://hooks.example.com/",
                    "secret": {"file": "no-such-file"},
                }
            ]
        }
    },
)
NO_READER = Trouble(
    "trading-state-oms",
    "webhook oms",
    more={
        "trading_state": {
            "webhooks": [
                {
                    "name": "oms",
                    "url": "https://hooks.example.com/",
                    "secret": {"file": "no-such-file"},
                }
            ]
        }
    },
)
NO_OPERATOR = Trouble(
    "operator-eve",
    "operator eve",
    more={"operators": [{"name": "eve", "secret_file": "no-such-file"}]},
)
BUSY = Trouble("port", "is in use")
NO_KEY = Trouble("audit-key", "audit's key", more={"kill": {"audit_key_file": "no-such-file"}})
SECRETS = (NO_LEASE, NO_PAGER, NO_READER, NO_OPERATOR, NO_KEY)
TROUBLES = (BUSY, BAD_RULES, NO_RULES, BAD_LEGS, NO_TOKEN, SHORT_TOKEN, *SECRETS)


def armed(port: int, **changes: object) -> Desk:
    """A desk whose files are all in use; ``server`` on a port of its own."""
    more: dict[str, object] = {
        "server": {"port": port, "read_token_file": "token"},
        "off_book_legs_file": "legs.yaml",
    }
    return Desk(**{"mode": "armed", "rules": RULE, "more": more} | changes)


def break_it(rig: Rig, *troubles: Trouble) -> None:
    """As it is at the next start."""
    settings = dict(rig.desk.more)
    for trouble in troubles:
        trouble.made(rig)
        for name, section in trouble.more.items():
            settings[name] = joined(settings.get(name, rig._settings().get(name)), section)
    object.__setattr__(rig.desk, "more", settings)


def joined(base: object, more: object) -> object:
    """Two sections as one: lists are longer, fields are replaced."""
    if isinstance(base, dict) and isinstance(more, dict):
        return base | {name: joined(base.get(name), value) for name, value in more.items()}
    return [*base, *more] if isinstance(base, list) and isinstance(more, list) else more


@contextmanager
def taken(port: int, *troubles: Trouble) -> Iterator[None]:
    """Somebody else listens on the port, where that is the trouble."""
    with socket.socket() as other:
        if BUSY in troubles:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", port))
            other.listen()
        yield


async def answers(rig: Rig, path: str) -> int:
    """The status of one request with the token; 0 where nobody of riskd answers."""
    timeout = aiohttp.ClientTimeout(total=2.0)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{rig.daemon.url}{path}", headers=headers) as got,
        ):
            return got.status
    except (aiohttp.ClientError, TimeoutError):
        return 0


def files(rig: Rig) -> None:
    """What the configuration names."""
    (rig.folder / "legs.yaml").write_text(LEGS, encoding="utf-8")
    (rig.folder / "token").write_text(TOKEN, encoding="utf-8")


@pytest.mark.parametrize(
    "troubles",
    [
        pytest.param((BUSY,), id="port"),
        pytest.param((BAD_RULES, BAD_LEGS, NO_TOKEN), id="files"),
        pytest.param((NO_RULES, SHORT_TOKEN, *SECRETS), id="missing"),
    ],
)
def test_an_armed_riskd_with_a_latch_comes_up(troubles: tuple[Trouble, ...]) -> None:
    """Latched as before, paged with what to do, with what was last in force; and whole again by
    itself once the thing is mended."""
    port = free_port()

    async def story(rig: Rig) -> None:
        await rig.pull("reduce_only")
        await rig.until(lambda: rig.stage() is Stage.CONTAINED)
        await rig.passes(6.0)  # what is in force is kept
        await rig.stop()
        break_it(rig, *troubles)
        with taken(port, *troubles):
            await rig.start()
            assert HL_SCOPE in rig.latches
            assert [one["state"] for one in rig.trading()["scopes"]] == ["REDUCE_ONLY"]
            await rig.until(lambda: len(rig.pages(ALERT)) == len(troubles))
            for trouble in troubles:
                (page,) = (one for one in rig.pages(ALERT) if f"its {trouble.part}:" in one.summary)
                assert page.severity == trouble.severity
                assert trouble.says in page.description
            assert "ours" in {one.id for one in rig.daemon.engine.rulebook.rules}
            assert [leg.asset for leg in rig.daemon.engine.state.off_book] == ["BTC"]
            assert ((await answers(rig, "/livez")) == 200) is (BUSY not in troubles)
            assert (await answers(rig, "/v1/trading-state")) in {0, 503}
            await rig.pull("halt")
            await rig.until(lambda: rig.stage() is Stage.CONTAINED)
            assert len(rig.pages(ALERT)) == len(troubles)
        for trouble in troubles:
            trouble.mended(rig)
        secrets = {one.part for one in troubles} & {one.part for one in SECRETS}
        await rig.until(lambda: set(rig.daemon.degraded.problems) == secrets, within_s=130.0)
        await rig.until(
            lambda: (
                sum(one.alert == ALERT and not one.firing for one in rig.told)
                == len(troubles) - len(secrets)
            )
        )
        assert (await answers(rig, "/v1/trading-state")) == 200
        assert "ours" in {one.id for one in rig.daemon.engine.rulebook.rules}

    run(story, armed(port), before=files)


def test_without_a_rulebook_that_was_kept_the_built_in_rules_are_in_force() -> None:
    """Nothing usable is known of what was last in force, and riskd judges all the same."""
    port = free_port()

    async def story(rig: Rig) -> None:
        await rig.daemon.store.put_value(KEPT_RULES, b"of another version")
        await rig.stop()
        break_it(rig, BAD_RULES)
        await rig.start()
        rules = {one.id for one in rig.daemon.engine.rulebook.rules}
        assert "ours" not in rules
        assert "margin_usage_critical" in rules
        await rig.until(lambda: rig.pages(ALERT))

    run(story, armed(port), before=files)


def test_a_mended_start_ends_the_page_of_the_one_before() -> None:
    """Nobody else ever would."""
    port = free_port()

    async def story(rig: Rig) -> None:
        await rig.stop()
        break_it(rig, BAD_LEGS)
        await rig.start()
        await rig.until(lambda: rig.pages(ALERT))
        await rig.kill_process()
        write("legs.yaml", LEGS)(rig)
        await rig.start()
        await rig.until(lambda: [one for one in rig.told if one.alert == ALERT and not one.firing])
        assert not [one for one in rig.daemon.dispatcher.active if one.firing and ALERT in one.rule]

    run(story, armed(port), before=files)


@pytest.mark.parametrize("mode", ["rehearse", "armed"])
def test_what_never_was_armed_is_refused(mode: str) -> None:
    """A rehearsal at any time, and a first start: one sentence, and nothing is left behind."""
    port = free_port()

    async def story(rig: Rig) -> None:
        if mode == "rehearse":
            await rig.pull("reduce_only")
            await rig.until(lambda: rig.stage() is Stage.CONTAINED)
        await rig.stop()
        if mode == "armed":
            for path in rig.data.iterdir():
                if path.is_file():
                    path.unlink()
            object.__setattr__(rig.desk, "mode", "armed")
        more = rig.desk.more
        for trouble in TROUBLES:
            break_it(rig, trouble)
            with taken(port, trouble), pytest.raises(ConfigError, match=trouble.says):
                await rig.new_daemon().start()
            files(rig)
            write("rules.yaml", RULE)(rig)
            object.__setattr__(rig.desk, "more", more)
        assert not await answers(rig, "/livez")
        await rig.start()  # and nothing is in the way of the next one
        assert bool(rig.latches) is (mode == "rehearse")

    run(story, armed(port, mode="rehearse"), before=files)
