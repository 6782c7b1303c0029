"""What a person may ask of a running riskd, and what they are answered. *Pure.*

The verbs are closed. Making things safer is one step; going back is two (``rearm``, ``confirm``;
``rebaseline`` too, where a second person is required).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from typing import Protocol

import msgspec

from monitor.core.errors import ConfigError
from monitor.core.killswitch.levels import Level
from monitor.core.types import PORTFOLIO, Subject, SubjectKind, subject_kind
from monitor.core.yamltext import nearest

ID_CHARACTERS_MAX = 128
REASON_CHARACTERS_MAX = 500
SCOPES = ("portfolio", "venue:V", "account:V/A", "asset:X", "market:V/M")
_SCOPE_KINDS = frozenset(
    {
        SubjectKind.PORTFOLIO,
        SubjectKind.VENUE,
        SubjectKind.ACCOUNT,
        SubjectKind.ASSET,
        SubjectKind.MARKET,
    }
)
FLAG_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
FLAG_SCOPES = frozenset({SubjectKind.PORTFOLIO, SubjectKind.ASSET, SubjectKind.VENUE})
FLAG_S_MAX = 30 * 86_400.0
# What a person calls a level; a number does as well.
LEVEL_NAMES = {
    "caution": Level.CAUTION,
    "reduce_only": Level.REDUCE_ONLY,
    "cut": Level.CUT,
    "halt": Level.HALT,
    "flatten": Level.FLATTEN,
}


class Verb(enum.StrEnum):
    """What can be asked."""

    KILL = "kill"  # scope, level, gross_to, reason
    PLAN = "plan"  # scope, gross_to: shows, sends nothing
    APPROVE = "approve"  # proposal, refuse, reason
    REARM = "rearm"  # scope: step one, answered with conditions and a nonce
    CONFIRM = "confirm"  # nonce, reason: step two
    REBASELINE = "rebaseline"  # scope, reason: drawdown starts from today's equity; nonce: step two
    FLAG_SET = "flag_set"  # flag, scope, lasts_s, begins_in_s, reason: news is due or out
    FLAG_CLEAR = "flag_clear"  # flag, reason: before it falls by itself
    FLAGS = "flags"  # shows which are set
    REVIEWED = "reviewed"  # bucket, reason: somebody went through it; without a bucket, shows
    APPROVE_RULES = "approve_rules"  # proposal, refuse, reason: a rulebook that loosens


class OperatorRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request. ``id`` makes a repeated message the same request; fields that a verb does not
    use stay empty. ``gross_to_ratio`` is the share of gross exposure that may stay; a news flag
    lasts ``lasts_s`` seconds from ``begins_in_s`` seconds after the request."""

    id: str
    verb: Verb
    scope: str = str(PORTFOLIO)
    level: str = ""
    gross_to_ratio: float | None = None
    proposal: str = ""
    refuse: bool = False
    nonce: str = ""
    reason: str = ""
    flag: str = ""
    lasts_s: float | None = None
    begins_in_s: float = 0.0
    bucket: str = ""


class OperatorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. ``text`` is for the person; ``done`` False when it was refused, ``kept``
    False when it was done and is not on record: a restart may not know of it."""

    done: bool
    text: str
    kept: bool = True


class OperatorDesk(Protocol):
    """Whoever carries out requests: the daemon."""

    async def run(
        self, request: OperatorRequest, *, principal: str, channel: str
    ) -> OperatorAnswer:
        """Do it, for ``principal``, who came by ``channel`` (cli, http, file)."""
        ...


_DECODER = msgspec.json.Decoder(OperatorRequest)
_SHAPE = (
    'A command is one JSON object, such as {"id": "…", "verb": "kill", "level": "halt", '
    '"reason": "…"}.'
)
_ID = (
    f"A command needs an id: a text of 1 to {ID_CHARACTERS_MAX} characters of your own, new for "
    "each command; the same one again is the same command."
)
_TEXT: tuple[tuple[type, ...], str] = ((str,), "text")
_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    **dict.fromkeys(("scope", "level", "proposal", "nonce", "reason", "flag", "bucket"), _TEXT),
    "refuse": ((bool,), "true or false"),
    "gross_to_ratio": ((int, float, type(None)), "a number"),
    "lasts_s": ((int, float, type(None)), "a number of seconds"),
    "begins_in_s": ((int, float), "a number of seconds"),
}
_PARTS = {
    SubjectKind.VENUE: re.compile(r"[a-z0-9_-]+"),
    SubjectKind.ACCOUNT: re.compile(r"[a-z0-9_-]+/[a-z0-9_.-]+"),
    SubjectKind.ASSET: re.compile(r"[^/\s]+"),
    SubjectKind.MARKET: re.compile(r"[a-z0-9_-]+/\S+"),
}


def decode_request(body: bytes) -> OperatorRequest:
    """A request from its JSON.

    Raises:
        ConfigError: With what is wrong and what is allowed.
    """
    try:
        request = _DECODER.decode(body)
    except msgspec.DecodeError as error:
        raise ConfigError(" ".join(_mistakes(body)) or f"{_SHAPE} {error}.") from error
    check_request(request)
    return request


def _mistakes(body: bytes) -> Iterator[str]:
    """What is wrong with bytes that are no request: every field that is missing, unknown or of the
    wrong type, a sentence each; nothing where the fault is another."""
    try:
        data = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        yield f"This is no JSON that riskd reads. {_SHAPE}"
        return
    if not isinstance(data, dict):
        yield f"This is JSON, and no object. {_SHAPE}"
        return
    for name in data:
        if name not in OperatorRequest.__struct_fields__:
            close = nearest(name, OperatorRequest.__struct_fields__)
            hint = f"did you mean {close!r}?" if close else "leave it out."
            yield f"{name[:60]!r} is no field of a command: {hint}"
    if not isinstance(data.get("id"), str):
        yield _ID
    verb = str(data.get("verb", ""))[:60]
    if verb not in set(Verb):
        found = f", not {verb!r}" if verb else ""
        close = nearest(verb, [one.value for one in Verb])
        hint = f" Did you mean {close!r}?" if close else ""
        yield f"A command needs a verb, one of {', '.join(Verb)}{found}.{hint}"
    for name, (kinds, what) in _TYPES.items():
        if name in data and (not isinstance(data[name], kinds) or _is_truth(name, data[name])):
            yield f"{name} must be {what}."


def _is_truth(name: str, value: object) -> bool:
    """True and false count as numbers in Python, and are none in JSON."""
    return name != "refuse" and isinstance(value, bool)


def check_request(request: OperatorRequest) -> None:
    """Refuse what could be misunderstood.

    Raises:
        ConfigError: With what is wrong and what is allowed.
    """
    if not request.id or len(request.id) > ID_CHARACTERS_MAX:
        raise ConfigError(_ID)
    scope_of(request.scope)
    ratio = request.gross_to_ratio
    if ratio is not None and not 0.0 <= ratio < 1.0:
        raise ConfigError(
            "gross_to_ratio is the share of exposure that may stay, 0 up to but not 1; found "
            f"{ratio:g}. To cut 30 % write 0.7."
        )
    if len(request.reason) > REASON_CHARACTERS_MAX:
        raise ConfigError(f"A reason has at most {REASON_CHARACTERS_MAX} characters.")
    if request.verb is Verb.KILL:
        if ratio is not None and level_of(request.level) is not Level.CUT:
            raise ConfigError(
                f"How much may stay goes with a cut alone, not with {request.level}: leave it out, "
                "or ask for level cut."
            )
        if level_of(request.level) is Level.CUT and ratio is None:
            raise ConfigError(
                "A cut needs how much may stay: give gross_to_ratio, 0.7 to cut 30 %."
            )
        _need(request.reason, "kill", "a reason; it goes into the audit")
    elif request.verb is Verb.PLAN and ratio is None:
        raise ConfigError("A plan needs how much may stay: give gross_to_ratio, 0.7 to cut 30 %.")
    elif request.verb is Verb.APPROVE:
        _need(request.proposal, "approve", "the proposal's id, as the page and `riskd status` say")
    elif request.verb is Verb.CONFIRM:
        _need(request.nonce, "confirm", "the nonce that `riskd rearm` answered with")
        _need(request.reason, "confirm", "a reason; it goes into the audit")
    elif request.verb is Verb.REBASELINE:
        _need(request.reason, "rebaseline", "a reason; it goes into the audit")
    elif request.verb is Verb.REVIEWED and request.bucket:
        _need(request.reason, "reviewed", "a reason: what was found; it goes into the audit")
    elif request.verb in {Verb.FLAG_SET, Verb.FLAG_CLEAR}:
        _check_flag(request)


def _check_flag(request: OperatorRequest) -> None:
    _need(request.flag, request.verb.value, "a flag: its name, such as us-cpi")
    if not FLAG_NAME.fullmatch(request.flag):
        raise ConfigError(
            f"{request.flag!r} is no name of a flag. Allowed: up to 64 lower-case letters, digits, "
            "dashes, dots and underscores, such as us-cpi."
        )
    if request.verb is Verb.FLAG_CLEAR:
        return
    _need(request.reason, "flag set", "a reason; it is what the page says")
    if subject_kind(scope_of(request.scope)) not in FLAG_SCOPES:
        raise ConfigError(
            f"A news flag cannot be about {request.scope}. Allowed: portfolio, asset:X, venue:V."
        )
    lasts_s = request.lasts_s
    if lasts_s is None or not 0.0 < lasts_s <= FLAG_S_MAX:
        raise ConfigError("A flag needs an expiry, at most 30 days ahead: nobody has to clear it.")
    if not 0.0 <= request.begins_in_s <= FLAG_S_MAX:
        raise ConfigError("A flag begins now or within the next 30 days.")


def scope_of(text: str) -> Subject:
    """The subject that a scope names.

    Raises:
        ConfigError: When it is none that can be latched.
    """
    kind_text, _, rest = text.partition(":")
    allowed = f"Allowed: {', '.join(SCOPES)}."
    try:
        kind = SubjectKind(kind_text)
    except ValueError:
        raise ConfigError(f"{text!r} is no scope. {allowed}") from None
    if kind not in _SCOPE_KINDS:
        raise ConfigError(f"A {kind.value} cannot be latched by itself. {allowed}")
    if kind is SubjectKind.PORTFOLIO:
        if rest:
            raise ConfigError(f"{text!r}: the portfolio has no part. {allowed}")
    elif not _PARTS[kind].fullmatch(rest):
        raise ConfigError(f"{text!r} names no {kind.value}. {allowed}")
    return Subject(text)


def level_of(text: str) -> Level:
    """The level that a name or number stands for, CAUTION to FLATTEN.

    Raises:
        ConfigError: When it is none.
    """
    level = LEVEL_NAMES.get(text.strip().lower().replace("-", "_"))
    if level is None and text.strip().isdigit() and 1 <= int(text) <= Level.FLATTEN:
        level = Level(int(text))
    if level is None:
        names = ", ".join(f"{one.value} {name}" for name, one in LEVEL_NAMES.items())
        what = f"{text!r} is no level." if text.strip() else "No level was given."
        raise ConfigError(f"{what} Allowed: {names}.")
    return level


def _need(text: str, verb: str, what: str) -> None:
    if not text.strip():
        raise ConfigError(f"`{verb}` needs {what}.")
