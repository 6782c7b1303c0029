"""Reading a scenario file: from YAML with line numbers to checked steps.

The vocabulary is ``ACTIONS`` below: each action's fields, how each is read, and the lever it pulls.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import yaml

from monitor.core.errors import ConfigError, Problem
from monitor.sim import levers
from monitor.sim.faults import Fault, FaultKind, misplaced_numbers
from monitor.sim.listings import LISTINGS
from monitor.sim.prices import ASSETS
from monitor.sim.scenario_values import (
    Reader,
    Value,
    Values,
    WrongError,
    number_between,
    one_of,
    read_duration,
    read_offset,
    read_text,
    some_of,
)
from monitor.sim.world import World

_ASSETS = tuple(spec.name for spec in ASSETS)
_VENUES = tuple(LISTINGS)


@dataclass(frozen=True, slots=True)
class Action:
    """One checked action, ready to run."""

    name: str
    values: Values
    lever: Callable[[World, Values], None]

    def run(self, world: World) -> None:
        """Act on the world, now."""
        self.lever(world, self.values)


@dataclass(frozen=True, slots=True)
class Step:
    """What is said and done at one moment."""

    at_s: float
    say: str = ""
    actions: tuple[Action, ...] = ()


@dataclass(slots=True)
class ScenarioFile:
    """The content of a scenario file."""

    name: str = ""
    title: str = ""
    duration_s: float = 0.0
    steps: tuple[Step, ...] = ()
    start_minute: int | None = None
    jumps_per_day: float = 0.0


# ------------------------------------------------------------------------------------ vocabulary


@dataclass(frozen=True, slots=True)
class Verb:
    """An action's fields and the lever it pulls; fields with a default may be left out."""

    lever: Callable[[World, Values], None]
    fields: Mapping[str, Reader] = field(default_factory=dict)
    defaults: Values = field(default_factory=dict)


def _number(values: Values, key: str) -> float:
    value = values[key]
    if not isinstance(value, float):
        raise TypeError(f"{key} was read as {value!r}, not as a number")
    return value


def _names(values: Values, key: str) -> str | tuple[str, ...]:
    value = values[key]
    if isinstance(value, float):
        raise TypeError(f"{key} was read as a number")
    return value


def _word(values: Values, key: str) -> str:
    value = values[key]
    if not isinstance(value, str):
        raise TypeError(f"{key} was read as {value!r}, not as a word")
    return value


def _inject(world: World, values: Values) -> None:
    fault = Fault(
        kind=FaultKind(_word(values, "kind")),
        venue=_word(values, "venue"),
        channel=_word(values, "channel"),
        market=_word(values, "market"),
        ratio=_number(values, "ratio"),
        price_ratio=_number(values, "price_ratio"),
        filled_ratio=_number(values, "filled_ratio"),
        delay_s=_number(values, "delay"),
    )
    levers.inject_for(world, fault, for_s=_number(values, "for"))


def _heal(world: World, values: Values) -> None:
    kind = _word(values, "kind")
    world.faults.heal(None if kind == "*" else FaultKind(kind), _word(values, "venue"))


def _liquidity(world: World, values: Values) -> None:
    venue = _names(values, "venues")
    levers.set_liquidity(
        world,
        _VENUES if isinstance(venue, str) else venue,
        depth_factor=_number(values, "depth"),
        spread_factor=_number(values, "spread"),
    )


