"""The kill switch in ``/metrics``: read at each scrape, so that nothing has to be counted twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from monitor.core.killswitch.state import Stage
from monitor.core.signatures import Refusal
from monitor.core.types import PORTFOLIO

if TYPE_CHECKING:
    from monitor.app.lifecycle import Daemon


class KillCollector(Collector):
    """Levels, latches by stage, holds, commands, signatures and what failed, of one daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def collect(self) -> Iterator[Metric]:
        """Every series exists from the start; nothing here has a label that a venue chooses."""
        machine, driver = self._daemon.kill.machine, self._daemon.kill.driver
        state = machine.state
        level = GaugeMetricFamily(
            "riskd_kill_level",
            "Level that holds for the whole portfolio: 0 normal to 5 flatten.",
        )
        level.add_metric([], float(machine.effective(PORTFOLIO)))
        yield level
        stages = GaugeMetricFamily(
            "riskd_kill_latches", "Latched scopes by where their trip stands.", labels=["stage"]
        )
        for stage in Stage:
            if stage not in {Stage.ARMED, Stage.DISARMED}:
                count = sum(one.stage is stage for one in state.latches.values())
                stages.add_metric([stage.value], float(count))
        yield stages
        yield GaugeMetricFamily(
            "riskd_kill_holds", "Scopes held for now; each goes by itself.", value=len(state.holds)
        )
        yield GaugeMetricFamily(
            "riskd_kill_proposals", "Proposals that wait for a person.", value=len(state.proposals)
        )
        yield GaugeMetricFamily(
            "riskd_kill_commands_out",
            "Commands that left and are not answered.",
            value=driver.commands_out,
        )
        sent = CounterMetricFamily(
            "riskd_kill_commands", "Commands carried out, by kind.", labels=["command"]
        )
        for kind, count in driver.carried_out.items():
            sent.add_metric([kind], float(count))
        yield sent
        for name, text, value in (
            ("riskd_kill_failed_steps", "Steps that ended in a defect.", driver.failed_steps),
            (
                "riskd_kill_unkept_phases",
                "Steps that the store could not keep in time.",
                driver.unkept_phases,
            ),
        ):
            yield CounterMetricFamily(name, text, value=value)
        rejected = CounterMetricFamily(
            "riskd_webhook_rejected", "Signed commands not believed, by reason.", labels=["reason"]
        )
        door = self._daemon.doors.commands
        for reason in Refusal:
            rejected.add_metric(
                [reason.value], float(door.rejected[reason] if door is not None else 0)
            )
        yield rejected
        yield from self._signatures()

    def _signatures(self) -> Iterator[Metric]:
        """As the signer last said; nothing where there is none or it never answered."""
        signed = CounterMetricFamily(
            "riskd_signer_signed", "Requests signed, by kind.", labels=["venue", "kind"]
        )
        refused = CounterMetricFamily(
            "riskd_signer_refused", "Requests refused, by reason.", labels=["venue", "reason"]
        )
        used = GaugeMetricFamily(
            "riskd_signer_notional_used_usd",
            "Notional signed in the last hour, USD.",
            labels=["venue"],
        )
        for watch in self._daemon.signers:
            told = watch.counters
            if told is None:
                continue
            for kind, count in told.signed.items():
                signed.add_metric([watch.venue, kind], float(count))
            for reason, count in told.refused.items():
                refused.add_metric([watch.venue, reason], float(count))
            used.add_metric([watch.venue], float(told.notional_used_usd))
        yield from (signed, refused, used)
