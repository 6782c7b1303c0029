"""The store of a daemon: its audit is signed where a key is given, and checked with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.app.checks import check_configuration
from monitor.app.degraded import Degraded
from monitor.app.stores import audit_key, open_store
from monitor.cli.main import main
from monitor.config import load_config
from monitor.core.errors import ConfigError
from monitor.core.killswitch.facts import AuditEntry
from monitor.core.ports import Phase
from monitor.core.types import PORTFOLIO
from tests.manual_clock import ManualClock

KEY = "k" * 32
CONFIG = """\
data_dir: data
venues: {{hyperliquid: {{accounts: [{{alias: main, address: "0x{address}"}}]}}}}
kill: {{audit_key_file: key}}
"""
ENTRY = AuditEntry(
    at_ns=1, actor="riskd", action="started", scope=PORTFOLIO, level_from=0, level_to=0
)


async def kept(folder: Path) -> Path:
    """One entry, by a daemon of this configuration; gives the configuration's file."""
    path = folder / "riskd.yaml"
    path.write_text(CONFIG.format(address="12" * 20))
    config = load_config(path)
    degraded = Degraded(clock=ManualClock(), enforces=lambda: False)
    store = open_store(config, base=folder, degraded=degraded, kill_deadline_s=10.0)
    await store.persist(Phase(at_ns=1, kill_state=b"1", audit=(ENTRY,)))
    store.close()
    return path


async def test_records_are_signed_and_checked_with_the_configured_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the key of the configuration, or by the one that is kept elsewhere."""
    (tmp_path / "key").write_text(KEY + "\n")
    path = await kept(tmp_path)
    assert main(["audit", "verify", f"--config={path}"]) == 0
    assert "1 entries, all as riskd wrote them, 1 keyed" in capsys.readouterr().out
    (tmp_path / "elsewhere").write_text("x" * 32)
    assert main(["audit", "verify", f"--config={path}", f"--key-file={tmp_path / 'elsewhere'}"])
    (tmp_path / "key").unlink()
    assert main(["audit", "explain", "1", f"--config={path}"]) == 0, "it needs no key"
    assert main(["audit", "verify", f"--config={path}"]) == 2


async def test_a_missing_key_is_refused_and_nothing_opened(tmp_path: Path) -> None:
    """Unsigned records would look forged later."""
    with pytest.raises(ConfigError, match="audit's key"):
        await kept(tmp_path)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        pytest.param(KEY, None, id="long enough"),
        pytest.param("k" * 15, "15 bytes of at least 16", id="short"),
        pytest.param(None, "is not set, or empty", id="missing"),
        pytest.param("", "is not set, or empty", id="empty"),
    ],
)
def test_a_key_from_the_environment(tmp_path: Path, value: str | None, said: str | None) -> None:
    """Named by variable, in no file of riskd's."""
    path = tmp_path / "riskd.yaml"
    text = CONFIG.format(address="12" * 20).replace("audit_key_file: key", "audit_key_env: KEY")
    path.write_text(text)
    environment = {} if value is None else {"KEY": f" {value}\n"}
    kill = load_config(path).kill
    if said is None:
        assert audit_key(kill, base=tmp_path, environment=environment) == KEY.encode()
        return
    with pytest.raises(ConfigError, match=said):
        audit_key(kill, base=tmp_path, environment=environment)
    with pytest.raises(ConfigError, match=rf"riskd\.yaml:3: kill: .*{said}"):
        check_configuration(path, environment=environment)
