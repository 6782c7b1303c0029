"""The part of CEL that rules may use, parsed into a typed tree.

Names, decimals, ``&& || !``, ``< <= > >=``, ``+ - *``, ``?:`` and parentheses; nothing else. CEL
itself still evaluates (``expression.py``); the tree is there to refuse at load, with words a trader
understands, what CEL would only refuse in the middle of the night (a whole number times a decimal,
a number used as a condition), and to cite thresholds in explanations. *Pure.*
"""

from __future__ import annotations

import re

import msgspec

TEXT_CHARS_MAX = 2000
DEPTH_MAX = 24
# With readings and literals within PLAUSIBLE and at most four factors, no product overflows to
# infinity, so no difference is ever NaN, and a NaN comparison (false, "fine") cannot happen.
PLAUSIBLE = 1e60
MULTIPLICATIONS_MAX = 4
MISTAKES_MAX = 5  # told of one expression's spelling: beyond that it was never meant as one

_TOKEN = re.compile(
    r"(?P<number>\d+\.\d+(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<operator>&&|\|\||<=|>=|[<>!+\-*?:()])",
    re.ASCII,
)
_SPACE = re.compile(r"[ \t\r\n]*")
_REFUSED: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"==|!="),
        "a measured number is never reliably equal to another; use <, <=, > or >=",
    ),
    (re.compile(r"/"), "division is refused: a ratio must be a measure that says what zero means"),
    (re.compile(r"%"), "write ratios as decimals: 5 % is 0.05"),
    (re.compile(r"(?P<digits>\d+)(?:[eE]\d+)?[uU]?"), "write a decimal point: {1}.0, not {0}"),
    (re.compile(r"\.\d"), "write the leading zero: 0.5, not .5"),
    (re.compile(r"['\"]"), "rules compare numbers, not texts"),
    (re.compile(r"[\[\]{},.]"), "lists, maps and fields do not exist here; a rule reads measures"),
    (re.compile(r"="), "use <, <=, > or >="),
    (re.compile(r"[&|]"), "write && for and, || for or"),
)
_RESERVED = {"true", "false", "null", "in", "and", "or", "not"}


class ExpressionError(ValueError):
    """An expression that rules may not use; each of ``mistakes`` says what, where and what to
    write."""

    def __init__(self, *mistakes: str) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


class Number(msgspec.Struct, frozen=True, gc=False):
    """A decimal literal."""

    value: float


class Name(msgspec.Struct, frozen=True, gc=False):
    """A measure, by the name the expression uses for it."""

    name: str


class Arithmetic(msgspec.Struct, frozen=True):
    """``left op right`` with ``+``, ``-`` or ``*``."""

    op: str
    left: Node
    right: Node


class Compare(msgspec.Struct, frozen=True):
    """``left op right`` with ``<``, ``<=``, ``>`` or ``>=``."""

    op: str
    left: Node
    right: Node


class Negate(msgspec.Struct, frozen=True):
    """``-operand``."""

    operand: Node


class Not(msgspec.Struct, frozen=True):
    """``!operand``."""

    operand: Node


class Both(msgspec.Struct, frozen=True):
    """``left && right``."""

    left: Node
    right: Node


class Either(msgspec.Struct, frozen=True):
    """``left || right``."""

    left: Node
    right: Node


class Choose(msgspec.Struct, frozen=True):
    """``condition ? then : other``."""

    condition: Node
    then: Node
    other: Node


Node = Number | Name | Arithmetic | Compare | Negate | Not | Both | Either | Choose
_NUMERIC = (Number, Name, Arithmetic, Negate)


def is_numeric(node: Node) -> bool:
    """True where the node is a number, False where it is a condition."""
    return is_numeric(node.then) if isinstance(node, Choose) else isinstance(node, _NUMERIC)


def parse_expression(text: str) -> Node:
    """The tree of a condition.

    Raises:
        ExpressionError: For anything outside the language above, a number where a condition must
            stand, a condition where a number must stand, or a text too long or too deep.
    """
    if len(text) > TEXT_CHARS_MAX:
        raise ExpressionError(f"longer than {TEXT_CHARS_MAX} characters; split it into flags")
    parser = _Parser(_tokens(text))
    tree = parser.choice(0)
    parser.expect_end()
    if is_numeric(tree):
        raise ExpressionError(
            "this is a number, not a condition; compare it, e.g. venue_healthy < 0.5",
        )
    return tree


def children(node: Node) -> tuple[Node, ...]:
    """The direct parts of a node, left to right."""
    match node:
        case Arithmetic() | Compare() | Both() | Either():
            return (node.left, node.right)
        case Negate() | Not():
            return (node.operand,)
        case Choose():
            return (node.condition, node.then, node.other)
        case _:
            return ()


def _tokens(text: str) -> list[tuple[str, int]]:
    """(token, position) of everything in the text; every foreign character is explained."""
    found: list[tuple[str, int]] = []
    mistakes: list[str] = []
    position = _after_space(text, 0)
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or text.startswith("!=", position):
            why, end = _why_refused(text, position)
            mistakes.append(why)
        else:
            token, end = match.group(), match.end()
            if match.group("number") and float(token) > PLAUSIBLE:
                mistakes.append(f"{token} is beyond any measure (limit {PLAUSIBLE:g})")
            found.append((token, position))
        position = _after_space(text, end)
    if mistakes:
        raise ExpressionError(*mistakes[:MISTAKES_MAX])
    return found


