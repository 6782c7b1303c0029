"""The kill switch in ``/metrics``: read at each scrape, so that nothing has to be counted twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from monitor.actions.driver import KillDriver
from monitor.core.killswitch.machine import KillMachine
from monitor.core.killswitch.state import Stage
from monitor.core.signatures import Refusal
from monitor.core.types import PORTFOLIO
from monitor.server.commands import SignedCommands


class KillCollector(Collector):
    """Levels, latches by stage, holds, commands and what failed.

    Args:
        machine: Read.
        driver: Read.
        commands: The signed door, None while there is none.
    """

    def __init__(
        self,
        machine: KillMachine,
        driver: KillDriver,
        commands: Callable[[], SignedCommands | None],
    ) -> None:
        self._machine = machine
        self._driver = driver
        self._commands = commands

    def collect(self) -> Iterator[Metric]:
        """Every series exists from the start; nothing here has a label that a venue chooses."""
        state = self._machine.state
        level = GaugeMetricFamily(
            "riskd_kill_level",
            "Level that holds for the whole portfolio: 0 normal to 5 flatten.",
        )
        level.add_metric([], float(self._machine.effective(PORTFOLIO)))
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
            "riskd_kill_holds", "Scopes held until their data is good.", value=len(state.holds)
        )
        yield GaugeMetricFamily(
            "riskd_kill_proposals", "Proposals that wait for a person.", value=len(state.proposals)
        )
        yield GaugeMetricFamily(
            "riskd_kill_commands_out",
            "Commands that left and are not answered.",
            value=self._driver.commands_out,
        )
        sent = CounterMetricFamily(
            "riskd_kill_commands", "Commands carried out, by kind.", labels=["command"]
        )
        for kind, count in self._driver.carried_out.items():
            sent.add_metric([kind], float(count))
        yield sent
        for name, text, value in (
            ("riskd_kill_failed_steps", "Steps that ended in a defect.", self._driver.failed_steps),
            (
                "riskd_kill_unkept_phases",
                "Steps that the store could not keep in time.",
                self._driver.unkept_phases,
            ),
        ):
            yield CounterMetricFamily(name, text, value=value)
        rejected = CounterMetricFamily(
            "riskd_webhook_rejected", "Signed commands not believed, by reason.", labels=["reason"]
        )
        door = self._commands()
        for reason in Refusal:
            rejected.add_metric(
                [reason.value], float(door.rejected[reason] if door is not None else 0)
            )
        yield rejected
