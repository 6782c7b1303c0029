"""Which measures a run keeps hourly: those that matter here, and those a person names. *Pure.*"""

from __future__ import annotations

from collections.abc import Sequence

from monitor.core.errors import ConfigError
from monitor.core.measures.catalogue import CATALOGUE, DEFINITIONS
from monitor.core.types import PORTFOLIO, Subject, SubjectKind, subject_kind
from monitor.core.yamltext import nearest

# Of the whole book, where the catalogue has them; the parts of the stress index are found by name.
WANTED = (
    "funding_stress_index",
    "funding_expensive_share_ratio",
    "funding_markets_known_ratio",
    "volatility_percentile",
    "leverage",
    "leverage_cap",
    "drawdown_ratio",
    "gross_exposure_usd",
    "equity_usd",
)
PART_PREFIX = "funding_stress_"


def chosen_measures(named: Sequence[str]) -> tuple[tuple[str, Subject], ...]:
    """(name, subject) of the standard choice and of what was asked for.

    Raises:
        ConfigError: If a name or a subject is none, with the nearest name.
    """
    chosen = [(name, PORTFOLIO) for name in WANTED if _exists(name, SubjectKind.PORTFOLIO)]
    chosen += [
        (name, PORTFOLIO)
        for name in sorted(CATALOGUE)
        if name.startswith(PART_PREFIX) and _exists(name, SubjectKind.PORTFOLIO)
    ]
    for text in named:
        name, _, rest = text.partition("@")
        subject = Subject(rest or PORTFOLIO)
        try:
            kind = subject_kind(subject)
        except ValueError:
            raise ConfigError(f"--measure {text}: {rest!r} is no subject.") from None
        if name not in CATALOGUE:
            close = nearest(name, CATALOGUE)
            hint = f" Did you mean {close!r}?" if close else ""
            raise ConfigError(f"--measure {text}: there is no measure {name!r}.{hint}")
        if not _exists(name, kind):
            raise ConfigError(f"--measure {text}: {name} does not exist for a {kind.value}.")
        chosen.append((name, subject))
    return tuple(dict.fromkeys(chosen))


def _exists(name: str, kind: SubjectKind) -> bool:
    return name in CATALOGUE and (name, kind) in DEFINITIONS
