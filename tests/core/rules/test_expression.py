"""Conditions: what may be written, three-valued truth, and what is an error."""

from __future__ import annotations

import pytest

from monitor.core.rules.expression import Comparison, Expression
from monitor.core.rules.grammar import ExpressionError
from monitor.core.types import Verdict

T, F, U, E = Verdict.TRUE, Verdict.FALSE, Verdict.UNKNOWN, Verdict.ERROR


@pytest.mark.parametrize(
    ("text", "values", "verdict"),
    [
        pytest.param("a >= 60.0", {"a": 60.0}, T, id="at the limit"),
        pytest.param("a >= 60.0", {"a": 59.999}, F, id="just below the limit"),
        pytest.param("a > 60.0", {"a": 60.0}, F, id="strictly above excludes the limit"),
        pytest.param("a <= -1.5", {"a": -1.5}, T, id="negative limit"),
        pytest.param("60.0 <= a", {"a": 60.0}, T, id="number first"),
        pytest.param("a >= 60.0", {}, U, id="absent is unknown"),
        pytest.param("a > 1.0 || b > 1.0", {"b": 2.0}, T, id="true or unknown is true"),
        pytest.param("a > 1.0 || b > 1.0", {"b": 0.0}, U, id="false or unknown is unknown"),
        pytest.param("a > 1.0 && b > 1.0", {"b": 0.0}, F, id="unknown and false is false"),
        pytest.param("a > 1.0 && b > 1.0", {"a": 0.0}, F, id="false and unknown is false"),
        pytest.param("a > 1.0 && b > 1.0", {"b": 2.0}, U, id="unknown and true is unknown"),
        pytest.param("!(a > 1.0)", {}, U, id="not unknown is unknown"),
        pytest.param("!(a > 1.0)", {"a": 1.0}, T, id="not false is true"),
        pytest.param("a * b > 6.0", {"a": 2.0, "b": 3.5}, T, id="product"),
        pytest.param("a * b > 6.0", {"a": 0.0}, U, id="zero times unknown is unknown"),
        pytest.param("a - b > 0.0 - 1.0", {"a": 1.0, "b": 1.5}, T, id="difference"),
        pytest.param("(a > 1.0 ? b : c) > 5.0", {"a": 2.0, "b": 6.0}, T, id="choice reads one"),
        pytest.param("a > 1.0 ? b > 1.0 : b > 1.0", {"b": 2.0}, U, id="choice by unknown"),
        pytest.param("a > 1.0 || b > 1.0 && c > 1.0", {"a": 2.0}, T, id="and binds closer"),
        pytest.param("a >= 1.0", {"a": float("nan")}, E, id="nan is an error, not fine"),
        pytest.param("a >= 1.0", {"a": float("inf")}, E, id="infinity is an error"),
        pytest.param("a * b >= 1.0", {"a": 1e61, "b": 1.0}, E, id="implausible is an error"),
    ],
)
def test_verdicts(text: str, values: dict[str, float], verdict: Verdict) -> None:
    """Both evaluators give the same verdict, and ERROR says why."""
    expression = Expression(text)
    assert expression.evaluate(values.get) is verdict
    assert bool(expression.error_text) is (verdict is E)
    assert expression.evaluate_in_cel(values.get) is verdict
    assert bool(expression.error_text) is (verdict is E)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("a >= 60", "decimal point", id="whole number compared"),
        pytest.param("a * 2 > 1.0", "decimal point", id="whole number in arithmetic"),
        pytest.param("a >= 60u", "decimal point", id="unsigned number"),
        pytest.param("a > .5", "leading zero", id="no leading zero"),
        pytest.param("a == 1.0", "never reliably equal", id="equality"),
        pytest.param("a != 1.0", "never reliably equal", id="inequality"),
        pytest.param("a / b > 1.0", "must be a measure", id="division"),
        pytest.param("a > 5 % b", "decimal point", id="percent after a whole number"),
        pytest.param("a % b > 5.0", "0.05", id="remainder"),
        pytest.param("a in b", "operator", id="membership"),
        pytest.param("size(a) > 1.0", "functions do not exist", id="call"),
        pytest.param("a.b > 1.0", "fields do not exist", id="member"),
        pytest.param("a[b] > 1.0", "fields do not exist", id="index"),
        pytest.param("'x' > a", "numbers, not texts", id="text"),
        pytest.param("null > a", "no measure", id="null"),
        pytest.param("a > 1.0 && true", "no measure", id="literal truth"),
        pytest.param("a > 1.0 and b > 1.0", "operator", id="word for and"),
        pytest.param("a > 1.0 & b > 1.0", "&& for and", id="single ampersand"),
        pytest.param("a = 1.0", "use <", id="assignment"),
        pytest.param("a", "a number, not a condition", id="bare number"),
        pytest.param("a && b > 1.0", "compare it first", id="number as condition"),
        pytest.param("!a", "compare it first", id="not of a number"),
        pytest.param("!a > 1.0", "compare it first", id="not binds closer than comparison"),
        pytest.param("(a > 1.0) + b > 1.0", "condition stands beside", id="condition added"),
        pytest.param("a < b < 1.0", "cannot be chained", id="chained comparison"),
        pytest.param("a > 1.0 ? b : c > 1.0", "both sides", id="choice of two kinds"),
        pytest.param("a > 1.0)", "operator", id="stray parenthesis"),
        pytest.param("(a > 1.0", "closing parenthesis", id="open parenthesis"),
        pytest.param("a >", "at the end", id="nothing compared"),
        pytest.param("", "at the end", id="empty"),
        pytest.param("1.0 > 0.5", "no measure", id="constant"),
        pytest.param("a > 1e70", "decimal point", id="exponent without a point"),
        pytest.param("a > 1.0e70", "beyond any measure", id="implausible limit"),
        pytest.param("a*b*c*d*e*f > 1.0", "multiplications", id="too many factors"),
        pytest.param("(" * 30 + "a > 1.0" + ")" * 30, "nested deeper", id="too deep"),
        pytest.param("-" * 30 + "a > 1.0", "nested deeper", id="too many signs"),
        pytest.param("a > 1.0 || " * 300 + "a > 1.0", "longer than", id="too long"),
        pytest.param("a > 1.0 # why", "not part of the rule language", id="comment"),
        pytest.param("package > 1.0", "reserved", id="a word CEL keeps"),
        pytest.param("ä > 1.0", "not part of the rule language", id="foreign letter"),
    ],
)
def test_refused(text: str, says: str) -> None:
    """What could only fail at night is refused at load, in words that help."""
    with pytest.raises(ExpressionError, match=says.replace(".", r"\.")):
        Expression(text)


