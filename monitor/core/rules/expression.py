"""One condition over measures, compiled once, evaluated to TRUE, FALSE, UNKNOWN or ERROR.

CEL evaluates; an absent measure is an undefined variable, which ``&&`` and ``||`` absorb where the
other side decides: three-valued logic. Only that one error is UNKNOWN. *Pure.*
"""

from __future__ import annotations

import operator
from collections.abc import Callable

import cel
import msgspec

from monitor.core.rules.grammar import (
    PLAUSIBLE,
    Both,
    Compare,
    Either,
    ExpressionError,
    Name,
    Negate,
    Node,
    Not,
    Number,
    children,
    parse_expression,
)
from monitor.core.types import Verdict

Resolve = Callable[[str], float | None]
_Judge = Callable[[Resolve], bool | None]

_ALLOWED_FUNCTIONS = frozenset(
    {"_&&_", "_||_", "!_", "_<_", "_<=_", "_>_", "_>=_", "-_", "_+_", "_-_", "_*_", "_?_:_"},
)
_UNDEFINED = "Undefined variable or function: '"
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_MIRROR = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ERROR_CHARS_MAX = 300


class Comparison(msgspec.Struct, frozen=True, gc=False):
    """One ``measure op limit`` inside an expression, for explanations and checks."""

    name: str
    op: str
    limit: float

    def holds(self, value: float) -> bool:
        """Whether ``value`` is on the asked side of the limit."""
        return _COMPARE[self.op](value, self.limit)


class Expression:
    """A compiled condition.

    ``variables`` are the names it reads; ``comparisons`` its measure-against-number parts, left to
    right; ``plain`` is True when ``tree``, the text as parsed, consists of nothing but those,
    joined by ``&& || !``; ``error_text`` explains the last ERROR and is empty otherwise. Not
    thread-safe: one writer.

    Raises:
        ExpressionError: If the text is not part of the rule language.
    """

    def __init__(self, text: str) -> None:
        tree = parse_expression(text)
        try:
            self._program = cel.compile(text)
        except ValueError as error:  # a word that CEL keeps for itself, such as "package"
            raise ExpressionError(str(error).splitlines()[0]) from error
        references = self._program.references()
        refused = sorted(set(references["functions"]) - _ALLOWED_FUNCTIONS)
        if refused:
            raise ExpressionError(f"{', '.join(refused)} may not be used in a rule")
        self.text = text.strip()
        self.tree = tree
        self.variables = frozenset(references["variables"])
        if not self.variables:
            raise ExpressionError("no measure stands in it, so it can never change")
        self.comparisons = tuple(_comparisons(tree))
        self.plain = _plain(tree)
        self.error_text = ""
        self._judge = _native(tree) if self.plain else None
        self._resolve: Resolve = _nothing
        self._failures: list[Exception] = []
        self._context = cel.Context()
        self._context.set_variable_resolver(self._lookup)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def evaluate(self, resolve: Resolve) -> Verdict:
        """The verdict now. ``resolve`` gives a measure's value, or None where it is absent; it is
        asked left to right, only as far as the verdict needs. Whatever it raises, and a value that
        no measure can have (NaN, infinite), is ERROR: one rule fails alone."""
        self.error_text = ""
        # Most rules are a comparison or two. Walking those here costs a fifth of entering CEL;
        # a property test holds both to the same verdicts and the same questions asked.
        if self._judge is not None:
            try:
                answer = self._judge(resolve)
            except Exception as error:  # noqa: BLE001 - containment: one rule (design.md §2)
                return self._error(error)
            if answer is None:
                return Verdict.UNKNOWN
            return Verdict.TRUE if answer else Verdict.FALSE
        return self.evaluate_in_cel(resolve)

    def evaluate_in_cel(self, resolve: Resolve) -> Verdict:
        """The same verdict by way of CEL, whatever the expression's shape."""
        self._resolve, self._failures, self.error_text = resolve, [], ""
        try:
            result = self._program.execute(self._context)
        except Exception as error:  # noqa: BLE001 - containment: one rule (design.md §2)
            if self._failures:
                return self._error(self._failures[0])
            if isinstance(error, RuntimeError) and str(error).startswith(_UNDEFINED):
                return Verdict.UNKNOWN
            return self._error(error)
        finally:
            self._resolve = _nothing
        if self._failures:
            return self._error(self._failures[0])
        if result is True:
            return Verdict.TRUE
        if result is False:
            return Verdict.FALSE
        return self._error(TypeError(f"the result is {result!r}, not true or false"))

    def _lookup(self, name: str) -> float | None:
        # CEL takes an exception in here for an undefined variable, which would make a bug look
        # like missing data: it is kept and told after the evaluation.
        try:
            return _checked(name, self._resolve(name))
        except Exception as error:  # noqa: BLE001 - containment: one rule (design.md §2)
            self._failures.append(error)
            return None

    def _error(self, error: Exception) -> Verdict:
        self.error_text = f"{type(error).__name__}: {error}"[:_ERROR_CHARS_MAX]
        return Verdict.ERROR


def _nothing(_name: str) -> float | None:
    return None


def _checked(name: str, value: float | None) -> float | None:
    if value is not None and not -PLAUSIBLE <= value <= PLAUSIBLE:
        raise ValueError(f"{name} reads {value!r}, which no measure can be")
    return value


def _constant(node: Node) -> float | None:
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Negate):
        inner = _constant(node.operand)
        return None if inner is None else -inner
    return None


def comparison_of(node: Node) -> Comparison | None:
    """The node as ``measure op limit``, mirrored where the number stands first."""
    if not isinstance(node, Compare):
        return None
    left, right = _constant(node.left), _constant(node.right)
    if isinstance(node.left, Name) and right is not None:
        return Comparison(node.left.name, node.op, right)
    if isinstance(node.right, Name) and left is not None:
        return Comparison(node.right.name, _MIRROR[node.op], left)
    return None


def _comparisons(node: Node) -> list[Comparison]:
    own = comparison_of(node)
    if own is not None:
        return [own]
    return [found for child in children(node) for found in _comparisons(child)]


def _plain(node: Node) -> bool:
    if isinstance(node, Both | Either | Not):
        return all(_plain(child) for child in children(node))
    return comparison_of(node) is not None


def _native(node: Node) -> _Judge:
    """A function with CEL's verdict for a plain tree: True, False, or None for unknown."""
    match node:
        case Both():
            return _joined(_native(node.left), _native(node.right), decides=False)
        case Either():
            return _joined(_native(node.left), _native(node.right), decides=True)
        case Not():
            return _negated(_native(node.operand))
        case _:
            comparison = comparison_of(node)
            if comparison is None:
                raise ExpressionError("not a plain comparison")
            return _compared(comparison)


def _joined(left: _Judge, right: _Judge, *, decides: bool) -> _Judge:
    def judge(resolve: Resolve) -> bool | None:
        first = left(resolve)
        if first is decides:
            return first
        second = right(resolve)
        return second if second is decides or first is not None else None

    return judge


def _negated(inner: _Judge) -> _Judge:
    def judge(resolve: Resolve) -> bool | None:
        answer = inner(resolve)
        return None if answer is None else not answer

    return judge


def _compared(comparison: Comparison) -> _Judge:
    name, limit, compare = comparison.name, comparison.limit, _COMPARE[comparison.op]

    def judge(resolve: Resolve) -> bool | None:
        value = resolve(name)
        if value is None:
            return None
        if not -PLAUSIBLE <= value <= PLAUSIBLE:
            _checked(name, value)
        return compare(value, limit)

    return judge
