"""How a measure is computed for one kind of subject, and what makes it be computed again.

The public side (``MeasureSpec``) is what people read; a ``Definition`` is what the evaluator runs.
*Pure.*
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec

from monitor.core.measures.spec import MeasureSpec
from monitor.core.measures.use import Use
from monitor.core.state.facts import COMPUTED_BIT
from monitor.core.types import EngineNs, SubjectKind

if TYPE_CHECKING:
    from monitor.core.measures.tree import Node
    from monitor.core.state.model import RiskState

# The hidden measure that values all positions of an account: the one thing about an account that a
# market's prices dirty; all else follows from it.
HOLDINGS = "_holdings"

ABSENT = float("nan")  # a preview of nothing

Key = tuple[str, SubjectKind]
Compute = Callable[["Node", Use], float | None]
Preview = Callable[["Node"], float | None]
Detail = Callable[["Node", "RiskState", EngineNs], str]
Arithmetic = Callable[["Node", Use], tuple[str, ...]]


class Relation(enum.StrEnum):  # of text, whose hash is at hand: links are looked up all the time
    """From a subject to the subjects whose measures it reads."""

    SELF = "self"
    ACCOUNT = "account"  # of a position
    MARKET = "market"  # of a position
    ASSET = "asset"  # of a position, once its market is listed
    POSITIONS = "positions"  # of an account
    ACCOUNTS = "accounts"  # of a venue, hedge set, bucket or strategy
    VENUES = "venues"  # of the portfolio
    ALL_ACCOUNTS = "all_accounts"  # of the portfolio or an asset
    HOLDERS = "holders"  # of an asset: the accounts that have (had) a position in it
    BUCKETS = "buckets"  # of a bucket: all of them
    STRATEGIES = "strategies"  # of the portfolio or a strategy: all of them
    PORTFOLIO = "portfolio"  # of a venue


RELATED_KIND = {
    Relation.ACCOUNT: SubjectKind.ACCOUNT,
    Relation.MARKET: SubjectKind.MARKET,
    Relation.ASSET: SubjectKind.ASSET,
    Relation.POSITIONS: SubjectKind.POSITION,
    Relation.ACCOUNTS: SubjectKind.ACCOUNT,
    Relation.VENUES: SubjectKind.VENUE,
    Relation.ALL_ACCOUNTS: SubjectKind.ACCOUNT,
    Relation.HOLDERS: SubjectKind.ACCOUNT,
    Relation.BUCKETS: SubjectKind.BUCKET,
    Relation.STRATEGIES: SubjectKind.STRATEGY,
    Relation.PORTFOLIO: SubjectKind.PORTFOLIO,
}


class Definition(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One measure for one kind of subject.

    Args:
        bits: Facts of the subject itself that, told, make it be computed again.
        market_bits: Of a position: facts of its market that, told, make it be computed again.
        needs: Measures of related subjects that it reads.
        knows: Measures of related subjects of which it reads no more than whether they are known;
            only that becoming otherwise makes it be computed again.
        clock: The value grows by one a second while nothing is told (an age): it is computed again
            when it reaches a limit that some rule asks about, not with every message.
        always: Computed whether or not a rule reads it, because it remembers.
        cadence_s: Recomputed at most this often for the rules about this kind; whoever else reads
            it is told what it is now. None: as the measure says.
        patient: Its cadence bounds even what is told about the subject itself, which otherwise is
            looked at in the same batch.
        heavy: It is computed off the loop: ``compute`` asks (``Use.request``) and reads the last
            answer (``Use.answer``), and runs again when one comes back.
        hidden: An intermediate result, not a measure for people.
        preview: The value the measure would have now, from facts just told, without its freshness;
            NaN where it would surely be absent, None where that cannot be said so cheaply. While
            it stays between the limits that rules ask about, nothing more needs to be done.
        detail: How a person says the present value where the number alone says too little (which
            ones, out of how many); asked only when somebody is told, empty for nothing to add. Its
            first line is for a headline; lines after it, how the number came about, are for whoever
            reads all.
        made_of: Measures of the same subject to show beside the value, besides those it needs.
        arithmetic: The steps from inputs and settings to the present value, a line each, for
            whoever does them again by hand; empty where the value is absent.
    """

    spec: MeasureSpec
    kind: SubjectKind
    compute: Compute
    bits: int = 0
    market_bits: int = 0
    needs: tuple[tuple[Relation, str], ...] = ()
    knows: tuple[tuple[Relation, str], ...] = ()
    clock: bool = False
    always: bool = False
    cadence_s: float | None = None
    patient: bool = False
    heavy: bool = False
    hidden: bool = False
    preview: Preview | None = None
    detail: Detail | None = None
    made_of: tuple[str, ...] = ()
    arithmetic: Arithmetic | None = None

    @property
    def name(self) -> str:
        """Of the measure."""
        return self.spec.name


_Node = TypeVar("_Node", bound="Node")


def define(
    spec: MeasureSpec,
    kind: SubjectKind,
    compute: Callable[[_Node, Use], float | None],
    *,
    bits: int = 0,
    market_bits: int = 0,
    needs: tuple[tuple[Relation, str], ...] = (),
    knows: tuple[tuple[Relation, str], ...] = (),
    clock: bool = False,
    always: bool = False,
    cadence_s: float | None = None,
    patient: bool = False,
    heavy: bool = False,
    hidden: bool = False,
    preview: Callable[[_Node], float | None] | None = None,
    detail: Detail | None = None,
    made_of: tuple[str, ...] = (),
    arithmetic: Callable[[_Node, Use], tuple[str, ...]] | None = None,
) -> Definition:
    """A definition whose ``compute`` takes the node class of ``kind``; the tree makes no other."""
    return Definition(
        spec=spec,
        kind=kind,
        compute=cast("Compute", compute),
        bits=bits | COMPUTED_BIT if heavy else bits,
        market_bits=market_bits,
        needs=needs,
        knows=knows,
        clock=clock,
        always=always,
        cadence_s=cadence_s,
        patient=patient,
        heavy=heavy,
        hidden=hidden,
        preview=cast("Preview | None", preview),
        detail=detail,
        made_of=made_of,
        arithmetic=cast("Arithmetic | None", arithmetic),
    )


def rank_definitions(definitions: Mapping[Key, Definition]) -> dict[Key, int]:
    """Each measure one rank above the highest it reads.

    Raises:
        ValueError: If a measure reads itself by some way round, or one that does not exist.
    """
    ranks: dict[Key, int] = {}

    def rank(key: Key, path: tuple[Key, ...]) -> int:
        if key in path:
            raise ValueError(f"{key[0]} of {key[1]} reads itself")
        if key not in ranks:
            definition = definitions.get(key)
            if definition is None:
                raise ValueError(f"{path[-1][0]} reads {key[0]} of {key[1]}, which does not exist")
            below = [
                rank((name, _kind(relation, key[1])), (*path, key))
                for relation, name in (*definition.needs, *definition.knows)
            ]
            ranks[key] = 1 + max(below, default=-1)
        return ranks[key]

    for key in definitions:
        rank(key, ())
    return ranks


def _kind(relation: Relation, own: SubjectKind) -> SubjectKind:
    return own if relation is Relation.SELF else RELATED_KIND[relation]
