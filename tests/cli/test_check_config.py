"""``riskd check-config``: whatever ``run`` would refuse, all of it at once, each with its line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.cli.main import main

DYDX = "dydx10d07y265gmmuvt4z0w9aw880jnsr700jnmapky"
HYPERLIQUID = "0x14791697260E4c9A71f18484C9f997B308e59325"
VENUES = f"venues: {{hyperliquid: {{accounts: [{{alias: main, address: {HYPERLIQUID}}}]}}}}\n"
WEBHOOK = "notify: {webhooks: [{name: ops, url: 'https://hooks.example.com/T0KEN', secret: "
SECRET = "whsec_" + "c2VjcmV0IG9mIDMyIGJ5dGVzIGZvciB0aGUgdGVzdHM="  # the tests' own

Check = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Check:
    """Checks a text as ``riskd.yaml`` in a folder that is not the working directory."""
    monkeypatch.chdir(tmp_path.parent)

    def run(text: str | bytes) -> tuple[int, list[str]]:
        path = tmp_path / "riskd.yaml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        code = main(["check-config", str(path)])
        told = capsys.readouterr()
        lines = (told.out + told.err).replace(f"{tmp_path}/", "").splitlines()
        return code, lines

    return run


def test_fine_says_what_is_watched(check: Check) -> None:
    """And that nobody would be paged."""
    code, lines = check(VENUES)
    assert code == 0
    assert "fine. Accounts: hyperliquid: 1." in lines[0]
    assert "nobody would be paged" in lines[1]
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("host", "notify", "noted"),
    [
        pytest.param("0.0.0.0", "", True, id="everywhere"),  # noqa: S104 - bound by nobody
        pytest.param("'::'", "", True, id="everywhere, of the newer kind"),
        pytest.param("10.0.0.5", "", False, id="at one address"),
        pytest.param(
            "0.0.0.0",  # noqa: S104
            "notify: {runbook_base_url: 'https://wiki.example.com/riskd'}\n",
            False,
            id="everywhere, and the desk says where",
        ),
    ],
)
def test_pages_without_a_link_are_told(
    check: Check, tmp_path: Path, host: str, notify: str, *, noted: bool
) -> None:
    """Only the desk knows how a riskd that listens everywhere is reached."""
    (tmp_path / "token").write_text("a-test-token-of-enough-length")
    code, lines = check(f"{VENUES}{notify}server: {{host: {host}, read_token_file: token}}\n")
    assert code == 0
    told = [line for line in lines if "runbook" in line]
    assert len(told) == noted
    assert all(
        "notify.runbook_base_url: http://riskd.example.com:9470/runbooks" in one for one in told
    )


LIMITS = """\
- id: dd20
  for_each: portfolio
  summary: Our loss limit
  when: drawdown_30d_ratio >= 0.20
  severity: critical
  confirm: {need: 2, of: 2, apart: 20s}
  do: {level: cut, gross_to: 0.2}
  scope: portfolio
- id: lev3
  for_each: portfolio
  summary: Our leverage limit
  when: leverage >= {limit}
  severity: high
  do: {level: block_new}
  scope: portfolio
