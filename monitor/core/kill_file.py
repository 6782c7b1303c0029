"""The KILL file: a way to stop the book that needs no network, no daemon and no thought.

``touch <data_dir>/KILL`` is HALT of the portfolio. Whoever has a moment more writes the fields of a
``kill`` request into it. What cannot be understood is taken as a HALT: a typing mistake must not
let the book run on. The file is a request for as long as it lies there. *Pure.*
"""

from __future__ import annotations

import hashlib

import msgspec

from monitor.core.errors import ConfigError
from monitor.core.operator import OperatorRequest, Verb, check_request

KILL_FILE_NAME = "KILL"
CONTENT_BYTES_MAX = 16 * 1024


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    scope: str = "portfolio"
    level: str = "halt"
    reason: str = "the KILL file"
    gross_to_ratio: float | None = None


def kill_file_content(
    *, scope: str, level: str, reason: str, gross_to_ratio: float | None
) -> bytes:
    """What a person's words are in the file."""
    return msgspec.json.encode(_Content(scope, level, reason, gross_to_ratio))


def parse_kill_file(content: bytes, stamp: str) -> OperatorRequest:
    """The request that a KILL file stands for; ``stamp`` tells one file from another. The same file
    is the same request for ever."""
    digest = hashlib.sha256(content + stamp.encode()).hexdigest()[:32]
    request_id = f"file-{digest}"
    if content.strip():
        try:
            asked = msgspec.json.decode(content, type=_Content)
            request = OperatorRequest(
                id=request_id,
                verb=Verb.KILL,
                scope=asked.scope,
                level=asked.level,
                reason=asked.reason,
                gross_to_ratio=asked.gross_to_ratio,
            )
            check_request(request)
        except (msgspec.DecodeError, ConfigError) as error:
            return _halt(request_id, f"the KILL file, which could not be understood: {error}")
        return request
    return _halt(request_id, "the KILL file")


def _halt(request_id: str, reason: str) -> OperatorRequest:
    return OperatorRequest(id=request_id, verb=Verb.KILL, level="halt", reason=reason[:500])
