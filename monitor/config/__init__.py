"""The configuration: one YAML file, composed of the sections' own settings.

Reading it finds every mistake at once and names each with file, line, what was found, what is
allowed and the nearest name. Secrets never stand in the file: it names files or environment
variables that hold them.
"""

from monitor.config.reading import (
    Examined,
    examine_config,
    load_config,
    load_document,
    parse_config,
    read_config,
)
from monitor.config.sections import (
    ActionsSection,
    Config,
    RulesSection,
    TradingStateSection,
    VenuesSection,
)

__all__ = [
    "ActionsSection",
    "Config",
    "Examined",
    "RulesSection",
    "TradingStateSection",
    "VenuesSection",
    "examine_config",
    "load_config",
    "load_document",
    "parse_config",
    "read_config",
]