_FACTOR = number_between(0.0, 1_000.0)
_MARKET = one_of(spec.symbol for specs in LISTINGS.values() for spec in specs)
_WHICH_ASSETS = some_of(_ASSETS, everything="all")
ACTIONS: dict[str, Verb] = {
    "premium": Verb(
        lambda w, v: levers.set_premium(
            w, _names(v, "assets"), to=_number(v, "to"), over_s=_number(v, "over")
        ),
        {"assets": _WHICH_ASSETS, "to": number_between(-0.5, 0.5), "over": read_duration},
        {"assets": "all", "over": 0.0},
    ),
    "price": Verb(
        lambda w, v: levers.move_price(
            w, _names(v, "assets"), by=_number(v, "by"), over_s=_number(v, "over")
        ),
        {"assets": _WHICH_ASSETS, "by": number_between(-0.95, 10.0), "over": read_duration},
        {"assets": "all", "over": 0.0},
    ),
    "volatility": Verb(
        lambda w, v: levers.set_volatility(w, _names(v, "assets"), factor=_number(v, "factor")),
        {"assets": _WHICH_ASSETS, "factor": _FACTOR},
        {"assets": "all"},
    ),
    "liquidity": Verb(
        _liquidity,
        {
            "venues": some_of(_VENUES, everything="all"),
            "depth": number_between(0.001, 1_000.0),
            "spread": number_between(0.01, 1_000.0),
        },
        {"venues": "all", "depth": 1.0, "spread": 1.0},
    ),
    "fault": Verb(
        _inject,
        {
            "kind": one_of(kind.value for kind in FaultKind),
            "venue": one_of(("*", *_VENUES)),
            "channel": read_text,
            "market": read_text,
            "ratio": number_between(0.0, 1.0),
            "price_ratio": number_between(0.01, 100.0),
            "filled_ratio": number_between(0.0, 1.0),
            "delay": read_offset,
            "for": read_duration,
        },
        {
            "venue": "*",
            "channel": "*",
            "market": "*",
            "ratio": 1.0,
            "price_ratio": 1.0,
            "filled_ratio": 1.0,
            "delay": 5.0,
            "for": 0.0,
        },
    ),
    "heal": Verb(
        _heal,
        {
            "kind": one_of(("*", *(kind.value for kind in FaultKind))),
            "venue": one_of(("*", *_VENUES)),
        },
        {"kind": "*", "venue": "*"},
    ),
    "transfer": Verb(
        lambda w, v: levers.move_equity(
            w,
            _word(v, "from"),
            _word(v, "to"),
            share=_number(v, "share"),
            arrives_after_s=_number(v, "arrives_after"),
        ),
        {
            "from": one_of(_VENUES),
            "to": one_of(_VENUES),
            "share": number_between(0.0, 1.0),
            "arrives_after": read_duration,
        },
        {"arrives_after": 60.0},
    ),
    "deposit": Verb(
        lambda w, v: levers.move_cash(w, _word(v, "venue"), amount_usd=_number(v, "amount_usd")),
        {"venue": one_of(_VENUES), "amount_usd": number_between(-1e9, 1e9)},
    ),
    "trade": Verb(
        lambda w, v: levers.trade(
            w, _word(v, "venue"), _word(v, "market"), size=_number(v, "size")
        ),
        {
            "venue": one_of(_VENUES),
            "market": _MARKET,
            "size": number_between(-1e9, 1e9),
        },
    ),
    "pace": Verb(
        lambda w, v: levers.set_pace(w, speed=_number(v, "speed")),
        {"speed": number_between(0.1, 1_000.0)},
    ),
    "order": Verb(
        lambda w, v: levers.place_order(
            w,
            _word(v, "venue"),
            _word(v, "market"),
            size=_number(v, "size"),
            ratio=_number(v, "at"),
            reduce_only=_word(v, "reduce_only") == "yes",
            stop=_word(v, "stop") == "yes",
        ),
        {
            "venue": one_of(_VENUES),
            "market": _MARKET,
            "size": number_between(-1e9, 1e9),
            "at": number_between(0.05, 1.95),
            "reduce_only": one_of(("yes", "no")),
            "stop": one_of(("yes", "no")),
        },
        {"reduce_only": "no", "stop": "no"},
    ),
    "replace_orders": Verb(
        lambda w, v: levers.replace_cancelled(
            w, _word(v, "venue"), every_s=_number(v, "every"), for_s=_number(v, "for")
        ),
        {"venue": one_of(_VENUES), "every": read_duration, "for": read_duration},
        {"every": 5.0},
    ),
    "regrow": Verb(
        lambda w, v: levers.regrow(
            w,
            _word(v, "venue"),
            _word(v, "market"),
            size=_number(v, "size"),
            every_s=_number(v, "every"),
            for_s=_number(v, "for"),
        ),
        {
            "venue": one_of(_VENUES),
            "market": _MARKET,
            "size": number_between(-1e9, 1e9),
            "every": read_duration,
            "for": read_duration,
        },
        {"every": 5.0},
    ),
    "calm": Verb(lambda w, _: levers.calm(w)),
}


# -------------------------------------------------------------------------------- reading the file


@dataclass(slots=True)
class _Reading:
    """Problems found so far in one file."""

    where: str
    problems: list[Problem] = field(default_factory=list)

    def wrong(
        self,
        node: yaml.Node,
        path: str,
        message: str,
        *,
        found: str | None = None,
        allowed: Iterable[str] = (),
    ) -> None:
        names = tuple(allowed)
        close = difflib.get_close_matches(found or "", names, n=1)
        self.problems.append(
            Problem(
                where=f"{self.where}:{node.start_mark.line + 1}",
                field=path,
                message=message,
                found=found,
                allowed=", ".join(names) or None,
                nearest=close[0] if close else None,
            )
        )

    def value(self, node: yaml.Node, path: str, reader: Reader) -> Value | None:
        try:
            return reader(node)
        except WrongError as wrong:
            found = node.value if isinstance(node, yaml.ScalarNode) else None
            self.wrong(node, path, str(wrong), found=found, allowed=wrong.allowed)
            return None

    def mapping(
        self, node: yaml.Node, path: str, allowed: Iterable[str]
    ) -> dict[str, yaml.Node] | None:
        if not isinstance(node, yaml.MappingNode):
            self.wrong(node, path, "A mapping of names to values is needed here.")
            return None
        names, found = tuple(allowed), dict[str, yaml.Node]()
        for key, value in node.value:
            if key.value not in names:
                self.wrong(
                    key, path, "This field is not known.", found=str(key.value), allowed=names
                )
            else:
                found[key.value] = value
        return found