@pytest.mark.parametrize("text", ["a > 1.0", "a * 1.0 > 1.0"], ids=["native", "cel"])
def test_an_exception_while_reading_is_an_error(text: str) -> None:
    """CEL takes a resolver's exception for a missing variable; here a bug stays a bug."""

    def broken(name: str) -> float | None:
        raise LookupError(f"no {name}")

    expression = Expression(text)
    assert expression.evaluate(broken) is Verdict.ERROR
    assert expression.error_text == "LookupError: no a"
    assert expression.evaluate({"a": 2.0}.get) is Verdict.TRUE
    assert expression.error_text == ""


def test_an_error_is_not_hidden_by_a_true_side() -> None:
    """A reading that raised makes the verdict ERROR even where the other side would decide."""

    def half(name: str) -> float | None:
        if name == "a":
            raise LookupError("a")
        return 2.0

    assert Expression("a * 1.0 > 1.0 || b > 1.0").evaluate(half) is Verdict.ERROR
    assert Expression("a > 1.0 || b > 1.0").evaluate(half) is Verdict.ERROR


def test_thresholds_are_cited_as_written() -> None:
    """Explanations take their limits from the expression, mirrored where the number is first."""
    expression = Expression("0.3 <= usage && !(distance > -0.1) || a * b > 2.0")
    assert expression.comparisons == (
        Comparison("usage", ">=", 0.3),
        Comparison("distance", ">", -0.1),
    )
    assert not expression.plain
    assert expression.variables == {"usage", "distance", "a", "b"}


@pytest.mark.parametrize(
    ("text", "values", "asked"),
    [
        pytest.param("a > 1.0 || b > 1.0", {"a": 2.0, "b": 2.0}, ["a"], id="decided by the first"),
        pytest.param("a > 1.0 && b > 1.0", {"a": 0.0, "b": 2.0}, ["a"], id="refuted by the first"),
        pytest.param("a > 1.0 && b > 1.0", {"b": 2.0}, ["a", "b"], id="unknown asks on"),
    ],
)
def test_only_what_decides_is_read(text: str, values: dict[str, float], asked: list[str]) -> None:
    """Confirmation counts the facts a verdict used, so both evaluators must ask for the same."""
    for evaluate in (Expression(text).evaluate, Expression(text).evaluate_in_cel):
        seen: list[str] = []

        def resolve(name: str, seen: list[str] = seen) -> float | None:
            seen.append(name)
            return values.get(name)

        evaluate(resolve)
        assert seen == asked
