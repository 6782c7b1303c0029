"""A configuration that acts: refused whole with every reason, before anything is touched."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from monitor.app.checks import check_configuration
from monitor.app.rulebooks import Rulebooks
from monitor.config import parse_config
from monitor.core.errors import ConfigError

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
WATCHING = """\
venues:
  hyperliquid:
    network: testnet
    accounts: [{alias: main, address: "0x14791697260E4c9A71f18484C9f997B308e59325"}]
"""
HANDS = """\
actions:
  hyperliquid:
    accounts: [{alias: main}]
    signer: {key: {file: key}, notional_usd_per_hour: 1000}
"""
DESK = """\
actions:
  desks:
    - venue: hyperliquid
      accounts: [main]
      webhook: {url: "https://oms.example.com/riskd", secret: {env: A}}
"""
UNSEEN = 'kill: {unseen: "nothing else"}\n'
SECOND = "kill: {unseen: nothing, second_principal: true}\n"


def checked(folder: Path, text: str, **environment: str) -> str:
    """What is wrong with it, in one text; empty where nothing is."""
    path = folder / "riskd.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        check_configuration(path, environment=environment)
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("mode: rehearse\n" + WATCHING + HANDS + UNSEEN, [], id="fit to rehearse"),
        pytest.param("mode: armed\n" + WATCHING + HANDS + UNSEEN, [], id="fit to arm"),
        pytest.param("mode: observe\n" + WATCHING, [], id="observe needs none of it"),
        pytest.param(
            "mode: armed\n" + WATCHING,
            ["what riskd cannot see", "actions.hyperliquid"],
            id="no statement and no hands: both are said",
        ),
        pytest.param(
            "mode: armed\n" + WATCHING + HANDS.replace("main", "mian") + UNSEEN,
            ["mian"],
            id="hands for an account that is not watched",
        ),
        pytest.param("mode: armed\n" + WATCHING + DESK + UNSEEN, [], id="the desk's hands alone"),
        pytest.param(
            "mode: armed\n" + WATCHING + DESK.replace("accounts: [main]", "accounts: [x]") + UNSEEN,
            ["hyperliquid/x"],
            id="the desk's hands for an account that is not watched",
        ),
        pytest.param(
            "mode: armed\n"
            + WATCHING
            + HANDS
            + SECOND
            + "operators: [{name: ana, secret_env: A}]\n",
            [],
            id="a second principal, and the host",
        ),
        pytest.param(
            "mode: armed\n"
            + WATCHING
            + HANDS
            + SECOND
            + "operators: [{name: ana, secret_env: A, may: [kill, rearm-confirm]}]\n",
            [],
            id="a second principal who may confirm",
        ),
        pytest.param(
            "mode: armed\n"
            + WATCHING
            + HANDS
            + SECOND
            + "operators: [{name: ana, secret_env: A, may: [kill]}]\n",
            ["two principals"],
            id="a second principal who may not clear",
        ),
        pytest.param("mode: dry_run\n" + WATCHING, ["observe"], id="no such mode"),
    ],
)
def test_what_acting_needs(tmp_path: Path, text: str, words: list[str]) -> None:
    """Each missing thing by name."""
    problems = checked(tmp_path, text, A=SECRET)
    assert bool(problems) is bool(words)
    for word in words:
        assert word in problems


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("operators: [{name: ana, secret_env: A}]\n", "operators[0]", id="operator"),
        pytest.param("kill: {lease_secret_env: A}\n", "kill", id="lease"),
        pytest.param(
            "trading_state: {webhooks: [{url: 'https://oms.example.com', secret: {env: A}}]}\n",
            "trading_state.webhooks[0]",
            id="who is told the trading state",
        ),
        pytest.param(DESK, "actions.desks[0]", id="the desk's own system"),
    ],
)
def test_a_secret_that_is_missing_or_malformed(tmp_path: Path, text: str, line: str) -> None:
    """Told with the line that names it, and never shown."""
    missing = checked(tmp_path, WATCHING + text)
    assert re.search(rf"riskd\.yaml:\d+: {re.escape(line)}", missing)
    assert "missing" in missing
    malformed = checked(tmp_path, WATCHING + text, A="hunter2")
    assert "whsec_" in malformed
    assert "hunter2" not in malformed
    assert checked(tmp_path, WATCHING + text, A=SECRET) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("operators: [{name: ana}]\n", "secret_file", id="no secret"),
        pytest.param(
            "operators: [{name: ana, secret_env: A, secret_file: a}]\n", "secret_file", id="two"
        ),
        pytest.param(
            "operators: [{name: ana, secret_env: A, may: [kil]}]\n", "rearm-request", id="no verb"
        ),
        pytest.param(
            "operators: [{name: ana, secret_env: A, may: []}]\n", "at least 1", id="nothing at all"
        ),
        pytest.param(
            "operators: [{name: host, secret_env: A}]\n", "everybody on this machine", id="host"
        ),
        pytest.param(
            "kill: {lease_secret_env: A, lease_secret_file: a}\n", "not both", id="two leases"
        ),
        pytest.param(
            "kill: {audit_key_env: A, audit_key_file: a}\n", "not both", id="two audit keys"
        ),
        pytest.param("kill: {hedge_sets: [{name: x, legs: [a/b/c]}]}\n", "2 items", id="one leg"),
        pytest.param(
            "kill: {hedge_sets: [{name: x, legs: [a/b/c, d]}]}\n", "legs[1]", id="no such leg"
        ),
    ],
)
def test_a_mistake_in_its_sections(tmp_path: Path, text: str, words: str) -> None:
    """As anywhere else in the file."""
    assert words in checked(tmp_path, WATCHING + text, A=SECRET)


@pytest.mark.parametrize(
    ("rule", "mode", "refused"),
    [
        pytest.param("leverage_cap", "act", True, id="a high cut may not act"),
        pytest.param("leverage_cap", "propose", False, id="a high cut may be proposed"),
        pytest.param("vol_and_fall", "observe", False, id="and observed"),
        pytest.param("leverage_cap_critical", "act", False, id="a critical cut may act"),
        pytest.param("leverage_account", "act", False, id="a block may act"),
    ],
)
@pytest.mark.parametrize("scope", ["", ", scope: portfolio"])
def test_a_mode_that_a_rule_may_never_have_is_refused(
    tmp_path: Path, rule: str, mode: str, scope: str, refused: bool
) -> None:
    """With its line and what it may have; so is the reload of a rulebook that makes it so."""
    text = f"{WATCHING}kill:\n  rules:\n    - {{rule: {rule}, mode: {mode}{scope}}}\n"
    problems = checked(tmp_path, text)
    assert bool(problems) is refused
    rulebooks = Rulebooks(parse_config(text, source="riskd.yaml"), base=tmp_path)
    if not refused:
        assert rulebooks.read()
        return
    assert re.search(r"riskd\.yaml:7: kill\.rules\[0\]\.mode", problems)
    assert f"{rule} may propose and never act" in problems
    with pytest.raises(ConfigError, match="may propose and never act"):
        rulebooks.read()


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        pytest.param("rule: leverage_acount, mode: observe", "rules[0].rule: is the id of no rule",
                     id="a rule that is none"),
        pytest.param("rule: leverage_account, mode: observe, scope: hyperliquid",
                     "rules[0].scope: is no scope. Allowed: ", id="a scope that is none"),
        pytest.param("rule: leverage_account, mode: observe, scope: 'account:hyperliquid'",
                     "rules[0].scope: is no scope", id="half a scope"),
        pytest.param("rule: leverage_account, mode: observe, scope: 'venue:hyperliquid'", "",
                     id="a venue"),
    ],
)  # fmt: skip
def test_a_word_that_reaches_no_rule_is_refused(tmp_path: Path, entry: str, words: str) -> None:
    """What was meant to observe would act, and nobody would know."""
    problems = checked(tmp_path, f"{WATCHING}kill:\n  rules:\n    - {{{entry}}}\n")
    assert words in problems
    assert bool(problems) is bool(words)