"""


@pytest.mark.parametrize(
    ("limit", "caps", "noted"),
    [
        pytest.param(
            "3.0",
            "leverage: {gross_max: 0.4, volatility_target: 0.2}\n",
            ["rules.yaml:9: lev3 and dd20: leverage up to 3"],
            id="rules",
        ),
        pytest.param(
            "0.40",
            "leverage: {gross_max: 3, volatility_target: 0.2}\n",
            ["configuration: leverage.gross_max and dd20: leverage up to 3"],
            id="the configuration's own",
        ),
        pytest.param("0.40", "leverage: {gross_max: 0.4, volatility_target: 0.2}\n", [], id="none"),
    ],
)
def test_caps_that_contradict_each_other_are_told(
    check: Check, tmp_path: Path, limit: str, caps: str, noted: list[str]
) -> None:
    """Leverage of 3 beside a drawdown limit of 20 % cannot both be meant; it is no reason to stay
    down."""
    (tmp_path / "rules.yaml").write_text(LIMITS.replace("{limit}", limit))
    code, lines = check(f"{VENUES}{caps}rules: {{files: [rules.yaml]}}\n")
    assert code == 0
    told = [line.removeprefix("Note: ") for line in lines if "contradicts" in line]
    assert len(told) == len(noted)
    for line, begin in zip(told, noted, strict=True):
        assert line.startswith(begin)


@pytest.mark.parametrize(
    ("more", "noted"),
    [
        pytest.param("", True, id="none"),
        pytest.param("    validator_urls: [https://rpc.example.com]\n", False, id="one"),
    ],
)
def test_what_nobody_sees_without_a_validator_is_said(
    check: Check, more: str, *, noted: bool
) -> None:
    """The indexer cannot tell by itself that it is late."""
    accounts = f"    accounts: [{{alias: main, address: {DYDX}}}]\n"
    code, lines = check(f"venues:\n  dydx:\n{accounts}{more}")
    assert code == 0
    noticed = [line for line in lines if "validator_urls" in line]
    assert len(noticed) == noted
    assert all("the rule indexer_lag is never judged" in line for line in noticed)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "riskd.yaml:1: the file is empty.", id="empty"),
        pytest.param("- a\n", "riskd.yaml:1: a configuration is a list of", id="a list"),
        pytest.param("desk: a\nb: [\n", "riskd.yaml:3: this is not valid YAML:", id="broken"),
        pytest.param("desk: \x00\n", "riskd.yaml:1: this is not valid YAML:", id="control"),
        pytest.param(b"desk: \xff\n", "riskd.yaml cannot be read: it is not UTF-8", id="binary"),
        pytest.param("desk: a\n", "venues: is required and missing.", id="no venues"),
    ],
)
def test_a_broken_file_keeps_its_name_and_line(check: Check, text: str | bytes, said: str) -> None:
    """One sentence that leads to the place."""
    code, lines = check(text)
    assert code == 2
    assert len(lines) == 1
    assert said in lines[0]


RULE = "rules: [{id: a, for_each: portfolio, when: leverage > 3.0, severity: high, summary: S}]\n"
KINDS = {
    "config": VENUES,
    "rules": RULE,
    "list of rules": RULE.removeprefix("rules: "),
    "rule taken out": "tests: [{id: a, enabled: false}]\n",
    "tests": "tests: [{name: a, series: {}, expect: []}]\n",
    "legs": "legs: []\n",
    "news": "flags: [{name: a, at: 2027-01-01, reason: R}]\n",
    "book": "positions: [{venue: hyperliquid, asset: BTC}]\nvenues: {hyperliquid: {}}\n",
}


@pytest.mark.parametrize(
    ("command", "kind", "said"),
    [
        (command, kind, said)
        for command, own in (
            (["check-config"], {"config"}),
            (["rules", "check"], {"rules", "list of rules", "rule taken out"}),
            (["rules", "test"], {"tests"}),
        )
        for kind, said in (
            ("config", "a configuration, not %. `riskd check-config FILE`"),
            ("rules", "a file of rules, not %. `riskd rules check FILE`"),
            ("list of rules", "a file of rules, not %. `riskd rules check FILE`"),
            ("rule taken out", "a file of rules, not %. `riskd rules check FILE`"),
            ("tests", "a file of rule tests, not %. `riskd rules test FILE`"),
            ("legs", "a file of off-book legs, not %. A configuration names it as"),
            ("news", "a file of news flags, not %. A configuration names it as"),
            ("book", "a book to simulate, not %. `riskd backtest --book FILE`"),
        )
        if kind not in own
    ],
)
def test_another_kind_of_file_is_told_as_such(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    kind: str,
    said: str,
) -> None:
    """One sentence with the command that reads it, not a list of what it lacks."""
    path = tmp_path / "given.yaml"
    path.write_text(KINDS[kind])
    assert main([*command, str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    wanted = {"check-config": "a configuration", "check": "a file of rules"}
    said = said.replace("%", wanted.get(command[-1], "a file of rule tests"))
    assert line.startswith(f"{path}:1: this seems to be {said.replace('FILE', str(path))}")


@pytest.mark.parametrize("kind", ["rules", "list of rules", "rule taken out"])
def test_a_file_of_its_own_kind_is_read(tmp_path: Path, kind: str) -> None:
    """A section of rules may have any name, and may do nothing but take some out."""
    path = tmp_path / "given.yaml"
    path.write_text(KINDS[kind])
    assert main(["rules", "list", str(path)]) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            "off_book_legs_file: gone.yaml\n",
            ("riskd.yaml:2: off_book_legs_file:", "gone.yaml cannot be read"),
            id="no legs",
        ),
        pytest.param(
            f"{WEBHOOK}{{env: RISKD_TEST_UNSET}}}}]}}\n",
            ("riskd.yaml:2: notify.webhooks[0].secret:", "variable RISKD_TEST_UNSET"),
            id="secret variable unset",
        ),
        pytest.param(
            f"{WEBHOOK}{{file: gone.secret}}}}]}}\n",
            ("webhooks[0].secret:", "gone.secret (No such file"),
            id="secret file missing",
        ),
        pytest.param(
            f"{WEBHOOK}{{file: wrong.secret}}}}]}}\n",
            ("webhooks[0].secret:", "it does not begin with whsec_"),
            id="secret of the wrong form",
        ),
        pytest.param(
            "notify: {alertmanager: {urls: ['http://am:9093'], bearer_token: {file: gone}}}\n",
            ("riskd.yaml:2: notify.alertmanager.bearer_token:", "gone"),
            id="bearer token",
        ),
        pytest.param(
            "server: {read_token_file: gone.token}\n",
            ("riskd.yaml:2: server.read_token_file:", "gone.token: No such file"),
            id="no token file",
        ),
        pytest.param(
            "server: {read_token_file: short.token}\n",
            ("server.read_token_file:", "has 15 characters; use at least 16"),
            id="short token",
        ),
        pytest.param(
            "server: {read_token_env: RISKD_TEST_UNSET}\n",
            ("server.read_token_env:", "$RISKD_TEST_UNSET has 0 characters"),
            id="unset token",
        ),
        pytest.param(
            "rules: {files: [gone-rules.yaml]}\n",
            (
                "riskd.yaml:2: rules.files[0]: there is no file",
                "gone-rules.yaml. A path is taken from beside the configuration: mend it,",
                "Found: gone-rules.yaml.",
            ),
            id="no rules",
        ),
        pytest.param(
            "rules:\n  files:\n    - desk-ruels.yaml\n",
            ("riskd.yaml:4: rules.files[0]:", "Did you mean 'desk-rules.yaml'?"),
            id="rules mistyped",
        ),
        pytest.param(
            "rules: {files: [desk-rules.yaml, folder]}\n",
            ("riskd.yaml:2: rules.files[1]:", "is a folder: name each file"),
            id="rules in a folder",
        ),
        pytest.param(
            "off_book_legs_file: desk-rules.yaml\n",
            ("desk-rules.yaml:1: this seems to be a file of rules, not a file of off-book legs",),
            id="rules for legs",
        ),
        pytest.param(
            "news_flags_file: legs.yaml\n",
            ("legs.yaml:1: this seems to be a file of off-book legs, not a file of news flags",),
            id="legs for news",
        ),
    ],
)
def test_what_run_refuses_is_refused(
    check: Check, tmp_path: Path, text: str, said: tuple[str, ...]
) -> None:
    """Exit code 2, one line with the place, and no secret in it."""
    (tmp_path / "short.token").write_text("x" * 15)
    (tmp_path / "wrong.secret").write_text("hunter2hunter2")
    (tmp_path / "desk-rules.yaml").write_text(RULE)
    (tmp_path / "legs.yaml").write_text("legs: []\n")
    (tmp_path / "folder").mkdir()
    code, lines = check(VENUES + text)
    assert code == 2
    assert len(lines) == 1, lines
    assert all(words in lines[0] for words in said), lines[0]
    assert "hunter2" not in lines[0]
    assert "T0KEN" not in lines[0]


def test_files_are_beside_the_configuration(check: Check, tmp_path: Path) -> None:
    """Wherever riskd is started from: secrets, token, legs and rules alike."""
    (tmp_path / "ops.secret").write_text(SECRET)
    (tmp_path / "read.token").write_text("x" * 16)
    (tmp_path / "legs.yaml").write_text("legs: []\n")
    (tmp_path / "rules.yaml").write_text("rules: []\n")
    code, lines = check(
        VENUES
        + f"{WEBHOOK}{{file: ops.secret}}}}]}}\n"
        + "server: {read_token_file: read.token}\n"
        + "off_book_legs_file: legs.yaml\nrules: {files: [rules.yaml]}\n"
    )
    assert (code, len(lines)) == (0, 1), lines


EVERYTHING = f"""\
venues:
  hyperliquid:
    accounts:
      - {{alias: a, address: "0x12"}}
      - {{alias: a, address: {HYPERLIQUID}}}
  dydx:
    accounts: [{{alias: b, address: {DYDX}, parents: [-1, 200]}}]
