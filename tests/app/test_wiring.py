"""What the parts of a daemon are told when they are made."""

from __future__ import annotations

import pytest

from monitor.app.wiring import dispatch_policy
from monitor.config import parse_config
from monitor.core.types import Severity

CONFIG = """\
desk: demo
venues:
  hyperliquid:
    accounts: [{alias: main, address: "0xdfc24b077bc1425ad1dea75bcb6f8158e10df303"}]
"""
WIDE = "server: {{host: {}, read_token_env: TOKEN}}\n"
EVERYWHERE = WIDE.format("0.0.0.0")  # noqa: S104 - bound by nobody
SERVER = "http://127.0.0.1:9470"


@pytest.mark.parametrize(
    ("section", "base_url"),
    [
        pytest.param("", f"{SERVER}/runbooks", id="riskd serves them itself"),
        pytest.param(
            "notify: {runbook_base_url: 'https://wiki.example/riskd'}\n",
            "https://wiki.example/riskd",
            id="the desk keeps its own",
        ),
        pytest.param(EVERYWHERE, "", id="a link to everywhere leads nowhere"),
        pytest.param(WIDE.format("'::'"), "", id="and of the newer kind"),
        pytest.param(
            EVERYWHERE + "notify: {runbook_base_url: 'https://wiki.example/riskd'}\n",
            "https://wiki.example/riskd",
            id="listening everywhere, the desk says where",
        ),
        pytest.param(WIDE.format("10.0.0.5"), f"{SERVER}/runbooks", id="one address is one"),
    ],
)
def test_pages_name_where_their_runbook_is_read(section: str, base_url: str) -> None:
    """A page without a link to what to do is half a page, and a dead link is worse."""
    policy = dispatch_policy(parse_config(CONFIG + section, source="test"), server_url=SERVER)
    assert policy.runbook_base_url == base_url


def test_what_is_for_the_record_wakes_nobody() -> None:
    """Alertmanager holds everything; a webhook is a person and is told from warning on."""
    section = (
        "notify:\n"
        "  alertmanager: {urls: ['http://127.0.0.1:9093']}\n"
        "  webhooks: [{name: ops, url: 'https://ops.example/', secret: {env: X}}]\n"
    )
    policy = dispatch_policy(parse_config(CONFIG + section, source="test"), server_url=SERVER)
    assert [(one.channel, one.severity_min, one.holds_state) for one in policy.routes] == [
        ("alertmanager", Severity.INFO, True),
        ("ops", Severity.WARNING, False),
    ]
