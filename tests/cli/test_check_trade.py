"""``riskd check-trade``: one screen, the worst first, and an exit code that says go, look or no."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from monitor.cli.check_trade import screen
from monitor.cli.main import main
from monitor.core.killswitch.levels import Level
from monitor.server.trade_check import check_document
from tests.cli.test_asking import Server
from tests.core.test_trade_check import desk

WORDS = {"market": "hyperliquid/BTC", "side": "buy", "size": "833", "stop": "96", "account": ""}


def asked(**words: str) -> dict[str, object]:
    """The document about a trade of BTC at 100 dollars, equity a million."""
    made = desk()
    return check_document(made.engine, WORDS | words, made.now, lambda _: (Level.NORMAL,) * 2)


def test_the_screen_says_the_answer_and_each_check() -> None:
    """In 23 lines of 80."""
    lines = screen(asked())
    assert lines[0] == f"{'buy 833 hyperliquid/BTC in hyperliquid/main, stop 96':<77} GO"
    assert len(lines) <= 23
    assert max(len(line) for line in lines) <= 80
    assert any(line.startswith("GO   loss        4,998 of 5,000 USD") for line in lines), lines


def test_what_refuses_stands_first() -> None:
    """Before what needs a look, before what is fine."""
    lines = screen(asked(size="1000000", stop=""))
    assert lines[0].endswith(" NO")
    kinds = [line.split()[0] for line in lines[1:] if not line.startswith(" ")]
    assert kinds == sorted(kinds, key=["NO", "LOOK", "GO"].index)
    assert {"NO", "LOOK", "GO"} == set(kinds)
    assert len(lines) <= 23


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param({"market": "hyperliquid/BTCC"}, "Did you mean 'hyperliquid/BTC'?", id="slip"),
        pytest.param({"market": "BTC"}, "There is no market 'BTC'", id="no venue"),
        pytest.param({"side": "long"}, "buy or sell. Found: long", id="side"),
        pytest.param({"size": "-1"}, "above 0. Found: -1", id="size below nothing"),
        pytest.param({"size": "nan"}, "above 0. Found: nan", id="size that is no number"),
        pytest.param({"size": ""}, "Found: nothing", id="no size"),
        pytest.param({"stop": "0"}, "a price above 0. Found: 0", id="stop at nothing"),
        pytest.param({"account": "other"}, "--account: main", id="an account nobody watches"),
    ],
)
def test_a_question_that_cannot_be_understood(words: dict[str, str], said: str) -> None:
    """Is answered with what there is."""
    assert said in str(asked(**words)["error"])


@pytest.fixture
def server() -> Iterator[Server]:
    """A riskd that answers what the test says."""
    made = Server()
    yield made
    made.close()


@pytest.mark.parametrize(("answer", "code"), [("go", 0), ("look", 1), ("no", 2)])
def test_the_answer_is_the_exit_code(
    server: Server, answer: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """For a script before an order."""
    server.says(200, asked() | {"answer": answer})
    verb = ["check-trade", "--market=hyperliquid/BTC", "--side=buy", "--size=833", "--stop=96"]
    assert main([*verb, f"--url={server.url}"]) == code
    assert capsys.readouterr().out.splitlines()[0].endswith(f" {answer.upper()}")
    (path, _) = server.handler.asked[0]  # type: ignore[attr-defined]  # made by the fixture
    assert path == ("/v1/check-trade?market=hyperliquid%2FBTC&side=buy&size=833&stop=96&account=")


def test_a_mistake_is_no_answer(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody takes it for a go, a look or a no."""
    server.says(404, {"error": "There is no market."})
    verb = ["check-trade", "--market=x", "--side=buy", "--size=1", f"--url={server.url}"]
    assert main(verb) == 3
    assert capsys.readouterr().err == "There is no market.\n"
    server.says(200, {})
    assert main(verb) == 3
    with pytest.raises(SystemExit) as ended:
        main(["check-trade", "--side=buy"])
    assert ended.value.code == 3
