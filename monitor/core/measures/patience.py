"""Which measures need not follow every price, because all that read them wait anyway.

What moves with every price but is looked at once a second is computed once a second: most of what
stands behind a valuation of an account is of that kind. *Pure.*
"""

from __future__ import annotations

from collections.abc import Iterable

from monitor.core.measures.instance import Instance


def find_lazy(instances: Iterable[Instance]) -> None:
    """Mark what is lazy: whose readers, and readers' readers, all have a cadence. To be done anew
    whenever somebody comes to read or to watch one of them.

    Args:
        instances: All that are in demand.
    """
    found = sorted(instances, key=_rank, reverse=True)  # readers come before what they read
    for one in found:
        definition = one.definition
        one.lazy = bool(one.dependents) and not (
            one.watchers
            or one.witnesses
            or one.cadence_ns
            or one.clock
            or definition.always
            or definition.hidden  # leaves results where others than its readers find them
            or definition.heavy
        )
        if one.lazy:
            one.lazy = all(map(_waits, one.dependents))
    for one in found:
        one.pulled = tuple(source for source in one.inputs if source.lazy)
        one.slow = tuple(reader for reader in one.dependents if _waits(reader))
        one.hot = tuple(reader for reader in one.dependents if not _waits(reader))
        one.slow_until_ns = 0


def _waits(reader: Instance) -> bool:
    # A preview looks at the cells of what it is made from: they have to be as of now.
    return reader.lazy or (reader.cadence_ns > 0 and reader.preview is None)


def _rank(instance: Instance) -> int:
    return instance.rank
