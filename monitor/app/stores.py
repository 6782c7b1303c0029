"""Opens the store of a daemon, with what its audit records carry."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from monitor import __version__
from monitor.actions.policy import KillSettings
from monitor.app.degraded import Degraded
from monitor.config import Config
from monitor.core.errors import ConfigError
from monitor.store.audit import AuditStamp, checked_key, read_key
from monitor.store.database import Store, open_or_unreadable

# A page may wait this long for its record: well within the five seconds from event to page, and
# long enough that a busy disk is not called a broken one. A kill phase will have 250 ms.
PAGE_DEADLINE_S = 2.0


def open_store(config: Config, *, base: Path, degraded: Degraded, kill_deadline_s: float) -> Store:
    """The store. An armed riskd starts in any case: what was latched may be in a file that cannot
    be read, and then it starts in REDUCE_ONLY; one that only observes refuses.

    Raises:
        ConfigError: If it cannot be opened, or its key is missing and that is not forgiven.
    """
    kill = config.kill
    key = degraded.attempt(
        "audit-key",
        partial(audit_key, kill, base=base),
        meanwhile="The audit's records of this run are not signed, and `riskd audit verify` says "
        "so of each. Mend kill.audit_key_* and start riskd again.",
    )
    make = Store if config.mode == "observe" else open_or_unreadable
    return make(
        base / config.data_dir,
        second_directory=base / kill.second_copy_dir if kill.second_copy_dir else None,
        stamp=AuditStamp(config_hash=config_hash(config), code_version=__version__, key=key or b""),
        phase_deadline_s=PAGE_DEADLINE_S,
        kill_deadline_s=kill_deadline_s,
    )


def audit_key(
    kill: KillSettings, *, base: Path, environment: Mapping[str, str] = os.environ
) -> bytes:
    """What the audit's records are signed with; empty where no key is given.

    Raises:
        ConfigError: If it is missing or too short.
    """
    if kill.audit_key_file is not None:
        return read_key(base / kill.audit_key_file)
    if kill.audit_key_env is None:
        return b""
    name = kill.audit_key_env
    key = environment.get(name, "").strip()
    if not key:
        raise ConfigError(
            f"The audit's key ${name} is not set, or empty. Put the key of the records so far into "
            "riskd's environment; a first one comes of `openssl rand -hex 32`."
        )
    return checked_key(key.encode(), origin=f"${name}")


def config_hash(config: Config) -> str:
    """Twelve hex digits that change with any setting; secrets themselves are not in a config."""
    plain = json.dumps(config.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()[:12]
