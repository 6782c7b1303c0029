"""What was mistyped is answered in the words that were typed."""

from __future__ import annotations

import pytest

from monitor.cli.main import main


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What is printed on the way out."""
    try:
        code = main(list(words))
    except SystemExit as error:
        code = int(error.code or 0)
    assert code in {2, 3}
    return capsys.readouterr().err


def test_a_verb_has_a_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Where one is near."""
    assert "did you mean 'status'?" in refused(capsys, "stauts")
    assert "did you mean" not in refused(capsys, "xyzzy")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["--hyperliquid", "0x12"], "--hyperliquid: address: ", id="hyperliquid"),
        pytest.param(["--dydx", "foo"], "--dydx: address: ", id="dydx"),
        pytest.param(
            ["--dydx", "dydx1x", "--dydx-rest", "ftp://x"], "--dydx-rest: rest_url: ", id="url"
        ),
    ],
)
def test_an_address_is_refused_by_its_flag(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    """Nobody wrote a file yet, so there is no line to name."""
    err = refused(capsys, "init", "--out", "nowhere.yaml", *words)
    assert said in err
    assert "accounts[" not in err


def test_a_file_that_is_not_there_is_told_without_numbers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No errno."""
    err = refused(capsys, "rules", "check", "none.yaml")
    assert "No such file or directory." in err
    assert "Errno" not in err