def names_in(text: str) -> frozenset[str]:
    """Words of a text that is no expression, which may have been meant as measures."""
    words = re.findall(r"(?<![\w.])[A-Za-z_]\w*\b(?!\s*\()", text, re.ASCII)
    return frozenset(words) - _RESERVED


def _after_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _why_refused(text: str, position: int) -> tuple[str, int]:
    """What is wrong with what stands there, and where it ends."""
    for pattern, why in _REFUSED:
        match = pattern.match(text, position)
        if match:
            found = match.group()
            hint = why.format(found, match.groupdict().get("digits", ""))
            return f"{found!r} at character {position + 1}: {hint}", match.end()
    foreign = f"{text[position]!r} at character {position + 1} is not part of the rule language"
    return foreign, position + 1


class _Parser:
    """Recursive descent with CEL's precedence; each method returns the node it read."""

    def __init__(self, tokens: list[tuple[str, int]]) -> None:
        self._tokens = tokens
        self._next = 0
        self._multiplications = 0

    def peek(self) -> str:
        return self._tokens[self._next][0] if self._next < len(self._tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self._next += 1
        return token

    def fail(self, message: str) -> ExpressionError:
        if self._next < len(self._tokens):
            token, position = self._tokens[self._next]
            return ExpressionError(f"{token!r} at character {position + 1}: {message}")
        return ExpressionError(f"at the end: {message}")

    def expect(self, token: str, message: str) -> None:
        if self.peek() != token:
            raise self.fail(message)
        self.take()

    def expect_end(self) -> None:
        if self.peek():
            raise self.fail("an operator (&&, ||, <, <=, >, >=, +, -, *) is missing before this")

    def choice(self, depth: int) -> Node:
        if depth > DEPTH_MAX:
            raise self.fail(f"nested deeper than {DEPTH_MAX} levels; split it into flags")
        node = self.either(depth)
        if self.peek() != "?":
            return node
        self.condition(node, "?")
        self.take()
        then = self.choice(depth + 1)
        self.expect(":", "the ':' of a '? :' is missing")
        other = self.choice(depth + 1)
        if is_numeric(then) != is_numeric(other):
            raise self.fail("both sides of ':' must be numbers, or both conditions")
        return Choose(node, then, other)

    def either(self, depth: int) -> Node:
        node = self.both(depth)
        while self.peek() == "||":
            self.condition(node, "||")
            self.take()
            node = Either(node, self.condition(self.both(depth), "||"))
        return node

    def both(self, depth: int) -> Node:
        node = self.relation(depth)
        while self.peek() == "&&":
            self.condition(node, "&&")
            self.take()
            node = Both(node, self.condition(self.relation(depth), "&&"))
        return node

    def relation(self, depth: int) -> Node:
        node = self.sum(depth)
        if self.peek() not in {"<", "<=", ">", ">="}:
            return node
        op = self.take()
        node = Compare(op, self.number(node, op), self.number(self.sum(depth), op))
        if self.peek() in {"<", "<=", ">", ">="}:
            raise self.fail("comparisons cannot be chained; join two with &&")
        return node

    def sum(self, depth: int) -> Node:
        node = self.product(depth)
        while self.peek() in {"+", "-"}:
            op = self.take()
            node = Arithmetic(op, self.number(node, op), self.number(self.product(depth), op))
        return node

    def product(self, depth: int) -> Node:
        node = self.unary(depth)
        while self.peek() == "*":
            op = self.take()
            self._multiplications += 1
            if self._multiplications > MULTIPLICATIONS_MAX:
                raise self.fail(f"more than {MULTIPLICATIONS_MAX} multiplications; make a measure")
            node = Arithmetic(op, self.number(node, op), self.number(self.unary(depth), op))
        return node

    def unary(self, depth: int) -> Node:
        if self.peek() in {"!", "-"}:
            if depth > DEPTH_MAX:
                raise self.fail(f"nested deeper than {DEPTH_MAX} levels")
            op = self.take()
            if self.peek() in {"!", "-"} and self.peek() != op:
                raise self.fail("put parentheses between '!' and '-'")
            operand = self.unary(depth + 1)
            return (
                Not(self.condition(operand, "!")) if op == "!" else Negate(self.number(operand, op))
            )
        return self.atom(depth)

    def atom(self, depth: int) -> Node:
        word = self.peek()
        if word == "(":
            self.take()
            node = self.choice(depth + 1)
            self.expect(")", "a closing parenthesis is missing")
            return node
        if word in _RESERVED:
            raise self.fail("is no measure; use &&, ||, ! and comparisons")
        if word[:1].isdigit():
            return Number(float(self.take()))
        if word[:1].isalpha() or word[:1] == "_":
            name = self.take()
            if self.peek() == "(":
                raise ExpressionError(f"{name}(...): functions do not exist here")
            return Name(name)
        raise self.fail("a measure, a number or a parenthesis must stand here")

    def condition(self, node: Node, op: str) -> Node:
        if is_numeric(node):
            raise self.fail(f"a number stands beside {op!r}; compare it first, e.g. x > 0.5")
        return node

    def number(self, node: Node, op: str) -> Node:
        if not is_numeric(node):
            raise self.fail(f"a condition stands beside {op!r}; put it in parentheses after '!'")
        return node
