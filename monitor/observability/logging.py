"""Logs: structlog to stderr, JSON for machines, plain lines for a person at a terminal.

Only changes of state are logged, never messages. Whatever leaves through here passes ``redact``:
keys, tokens and signatures are removed and addresses shortened, in values, nested values and
tracebacks alike, and in what other libraries log as well.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import TextIO, cast

import orjson
import structlog
from structlog.typing import Processor, WrappedLogger

REDACTED = "[redacted]"
DEPTH_MAX = 6  # deeper nesting is cut off: a log line is no dump

_SECRET_NAME = re.compile(
    r"(?i)(^|_)(token|secret|password|passphrase|private_key|api_?key|authorization|mnemonic|"
    r"signature|cookie|seed_phrase|routing_key|credentials?)(_|$)"
)
_BECH32 = "[02-9ac-hj-np-z]"
# In this order: a whole key must be gone before its start could pass for an address.
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/\s@\"']+@"), rf"\1{REDACTED}@"),
    (re.compile(r"whsec_[A-Za-z0-9+/=_-]+"), f"whsec_{REDACTED}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), rf"\1 {REDACTED}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)?"), REDACTED),
    (
        re.compile(
            r"(?i)([?&;](?:[a-z0-9_-]*(?:token|key|secret|signature|sig|auth|password))=)[^&\s\"'#]+"
        ),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"(?:0[xX])?[0-9a-fA-F]{64,}"), REDACTED),
    (re.compile(r"(0[xX][0-9a-fA-F]{4})[0-9a-fA-F]{32}([0-9a-fA-F]{4})(?![0-9a-fA-F])"), r"\1…\2"),
    (
        re.compile(rf"\b([a-z]{{3,12}}1{_BECH32}{{4}}){_BECH32}{{30,56}}({_BECH32}{{4}})\b"),
        r"\1…\2",
    ),
)
_URL = re.compile(r"(?i)\b(?:https?|wss?)://[^\s\"'<>]+")
# A long opaque path segment is how RPC and chat providers hand out access.
_OPAQUE_SEGMENT = re.compile(r"(?<=/)(?=[^/?#]*\d)[A-Za-z0-9_-]{20,}(?=[/?#]|$)")


def redact_text(text: str) -> str:
    """``text`` without keys, tokens and URL credentials, with addresses shortened."""
    text = _URL.sub(lambda url: _OPAQUE_SEGMENT.sub(REDACTED, url.group()), text)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact(
    _logger: WrappedLogger, _method: str, event_dict: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    """Structlog processor: clean every key and value before it is rendered."""
    for key in list(event_dict):
        if key.startswith("_"):
            continue  # structlog's own bookkeeping, never rendered
        event_dict[key] = REDACTED if _SECRET_NAME.search(key) else _clean(event_dict[key], 0)
    return event_dict


def _clean(value: object, depth: int) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return redact_text(value)
    if depth >= DEPTH_MAX:
        return "…"
    if isinstance(value, bytes | bytearray):
        return redact_text(bytes(value).decode("utf-8", "backslashreplace"))
    if isinstance(value, Mapping):
        return {
            redact_text(str(key)): (
                REDACTED if _SECRET_NAME.search(str(key)) else _clean(item, depth + 1)
            )
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item, depth + 1) for item in value]
    return redact_text(str(value))


def _to_json(value: object, **_: object) -> str:
    # By now only plain values are left; default=str is for keys of other libraries' extras.
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def configure_logging(
    *, level: str = "info", human: bool | None = None, stream: TextIO | None = None
) -> None:
    """Set up structlog and the standard library's logging for the whole process.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        human: Coloured lines instead of JSON; by default where ``stream`` is a terminal.
        stream: Where lines go; standard error by default, since standard output is for results.
    """
    out = sys.stderr if stream is None else stream
    pretty = out.isatty() if human is None else human
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        # The cast: the processor's own type is narrower than structlog's, which says Any.
        cast("Processor", redact),
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(
            colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        if pretty
        else structlog.processors.JSONRenderer(serializer=_to_json)
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    # Libraries speak only when something is wrong; their chatter is not a change of our state.
    root.setLevel(max(threshold, logging.WARNING))