server: {{host: 0.0.0.0, port: high}}
notify:
  webhooks:
    - {{name: ops, url: http://10.0.0.1/x, secret: {{env: RISKD_TEST_UNSET}}, timeout_s: 99}}
    - {{name: ops, url: https://hooks.example.com/, secret: {{file: gone}}}}
rules: {{files: [rules.yaml]}}
off_book_legs_file: legs.yaml
"""


def test_all_mistakes_of_all_files_at_once(check: Check, tmp_path: Path) -> None:
    """A wrong field hides neither what is wrong between fields nor what is wrong in other files."""
    (tmp_path / "rules.yaml").write_text("rules:\n  - {id: x, when: leverrage >= 3}\n")
    (tmp_path / "legs.yaml").write_text("legs:\n  - {asset: BTC, size: x, expires: y}\n")
    code, lines = check(EVERYTHING)
    assert code == 2
    expected = (
        ("riskd.yaml:4: venues.hyperliquid.accounts[0].address:", "40 hexadecimal digits"),
        ("riskd.yaml:5: venues.hyperliquid.accounts[1].alias:", "twice, first in accounts[0]"),
        ("riskd.yaml:7: venues.dydx.accounts[0].parents:", "found -1 and 200"),
        ("riskd.yaml:8: server.host:", "host 0.0.0.0 is reachable from the network"),
        ("riskd.yaml:8: server.port: must be a whole number.", "Found: 'high'"),
        ("riskd.yaml:11: notify.webhooks[0].timeout_s:", "15"),
        ("riskd.yaml:11: notify.webhooks[0].url:", "http is allowed to a loopback address"),
        ("riskd.yaml:11: notify.webhooks[0].secret:", "RISKD_TEST_UNSET"),
        ("riskd.yaml:12: notify.webhooks[1].name:", "the same name 'ops'"),
        ("riskd.yaml:12: notify.webhooks[1].secret:", "gone"),
        ("rules.yaml:2:", "leverrage"),
        ("legs.yaml:2: legs[0].size:", "'x'"),
        ("legs.yaml:2: legs[0].expires:", "'y'"),
    )
    for place, words in expected:
        assert any(line.startswith(place) and words in line for line in lines), (place, lines)
    fields = [line.split(" ")[1] for line in lines[1:] if line.startswith("riskd.yaml:")]
    assert len(fields) == len(set(fields)) == 10


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("majors: BTC", "must be a list such as [BTC, ETH].", id="list"),
        pytest.param("dexes: 3", "Allowed: 'auto', or a list such as [xyz].", id="word or list"),
        pytest.param("markets: [1]", "markets[0]: must be text.", id="entry of word or list"),
        pytest.param("books: perhaps", "must be true or false.", id="switch"),
        pytest.param("depth_band_ratio: 5", "must be less than 0.2.", id="number"),
        pytest.param("polls: 3", "must be a section of `name: value` lines.", id="section"),
        pytest.param("accounts: {a: b}", "such as [{alias: main, address: …}].", id="accounts"),
    ],
)
def test_a_wrong_field_is_told_once_in_words(check: Check, text: str, said: str) -> None:
    """No library's vocabulary, and one line however many readings were tried."""
    code, lines = check(f"venues: {{hyperliquid: {{{text}}}}}\n")
    assert code == 2
    assert len(lines) == 1, lines
    assert said in lines[0]


@pytest.mark.parametrize(
    ("accounts", "said"),
    [
        pytest.param("{alias: A b, address: %s}", "letters a-z, digits, _ and -", id="alias"),
        pytest.param(
            "{alias: a, address: %s}, {alias: b, address: %s}",
            "accounts[1].address: the same address and parent subaccount 0 as in accounts[0].",
            id="same parent twice",
        ),
    ],
)
def test_accounts_of_dydx(check: Check, accounts: str, said: str) -> None:
    """Patterns in words; another parent of one address is another account."""
    code, lines = check(f"venues: {{dydx: {{accounts: [{accounts.replace('%s', DYDX)}]}}}}\n")
    assert code == 2
    assert said in lines[0]
    both = f"{{alias: a, address: {DYDX}}}, {{alias: b, address: {DYDX}, parents: [1]}}"
    assert check(f"venues: {{dydx: {{accounts: [{both}]}}}}\n")[0] == 0


@pytest.mark.parametrize(("count", "code"), [(9, 0), (10, 2)])
def test_the_venue_allows_ten_connections(check: Check, count: int, code: int) -> None:
    """Nine accounts beside the market data's connection; said beside another mistake too."""
    rows = ", ".join(f"{{alias: a{n}, address: '0x{n:040x}'}}" for n in range(count))
    venues = f"venues: {{hyperliquid: {{accounts: [{rows}]}}}}\n"
    assert check(venues)[0] == code
    told = check(venues + "mode: armed\n")[1]
    assert any("10 accounts need as many connections" in line for line in told) == bool(code)


ARMED = """\
mode: {mode}
venues:
  hyperliquid:
    network: testnet
    accounts: [{{alias: main, address: "{address}"}}]
actions:
  hyperliquid:
    accounts: [{{alias: main}}]
    signer: {{key: {{file: key}}, notional_usd_per_hour: 1000}}
operators: [{{name: ana, secret_env: ANA}}]
kill: {{unseen: nothing, second_principal: {second}, rules: [{words}]}}
"""
ACTS = "{rule: drawdown_8, mode: act}"


@pytest.mark.parametrize(
    ("mode", "second", "words", "said"),
    [
        pytest.param("armed", "false", ACTS, "drawdown_8 cut", id="one person"),
        pytest.param("armed", "true", ACTS, "", id="two people"),
        pytest.param("rehearse", "false", ACTS, "", id="a rehearsal"),
        pytest.param("armed", "false", "", "", id="nothing acts"),
        pytest.param(
            "armed", "false", "{rule: drawdown_8, mode: propose}", "", id="a person approves"
        ),
        pytest.param(
            "armed", "false", "{rule: margin_usage_high, mode: act}", "", id="blocks, never cuts"
        ),
        pytest.param(
            "armed",
            "false",
            "{rule: drawdown_8, mode: act}, {rule: drawdown_12, mode: act}",
            "drawdown_8, drawdown_12 cut",
            id="two rules",
        ),
    ],
)
def test_that_one_person_may_rearm_a_cut_is_said(
    check: Check, monkeypatch: pytest.MonkeyPatch, mode: str, second: str, words: str, said: str
) -> None:
    """Runbooks count on two where the desk says so, and the desk says nothing unless it is set."""
    monkeypatch.setenv("ANA", SECRET)
    code, lines = check(ARMED.format(mode=mode, second=second, words=words, address=HYPERLIQUID))
    assert code == 0, lines
    noted = [line for line in lines if "one person may re-arm" in line]
    assert len(noted) == bool(said)
    assert all(said in line and "kill.second_principal" in line for line in noted)


def test_the_file_may_be_named_as_for_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--config``, as every other verb that takes one says it; its refusal names the flag, too."""
    path = tmp_path / "own.yaml"
    assert main(["check-config", "--config", str(path)]) == 2
    assert f"There is no configuration at {path}" in capsys.readouterr().err
