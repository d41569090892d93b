r"""Formulas: LaTeX or plain mathematics, parsed, and compared by what they are worth.

math-verify's parser takes tens of milliseconds, evaluates powers before anybody can look at them, and its comparison
rounds to six decimals. This one reads the arithmetic, roots, powers and functions that answers are made of, takes
them to 60 digits with mpmath, at points that follow from the symbols' names, and refuses what would be too large
before it is computed. What it does not read (integrals, sums, limits) is left to `vapo.core.math_equality`.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import threading
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any, cast

Tree = tuple[Any, ...]
"""("number", Fraction), ("symbol", name), or an operation's name with the trees that it is done to."""

MAX_EXPONENT = 100_000
"""Powers and factorials whose value has more digits are not computed."""
_MAX_DEPTH = 40
_DIGITS = 60
_MAX_EXACT_BITS = 20_000


class UnreadableFormula(ValueError):
    """A text is no formula, or one that would take too long."""


_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+(?![\d.]))?)|(?P<command>\\(?:[A-Za-z]+|[{}|]))"
    r"|(?P<word>[A-Za-z]+)|(?P<sign>[-+*/^_!%°()\[\]{}|']))"
)
_REPEATING = re.compile(r"(\d*)\.(\d*)\\(?:overline|dot|bar)\s*\{(\d+)\}")
_GREEK_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau phi chi psi omega "
    "Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega ell hbar"
)
_GREEK = frozenset(_GREEK_NAMES.split())
_FUNCTIONS = {
    **{name: name for name in ["sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "exp", "ln"]},
    **{f"{arc}{name}": f"a{name}" for name in ("sin", "cos", "tan") for arc in ("arc", "a")},
    "arccot": "acot",
    "log": "log",
    "lg": "log10",
}
_INVERSE = {"sin": "asin", "cos": "acos", "tan": "atan"}
_TRIGONOMETRIC = {"sin", "cos", "tan", "cot", "sec", "csc"}
_SHORT_WORDS = "is in on or no of to at by an as it be do go he me my so up us we if am not and the for"
_WORDS_OF_TEXT = frozenset(_SHORT_WORDS.split())


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str) -> None:
        text = _REPEATING.sub(_spell_repeating, text)
        self.tokens: list[tuple[str, str]] = []
        place = 0
        text = text.strip()
        while place < len(text):
            token = _TOKEN.match(text, place)
            if token is None:
                raise UnreadableFormula(f"{text[place]!r} is no part of a formula")
            kind = cast(str, token.lastgroup)
            glued = token.start(kind) == place
            self._take(kind, token[kind], glued, text, token.end())
            place = token.end()
        self.place = 0
        self.depth = 0

    def _take(self, kind: str, value: str, glued: bool, text: str, end: int) -> None:
        if kind != "word":
            if kind == "number" and self.tokens and self.tokens[-1][0] == "name" and glued:
                raise UnreadableFormula(f"{self.tokens[-1][1]}{value} is a name")
            self.tokens.append((kind, value))
            return
        if value in _FUNCTIONS or value == "sqrt":
            self.tokens.append(("command", "\\" + value))
        elif len(value) > 1 and value.isupper() and len(value) <= 4:
            self.tokens.append(("name", value))  # a segment or an angle by its points: no product of letters
        else:
            if len(value) > 3 or value.casefold() in _WORDS_OF_TEXT:
                raise UnreadableFormula(f"{value!r} is a word")
            if len(value) > 1 and not re.search(r"[\d^+*/=(\\-]", text):
                raise UnreadableFormula(f"{value!r} is a word")
            if len(value) == 3 and list(value) != sorted(value):
                raise UnreadableFormula(f"{value!r} is a word")  # abc, xyz and the like are products
            self.tokens += [("name", letter) for letter in value]

    def parse(self) -> Tree:
        tree = self._sum()
        if self.place < len(self.tokens):
            raise UnreadableFormula(f"{self._peek()[1]!r} stands where nothing can stand")
        return tree

    def _peek(self, ahead: int = 0) -> tuple[str, str]:
        place = self.place + ahead
        return self.tokens[place] if place < len(self.tokens) else ("end", "")

    def _accept(self, *values: str) -> str | None:
        value = self._peek()[1]
        if value and value in values:
            self.place += 1
            return value
        return None

    def _expect(self, value: str) -> None:
        if self._accept(value) is None:
            raise UnreadableFormula(f"{value!r} is missing")

    def _sum(self) -> Tree:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise UnreadableFormula("it is nested too deeply")
        tree = self._product()
        while sign := self._accept("+", "-"):
            right = self._product()
            tree = ("add", tree, right if sign == "+" else ("neg", right))
        self.depth -= 1
        return tree

    def _product(self, argument: bool = False) -> Tree:
        tree = self._factor()
        while True:
            before = self.tokens[self.place - 1]
            sign = self._accept("*", "\\cdot", "\\times", "/", "\\div")
            if sign:
                right = self._factor()
                tree = ("div", tree, right) if sign in ("/", "\\div") else ("mul", tree, right)
                continue
            kind, value = self._peek()
            if kind == "number":
                raise UnreadableFormula("two numbers stand beside each other")
            if kind == "end" or (kind == "sign" and value not in "([{") or not self._opens_atom():
                return tree
            if argument and (value.lstrip("\\") in _FUNCTIONS or value == "("):
                return tree
            right = self._factor()
            mixed = before[0] == "number" and value == "\\frac" and _is_proper(tree, right)
            tree = ("add" if mixed else "mul", tree, right)

    def _opens_atom(self) -> bool:
        kind, value = self._peek()
        if value in ("|", "\\}", "\\|", "\\rfloor", "\\rceil"):
            return False
        return kind in ("name", "command") or value in ("(", "[", "{")

    def _factor(self) -> Tree:
        if self._accept("-"):
            return ("neg", self._factor())
        if self._accept("+"):
            return self._factor()
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise UnreadableFormula("it is nested too deeply")
        tree = self._atom()
        while True:
            if self._accept("^"):
                tree = ("pow", tree, self._script())
            elif self._accept("!"):
                tree = ("factorial", tree)
            elif self._accept("%"):
                tree = ("div", tree, ("number", Fraction(100)))
            elif self._accept("°"):
                tree = ("mul", tree, ("div", ("symbol", "\\pi"), ("number", Fraction(180))))
            else:
                self.depth -= 1
                return tree

    def _script(self) -> Tree:
        """Read what is raised: a group, or one token with its sign."""
        if self._accept("-"):
            return ("neg", self._script())
        return self._group() if self._peek()[1] == "{" else self._atom()

    def _group(self) -> Tree:
        self._expect("{")
        tree = self._sum()
        self._expect("}")
        return tree

    def _argument(self) -> Tree:
        r"""Read the argument of \frac or \sqrt: a group, or as TeX has it one digit or letter."""
        kind, value = self._peek()
        if value == "{":
            return self._group()
        if kind == "number" and len(value) > 1 and "." not in value and "e" not in value.lower():
            self.tokens[self.place : self.place + 1] = [("number", value[0]), ("number", value[1:])]
        return self._atom()

    def _atom(self) -> Tree:
        kind, value = self._peek()
        self.place += 1
        if kind == "number":
            return ("number", read_decimal(value))
        if kind == "name":
            return self._name(value)
        if kind == "command":
            return self._command(value[1:])
        if value in ("(", "[", "{"):
            tree = self._sum()
            self._expect({"(": ")", "[": "]", "{": "}"}[value])
            return tree
        if value == "|":
            tree = self._sum()
            self._expect("|")
            return ("abs", tree)
        raise UnreadableFormula(f"{value!r} stands where a value should" if value else "it ends too early")

    def _name(self, name: str) -> Tree:
        name += self._subscript()
        if name in ("f", "g", "h") and self._accept("("):
            tree = self._sum()
            self._expect(")")
            return ("unknown", tree, name)
        return ("symbol", name)

    def _subscript(self) -> str:
        mark = ""
        while self._accept("'"):
            mark += "'"
        if not self._accept("_"):
            return mark
        if not self._accept("{"):
            value = self._peek()[1]
            self.place += 1
            return f"{mark}_{value}"
        name = ""
        while not self._accept("}"):
            if self._peek()[0] == "end":
                raise UnreadableFormula("'}' is missing")
            name += self._peek()[1]
            self.place += 1
        return f"{mark}_{name}"

    def _command(self, name: str) -> Tree:
        if name in _FUNCTIONS:
            return self._function(name)
        if name == "frac":
            return ("div", self._argument(), self._argument())
        if name == "binom":
            return ("binomial", self._argument(), self._argument())
        if name == "sqrt":
            return self._root()
        if name in ("pi", "infty"):
            return ("symbol", "\\" + name)
        if name in _GREEK:
            return ("symbol", "\\" + name + self._subscript())
        if name in ("overline", "vec", "hat", "bar", "overrightarrow", "angle", "widehat"):
            opened = self._accept("{")
            points = ""
            while self._peek()[0] == "name":
                points += self._peek()[1]
                self.place += 1
            if opened:
                self._expect("}")
            if points:
                return ("symbol", f"\\{name}{points}{self._subscript()}")
        if name in ("lfloor", "lceil"):
            tree = self._sum()
            self._expect("\\r" + name[1:])
            return (name[1:], tree)
        raise UnreadableFormula(f"\\{name} is not known here")

    def _root(self) -> Tree:
        degree: Tree = ("number", Fraction(2))
        if self._accept("["):
            degree = self._sum()
            self._expect("]")
        if self._peek()[0] == "number":  # \sqrt12 is written for the root of 12
            value = self._peek()[1]
            self.place += 1
            return ("root", ("number", read_decimal(value)), degree)
        return ("root", self._argument(), degree)

    def _function(self, name: str) -> Tree:
        function = _FUNCTIONS[name]
        base: Tree | None = None
        power: Tree | None = None
        if name == "log" and self._accept("_"):
            base = self._script()
        if self._accept("^"):
            power = self._script()
        value = self._peek()[1]
        argument = self._factor() if value in ("(", "{", "[", "|") else self._product(argument=True)
        if power == ("neg", ("number", Fraction(1))) and function in _INVERSE:
            return (_INVERSE[function], argument)
        tree: Tree = ("log", argument, base) if base else (function, argument)
        return ("pow", tree, power) if power else tree


def _spell_repeating(found: re.Match[str]) -> str:
    whole, fixed, repeated = found[1] or "0", found[2], found[3]
    top = int(whole + fixed + repeated) - int(whole + fixed)
    return f"({top}/{'9' * len(repeated)}{'0' * len(fixed)})"


def _is_proper(whole: Tree, part: Tree) -> bool:
    """Tell whether two trees make a mixed number: a whole one and a fraction of whole ones, less than 1."""
    while whole[0] == "neg":
        whole = whole[1]
    if whole[0] != "number" or part[0] != "div" or part[1][0] != "number" or part[2][0] != "number":
        return False
    top, bottom = part[1][1], part[2][1]
    return whole[1].denominator == top.denominator == bottom.denominator == 1 and 0 < top < bottom


def read_decimal(text: str) -> Fraction:
    """Read a decimal number exactly, in scientific notation too.

    Raises:
        UnreadableFormula: its exponent is out of all bounds.
    """
    mantissa, _, exponent = text.lower().partition("e")
    if exponent and abs(int(exponent[:8])) > 5000:
        raise UnreadableFormula(f"the exponent of {text} is too large")
    return Fraction(mantissa + ("e" + exponent if exponent else ""))


@lru_cache(maxsize=4096)
def parse_formula(text: str) -> Tree | None:
    """Parse a text that `clean` has spelled; None if it is no formula of the kinds that are read here."""
    try:
        return _fold_signs(_Parser(text).parse())
    except (UnreadableFormula, RecursionError):
        return None


def _fold_signs(tree: Tree) -> Tree:
    """Read -2 1/2 as -(2 + 1/2): a mixed number's sign belongs to all of it."""
    if tree[0] == "add" and tree[1][0] == "neg" and _is_proper(tree[1], tree[2]):
        return ("neg", ("add", tree[1][1], tree[2]))
    return tree


def list_symbols(tree: Tree) -> frozenset[str]:
    """Return the variables of a tree; the numbers e, i and pi are none."""
    if tree[0] == "number":
        return frozenset()
    if tree[0] == "symbol":
        return frozenset() if tree[1] in ("e", "i", "\\pi", "\\infty") else frozenset((tree[1],))
    return frozenset().union(*(list_symbols(part) for part in tree[1:] if isinstance(part, tuple)))


def take_exactly(tree: Tree) -> Fraction | None:
    """Return the value of a tree without symbols and roots; None where it is irrational or too large."""
    kind, *parts = tree
    if kind == "number":
        return cast(Fraction, parts[0])
    if kind not in ("neg", "add", "mul", "div", "pow", "factorial"):
        return None
    values = [take_exactly(cast(Tree, part)) for part in parts]
    if any(value is None or _count_bits(value) > _MAX_EXACT_BITS for value in values):
        return None
    left, right = cast(Fraction, values[0]), cast(Fraction, values[-1])
    if kind == "neg":
        return -left
    if kind == "add":
        return left + right
    if kind == "mul":
        return left * right
    if kind == "div":
        return left / right if right else None
    if kind == "factorial":
        return _multiply_up(left) if left.denominator == 1 and 0 <= left <= 1000 else None
    if right.denominator != 1 or (left == 0 and right < 0):
        return None
    return left ** int(right) if abs(int(right)) * _count_bits(left) <= _MAX_EXACT_BITS else None


def _count_bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _multiply_up(value: Fraction) -> Fraction:
    product = 1
    for number in range(2, int(value) + 1):
        product *= number
    return Fraction(product)


# What mpmath raises at poles and outside of a function's domain; UnreadableFormula is a ValueError.
_FAILURES = (ArithmeticError, ValueError, TypeError, MemoryError)

_here = threading.local()  # an mpmath context keeps its precision in itself: one for each thread


def _open_context() -> Any:
    if not hasattr(_here, "context"):
        _here.context = importlib.import_module("mpmath").MPContext()
    return _here.context


def is_same_value(one: Tree, other: Tree) -> bool | None:
    """Tell whether two trees are worth the same, whatever their symbols stand for; None if that cannot be computed.

    Where both are real they must agree to 40 digits; where a difference is left it must not vanish as digits are
    added, so that numbers however small are told apart.
    """
    exact = take_exactly(one), take_exactly(other)
    if exact[0] is not None and exact[1] is not None:
        return exact[0] == exact[1]
    infinite = _is_infinite(one), _is_infinite(other)
    if any(infinite):
        return infinite[0] == infinite[1]
    return _agree(one, other, lambda values, context: _is_equal(values, context))


def take_number(tree: Tree) -> Any:
    """Return the real value of a tree without symbols, to 60 digits; None where it has none."""
    exact = take_exactly(tree)
    context = _open_context()
    context.dps = _DIGITS
    if exact is not None:
        return context.mpf(exact.numerator) / exact.denominator
    if list_symbols(tree):
        return None
    infinite = _is_infinite(tree)
    if infinite:
        return infinite * context.inf
    try:
        value = _evaluate(tree, {}, context)
    except _FAILURES:
        return None
    return context.re(value) if context.isfinite(value) and context.im(value) == 0 else None


def is_proportional(one: Tree, other: Tree, *, positive: bool = False) -> bool | None:
    """Tell whether two trees are equal but for a constant factor, as the sides of one equation are.

    Args:
        one: a tree with symbols.
        other: another.
        positive: whether the factor must be more than 0, as for inequalities.
    """
    ratio: list[Any] = []

    def agree(values: _Values, context: Any) -> bool:
        (left, right), _ = values
        if not left or not right:
            return not left and not right
        ratio.append(left / right)
        if positive and not (context.im(ratio[0]) == 0 and ratio[0] > 0):
            return False
        return abs(ratio[-1] - ratio[0]) <= abs(ratio[0]) * context.mpf(10) ** -40

    return _agree(one, other, agree)


_Values = tuple[tuple[Any, Any], Callable[[], tuple[Any, Any]]]


def _agree(one: Tree, other: Tree, agree: Callable[[_Values, Any], bool]) -> bool | None:
    context = _open_context()
    symbols = sorted(list_symbols(one) | list_symbols(other))
    counted = 0
    complex_agree: list[bool] = []
    for point in range(7 if symbols else 1):
        given = {name: _place(name, point) for name in symbols}

        def values(digits: int, given: dict[str, Fraction] = given) -> tuple[Any, Any]:
            context.dps = digits
            return _evaluate(one, given, context), _evaluate(other, given, context)

        try:
            found = values(_DIGITS)
            if not all(context.isfinite(value) for value in found):
                continue
            agreed = agree((found, lambda: values(_DIGITS // 2)), context)
        except _FAILURES:
            continue
        if any(context.im(value) != 0 for value in found):
            # Which of its complex values a root takes says nothing where there are points with real ones.
            complex_agree.append(agreed)
        elif not agreed:
            return False
        else:
            counted += 1
    least = 2 if symbols else 1
    if counted >= least:
        return True
    return all(complex_agree) if len(complex_agree) >= least else None


def _is_equal(values: _Values, context: Any) -> bool:
    (left, right), again = values
    difference = abs(left - right)
    if difference <= max(abs(left), abs(right)) * context.mpf(10) ** -40:
        return True
    if difference > context.mpf(10) ** -30:
        return False
    # Either side may be a 0 that is only rounded: then the difference was larger when fewer digits were taken.
    rough = again()
    context.dps = _DIGITS
    return difference < abs(rough[0] - rough[1]) * context.mpf(10) ** -20


def _is_infinite(tree: Tree) -> int:
    if tree == ("symbol", "\\infty"):
        return 1
    return -1 if tree == ("neg", ("symbol", "\\infty")) else 0


_RANGES = ((0.5, 2.0), (2.0, 9.0), (-3.0, -0.3), (0.05, 0.9), (-0.9, -0.1), (1.1, 4.0), (-7.0, 7.0))


def _place(name: str, point: int) -> Fraction:
    """Place a symbol: the same name always at the same points, no two alike."""
    digest = hashlib.sha256(f"{name} {point}".encode()).digest()
    low, high = _RANGES[point]
    share = Fraction(int.from_bytes(digest[:6], "big"), 2**48)
    return Fraction(low) + (Fraction(high) - Fraction(low)) * share


def _evaluate(tree: Tree, given: dict[str, Fraction], context: Any) -> Any:
    kind = tree[0]
    if kind == "number":
        return context.mpf(tree[1].numerator) / tree[1].denominator
    if kind == "symbol":
        constants = {"e": context.e, "i": context.mpc(0, 1), "\\pi": context.pi}
        name = tree[1]
        if name in constants:
            return +constants[name]
        if name == "\\infty":
            raise UnreadableFormula("infinity is no number to compute with")
        return context.mpf(given[name].numerator) / given[name].denominator
    values = [_evaluate(part, given, context) for part in tree[1:] if isinstance(part, tuple)]
    value = values[0]
    if kind == "add":
        return value + values[1]
    if kind == "mul":
        return value * values[1]
    if kind == "div":
        return value / values[1]
    if kind == "neg":
        return -value
    if kind == "pow":
        return _raise(value, values[1], context)
    if kind == "root":
        return _take_root(value, values[1], context)
    if kind == "unknown":  # a function of which only the name is known
        return context.sin(value * (ord(tree[2]) - 90)) + value / 7
    return _apply(kind, values, context)


def _raise(base: Any, exponent: Any, context: Any) -> Any:
    if not base:
        return context.mpf(1) if not exponent else base ** (abs(exponent))
    if abs(exponent) > 10 * MAX_EXPONENT or abs(exponent) * abs(context.log(abs(base), 10)) > MAX_EXPONENT:
        raise UnreadableFormula("a power is too large")
    return base**exponent


def _take_root(value: Any, degree: Any, context: Any) -> Any:
    if context.im(value) == 0 and context.re(value) < 0 and degree == context.floor(degree) and int(degree) % 2:
        return -((-value) ** (1 / degree))
    return _raise(value, 1 / degree, context)


def _apply(kind: str, values: list[Any], context: Any) -> Any:
    value = values[0]
    if kind == "factorial" or kind == "binomial":
        if any(abs(number) > MAX_EXPONENT for number in values):
            raise UnreadableFormula("a factorial is too large")
        return context.factorial(value) if kind == "factorial" else context.binomial(*values)
    if kind == "abs":
        return abs(value)
    if kind in ("floor", "ceil"):
        return getattr(context, kind)(value)
    if abs(value) > MAX_EXPONENT and kind not in ("log", "ln", "log10"):
        raise UnreadableFormula("the argument of a function is too large")
    if kind == "log" and len(values) == 1:
        return context.log(value, 10)
    return getattr(context, kind)(*values)