_FIELDS: dict[str, Reader] = {
    "name": read_text,
    "title": read_text,
    "duration": read_duration,
    "start_minute": number_between(0, 59),
    "jumps_per_day": number_between(0.0, 1_000.0),
}
_REQUIRED = ("name", "title", "duration", "steps")


def read_scenario(text: str, where: str) -> ScenarioFile:
    """The checked content of a scenario file.

    Raises:
        ConfigError: With every mistake and its line.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        message = f"This is not readable as YAML: {error.problem}."
        raise ConfigError([Problem(f"{where}:{line}", "-", message)]) from error
    if root is None:
        raise ConfigError([Problem(f"{where}:1", "-", "The file is empty.")])
    reading, result = _Reading(where), ScenarioFile()
    parts = reading.mapping(root, "-", (*_FIELDS, "steps")) or {}
    for name in _REQUIRED:
        if isinstance(root, yaml.MappingNode) and name not in parts:
            reading.wrong(root, name, "This field is missing.")
    values = {
        name: reading.value(parts[name], name, reader)
        for name, reader in _FIELDS.items()
        if name in parts
    }
    if "steps" in parts:
        result.steps = _read_steps(reading, parts["steps"])
    result.duration_s = float(values.get("duration") or 0.0)  # type: ignore[arg-type]  # a number reader's
    if not reading.problems and result.steps and result.steps[-1].at_s > result.duration_s:
        reading.wrong(parts["steps"], "steps", "A step lies after the scenario's end.")
    if reading.problems:
        raise ConfigError(reading.problems)
    result.name, result.title = str(values["name"]), str(values["title"])
    minute, jumps = values.get("start_minute"), values.get("jumps_per_day")
    result.start_minute = int(minute) if isinstance(minute, float) else None
    result.jumps_per_day = jumps if isinstance(jumps, float) else 0.0
    return result


def _read_steps(reading: _Reading, node: yaml.Node) -> tuple[Step, ...]:
    if not isinstance(node, yaml.SequenceNode):
        reading.wrong(node, "steps", "A list of steps is needed here.")
        return ()
    steps: list[Step] = []
    for number, item in enumerate(node.value):
        path = f"steps[{number}]"
        parts = reading.mapping(item, path, ("at", "say", "do"))
        if parts is None:
            continue
        if "at" not in parts:
            reading.wrong(item, f"{path}.at", "This field is missing.")
            continue
        if not {"say", "do"} & parts.keys():
            reading.wrong(item, path, "A step must say or do something.")
        at_s = reading.value(parts["at"], f"{path}.at", read_duration)
        said = reading.value(parts["say"], f"{path}.say", read_text) if "say" in parts else ""
        actions = _read_actions(reading, parts["do"], f"{path}.do") if "do" in parts else ()
        if isinstance(at_s, float) and isinstance(said, str):
            if steps and at_s < steps[-1].at_s:
                reading.wrong(item, f"{path}.at", "Steps must be in the order of time.")
            steps.append(Step(at_s, said, actions))
    return tuple(steps)


def _read_actions(reading: _Reading, node: yaml.Node, path: str) -> tuple[Action, ...]:
    """One action or a list of them; an action without fields may be a bare word."""
    items = node.value if isinstance(node, yaml.SequenceNode) else [node]
    actions: list[Action] = []
    for item in items:
        if isinstance(item, yaml.ScalarNode) and item.value in ACTIONS:
            _read_action(reading, item, item.value, {}, path, actions)
            continue
        for name, body in (reading.mapping(item, path, ACTIONS) or {}).items():
            parts = reading.mapping(body, f"{path}.{name}", ACTIONS[name].fields)
            if parts is not None:
                _read_action(reading, body, name, parts, path, actions)
    return tuple(actions)


def _read_action(
    reading: _Reading,
    node: yaml.Node,
    name: str,
    parts: Mapping[str, yaml.Node],
    path: str,
    into: list[Action],
) -> None:
    verb = ACTIONS[name]
    values: dict[str, Value] = dict(verb.defaults)
    for key, reader in verb.fields.items():
        if key in parts:
            value = reading.value(parts[key], f"{path}.{name}.{key}", reader)
            if value is not None:
                values[key] = value
        elif key not in verb.defaults:
            reading.wrong(node, f"{path}.{name}.{key}", "This field is missing.")
    if name == "fault" and "kind" in values:
        kind = FaultKind(_word(values, "kind"))
        for key, why in misplaced_numbers(kind, parts.keys()):
            reading.wrong(parts.get(key, node), f"{path}.fault.{key}", why)
    into.append(Action(name, values, verb.lever))
