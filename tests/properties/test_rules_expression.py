"""Generated conditions: CEL, the native walk and a reference Kleene evaluation agree."""

from __future__ import annotations

import contextlib
import math

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from monitor.core.rules.expression import Expression
from monitor.core.rules.grammar import (
    MULTIPLICATIONS_MAX,
    Arithmetic,
    Both,
    Choose,
    Compare,
    Either,
    ExpressionError,
    Name,
    Negate,
    Node,
    Not,
    Number,
    parse_expression,
)
from monitor.core.types import Verdict

# A deadline per example measures the machine, not the rules.
slow_machines = settings(deadline=None)

NAMES = ("a", "b", "c")
VALUES = st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 2.0])
NUMBERS = VALUES.filter(lambda value: value >= 0.0)

number = st.recursive(
    st.one_of(NUMBERS.map(Number), st.sampled_from(NAMES).map(Name)),
    lambda inner: st.one_of(
        st.builds(Arithmetic, st.sampled_from("+-*"), inner, inner),
        st.builds(Negate, inner),
    ),
    max_leaves=4,
)
comparison = st.builds(Compare, st.sampled_from(["<", "<=", ">", ">="]), number, number)
limit = st.one_of(NUMBERS.map(Number), NUMBERS.map(Number).map(Negate))
plain_comparison = st.one_of(
    st.builds(
        Compare, st.sampled_from(["<", "<=", ">", ">="]), st.sampled_from(NAMES).map(Name), limit
    ),
    st.builds(
        Compare, st.sampled_from(["<", "<=", ">", ">="]), limit, st.sampled_from(NAMES).map(Name)
    ),
)


def joined(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    """Conditions made of conditions."""
    return st.one_of(
        st.builds(Both, inner, inner), st.builds(Either, inner, inner), st.builds(Not, inner)
    )


plain = st.recursive(plain_comparison, joined, max_leaves=6)
condition = st.recursive(
    comparison,
    lambda inner: st.one_of(joined(inner), st.builds(Choose, inner, inner, inner)),
    max_leaves=5,
)
world = st.dictionaries(st.sampled_from(NAMES), VALUES)


def written(node: Node) -> str:
    """The node as text, with no more parentheses than its precedence needs."""

    def bracketed(inner: Node, *allowed: type) -> str:
        return written(inner) if isinstance(inner, allowed) else f"({written(inner)})"

    match node:
        case Number():
            return repr(node.value)
        case Name():
            return node.name
        case Negate():
            return f"-{bracketed(node.operand, Name, Number)}"
        case Not():
            return f"!{bracketed(node.operand)}"
        case Arithmetic("*"):
            return f"{bracketed(node.left, Name, Number)} * {bracketed(node.right, Name, Number)}"
        case Arithmetic():
            left = written(node.left)
            return f"{left} {node.op} {bracketed(node.right, Name, Number)}"
        case Compare():
            return f"{written(node.left)} {node.op} {written(node.right)}"
        case Both():
            left = bracketed(node.left, Compare, Both, Not)
            return f"{left} && {bracketed(node.right, Compare, Not)}"
        case Either():
            left = bracketed(node.left, Compare, Both, Either, Not)
            return f"{left} || {bracketed(node.right, Compare, Both, Not)}"
        case Choose():
            parts = (node.condition, node.then, node.other)
            return "{} ? {} : {}".format(*(f"({written(part)})" for part in parts))


def reference_number(node: Node, values: dict[str, float]) -> float | None:
    """A number, None where any part of it is unknown."""
    match node:
        case Number():
            return node.value
        case Name():
            return values.get(node.name)
        case Negate():
            inner = reference_number(node.operand, values)
            return None if inner is None else -inner
        case Arithmetic():
            left, right = (reference_number(part, values) for part in (node.left, node.right))
            if left is None or right is None:
                return None
            return {"+": left + right, "-": left - right, "*": left * right}[node.op]
    raise AssertionError(node)


def reference(node: Node, values: dict[str, float]) -> bool | None:
    """Kleene's three-valued truth, written from its definition: None is unknown."""
    match node:
        case Compare():
            left, right = (reference_number(part, values) for part in (node.left, node.right))
            if left is None or right is None:
                return None
            order = (left > right) - (left < right)
            return {"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[node.op]
        case Not():
            inner = reference(node.operand, values)
            return None if inner is None else not inner
        case Both() | Either():
            sides = (reference(node.left, values), reference(node.right, values))
            decisive = isinstance(node, Either)
            if decisive in sides:
                return decisive
            return None if None in sides else not decisive
        case Choose():
            which = reference(node.condition, values)
            if which is None:
                return None
            return reference(node.then if which else node.other, values)
    raise AssertionError(node)


VERDICT = {True: Verdict.TRUE, False: Verdict.FALSE, None: Verdict.UNKNOWN}


@slow_machines
@given(condition, world)
def test_cel_is_three_valued_logic(tree: Node, values: dict[str, float]) -> None:
    """CEL's absorbing of undefined variables is Kleene's logic over our whole language."""
    text = written(tree)
    assume(text.count("*") <= MULTIPLICATIONS_MAX and any(name in text for name in NAMES))
    expression = Expression(text)
    assert expression.evaluate_in_cel(values.get) is VERDICT[reference(tree, values)]
    assert expression.evaluate(values.get) is VERDICT[reference(tree, values)]


@slow_machines
@given(plain, world)
def test_the_native_walk_is_cel(tree: Node, values: dict[str, float]) -> None:
    """For plain comparisons: the same verdict, and the same measures asked in the same order."""
    expression = Expression(written(tree))
    assert expression.plain
    asked: tuple[list[str], list[str]] = ([], [])

    def resolver(log: list[str], name: str) -> float | None:
        log.append(name)
        return values.get(name)

    native = expression.evaluate(lambda name: resolver(asked[0], name))
    in_cel = expression.evaluate_in_cel(lambda name: resolver(asked[1], name))
    assert native is in_cel is VERDICT[reference(tree, values)]
    assert asked[0] == asked[1]


@slow_machines
@given(condition)
def test_our_parser_reads_what_was_written(tree: Node) -> None:
    """Precedence and associativity are CEL's: the text gives the same tree back."""
    text = written(tree)
    assume(text.count("*") <= MULTIPLICATIONS_MAX)
    assert parse_expression(text) == tree


@slow_machines
@given(plain, world, st.sampled_from(NAMES))
def test_less_data_never_turns_a_verdict_around(
    tree: Node, values: dict[str, float], gone: str
) -> None:
    """Taking a reading away leaves the verdict or makes it UNKNOWN, never its opposite."""
    expression = Expression(written(tree))
    before = expression.evaluate(values.get)
    fewer = {name: value for name, value in values.items() if name != gone}
    assert expression.evaluate(fewer.get) in {before, Verdict.UNKNOWN}


@slow_machines
@given(st.text(max_size=60))
def test_no_text_breaks_the_parser(text: str) -> None:
    """Whatever a person types is an expression or an explained refusal, nothing else."""
    with contextlib.suppress(ExpressionError):
        Expression(text)


@slow_machines
@given(plain, st.sampled_from([math.nan, math.inf, -math.inf, 1e200]))
def test_no_number_that_cannot_be_is_ever_fine(tree: Node, value: float) -> None:
    """A NaN compares false, which would read as fine: it is an ERROR instead."""
    expression = Expression(written(tree))
    assert expression.evaluate(lambda _: value) is Verdict.ERROR
    assert expression.evaluate_in_cel(lambda _: value) is Verdict.ERROR
