"""What a person declares about a backtest's book: YAML, checked, every mistake with its line.

Ratios are 0 to 1, costs are basis points of the traded notional, times are hours or minutes as
their names say. The default book is what the report of a plain run is about.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from monitor.backtest.history import FUNDING_FILES
from monitor.core.errors import ConfigError, Problem
from monitor.core.filekinds import FileKind, mistaken
from monitor.core.yamltext import Path as KeyPath
from monitor.core.yamltext import YamlText, dotted, nearest, parse_yaml

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Bps = Annotated[float, Field(ge=0.0, le=1_000.0)]
VenueName = Literal["binance", "bybit", "dydx", "hyperliquid", "kraken", "lighter"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PositionSettings(_Section):
    """One position: a signed share of equity, or signed base units."""

    venue: VenueName
    asset: Name
    weight: float | None = Field(default=None, description="signed share of equity, e.g. -0.25")
    size: float | None = Field(default=None, description="signed base units, e.g. 1.5")

    @model_validator(mode="after")
    def _one_of_the_two(self) -> PositionSettings:
        if (self.weight is None) is (self.size is None):
            raise ValueError("a position has either a weight or a size")
        return self


class VenueSettings(_Section):
    """What trading on one venue costs, and what it stands on."""

    fee_bps: Bps = Field(default=4.5, description="taker fee")
    slippage_bps: Bps = Field(default=6.0, description="half spread and impact of our size")
    depends_on: tuple[Name, ...] = Field(
        default=(), description="systems of the outage file whose halt darkens this venue"
    )


class BookSettings(_Section):
    """The simulated desk.

    ``exit_friction_bps`` is charged on top of fee and slippage on whatever a rule makes the desk
    sell in a hurry. ``rebalance_h`` is how often positions with weights go back to them.
    ``reentry_delay_h`` is how long a person takes to re-arm once the rule permits it, and
    ``reentry_rise_per_day_ratio`` how much of the full book may come back a day.
    """

    start_equity_usd: float = Field(default=1_000_000.0, gt=0.0)
    positions: tuple[PositionSettings, ...] = Field(min_length=1)
    venues: dict[VenueName, VenueSettings] = Field(default_factory=dict)
    exit_friction_bps: Bps = 5.0
    rebalance_h: int = Field(default=168, ge=1)
    spread_unlisted_weights: bool = Field(
        default=True, description="weights of assets without a price are shared among the others"
    )
    reentry_delay_h: float = Field(default=0.0, ge=0.0)
    reentry_rise_per_day_ratio: float = Field(default=0.10, gt=0.0, le=1.0)
    initial_margin_rate: float = Field(default=0.05, gt=0.0, lt=1.0)
    maintenance_margin_rate: float = Field(default=0.025, gt=0.0, lt=1.0)
    congested_h: float = Field(
        default=6.0, ge=0.0, description="hours after an outage that trade dearly"
    )
    congested_slippage_multiple: float = Field(default=5.0, ge=1.0)

    @model_validator(mode="after")
    def _whole(self) -> BookSettings:
        seen = set()
        for one in self.positions:
            if (one.venue, one.asset) in seen:
                raise ValueError(f"{one.asset} on {one.venue} stands twice")
            seen.add((one.venue, one.asset))
        if self.maintenance_margin_rate > self.initial_margin_rate:
            raise ValueError("the maintenance margin rate is above the initial one")
        return self

    def costs_of(self, venue: str) -> VenueSettings:
        """Costs of one venue; the defaults where the file says nothing."""
        return next((one for name, one in self.venues.items() if name == venue), VenueSettings())

    @property
    def held_venues(self) -> tuple[str, ...]:
        """Venues with a position, in name order."""
        return tuple(sorted({one.venue for one in self.positions}))


def default_book(assets: tuple[str, ...]) -> BookSettings:
    """Equal long weights over ``assets`` on Binance, gross equal to equity: the plainest book that
    is hurt by what the rules are to see coming."""
    return BookSettings(
        positions=tuple(
            PositionSettings(venue="binance", asset=asset, weight=1.0 / len(assets))
            for asset in assets
        )
    )


def load_book(path: Path) -> BookSettings:
    """The book of a file.

    Raises:
        ConfigError: Every mistake, with the line it stands on.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"The book {path} cannot be read: {reason}.") from error
    document = parse_yaml(text, source=str(path))
    if (other := mistaken(document, FileKind.BOOK)) is not None:
        raise ConfigError([*document.problems, other])
    problems = list(document.problems)
    if not problems and not isinstance(document.data, dict):
        problems.append(
            Problem(
                where=f"{path}:1", field="-", message="is not a section of `name: value` lines."
            )
        )
    if problems:
        raise ConfigError(problems)
    try:
        return BookSettings.model_validate(document.data)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise ConfigError([_problem(document, one) for one in details]) from error


def _problem(document: YamlText, detail: ErrorDetails) -> Problem:
    path: KeyPath = tuple(part for part in detail["loc"] if part != "[key]")
    kind, close = detail["type"], None
    message = detail["msg"].removeprefix("Value error, ")
    found: str | None = repr(detail["input"])
    if kind == "extra_forbidden":
        names = _names_beside(path)
        message, found, close = "there is no such setting", None, nearest(str(path[-1]), names)
    elif kind == "missing":
        message, found = "is required and missing", None
    elif kind == "literal_error":
        message = f"is not one of {', '.join(sorted(FUNDING_FILES))}"
        close = nearest(str(detail["input"]), FUNDING_FILES)
    if isinstance(detail["input"], dict | list | tuple) or kind == "value_error":
        found = None
    return Problem(
        where=document.where(path),
        field=dotted(path),
        message=f"{message}.",
        found=found,
        nearest=close,
    )


def _names_beside(path: KeyPath) -> tuple[str, ...]:
    if path[0] == "positions" and len(path) > 1:
        return tuple(PositionSettings.model_fields)
    if path[0] == "venues" and len(path) > 2:
        return tuple(VenueSettings.model_fields)
    return tuple(BookSettings.model_fields)
