"""The tests of rules that ship: each file of this folder is played as ``riskd rules test`` does."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.cli.rules_test import told
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.rules import parse_rulebook
from monitor.core.trial.file import check_rules, parse_trials
from monitor.core.trial.run import play
from monitor.core.trial.trial import Trial
from monitor.rulebook import builtin_files

TRIALS = [
    trial
    for path in sorted(Path(__file__).parent.glob("*.yaml"))
    for trial in parse_trials(
        path.read_text(encoding="utf-8"), source=path.name, catalogue=CATALOGUE
    ).trials
]


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.name)
def test_trial(trial: Trial) -> None:
    """Through the real engine, with the built-in rules."""
    differences = play(trial, builtin_files(), CATALOGUE)
    assert not differences, "\n".join(told(trial, differences))


@pytest.mark.parametrize(
    "path", sorted(Path(__file__).parent.glob("*.yaml")), ids=lambda path: path.name
)
def test_rules_of_the_trials_exist(path: Path) -> None:
    """A renamed rule must not leave a test that asks nobody."""
    file = parse_trials(path.read_text(encoding="utf-8"), source=path.name, catalogue=CATALOGUE)
    check_rules(file, parse_rulebook(builtin_files(), CATALOGUE))
