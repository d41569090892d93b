r"""Formulas: LaTeX or plain mathematics, parsed into trees.

The arithmetic, roots, powers and functions that answers are made of. math-verify's parser takes tens of milliseconds
and reads words as products; it is left what this one does not read, such as integrals, sums and limits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import cast

_MAX_DEPTH = 40


@dataclass(frozen=True, slots=True)
class Tree:
    """A formula: a number, a symbol, or an operation on other formulas.

    Attributes:
        kind: `number`, `symbol`, or what is done to the parts.
        parts: what it is done to.
        value: of a number.
        name: of a symbol, or of a function that is only a letter.
    """

    kind: str
    parts: tuple[Tree, ...] = ()
    value: Fraction = Fraction(0)
    name: str = ""


def number(value: Fraction | int) -> Tree:
    """Return the tree of a number."""
    return Tree("number", value=Fraction(value))


def symbol(name: str) -> Tree:
    """Return the tree of a symbol."""
    return Tree("symbol", name=name)


def apply(kind: str, *parts: Tree) -> Tree:
    """Return the tree of an operation."""
    return Tree(kind, parts)


INFINITY = symbol("\\infty")


class UnreadableFormula(ValueError):
    """A text is no formula, or one that would take too long."""


_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+(?![\d.]))?)|(?P<command>\\(?:[A-Za-z]+|[{}|]))"
    r"|(?P<word>[A-Za-z]+)|(?P<sign>[-+*/^_!%°()\[\]{}|']))"
)
_REPEATING = re.compile(r"(\d*)\.(\d*)\\(?:overline|dot|bar)\s*\{(\d+)\}")
_ENDLESS = re.compile(r"(\d*)\.(\d*?)((\d)(?=\4{2}))\4*\s*\\dots(?![A-Za-z])")
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
        text = _ENDLESS.sub(_spell_repeating, _REPEATING.sub(_spell_repeating, text))
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
            tree = apply("add", tree, right if sign == "+" else apply("neg", right))
        self.depth -= 1
        return tree

    def _product(self, argument: bool = False) -> Tree:
        tree = self._factor()
        while True:
            before = self.tokens[self.place - 1]
            sign = self._accept("*", "\\cdot", "\\times", "/", "\\div")
            if sign:
                right = self._factor()
                tree = apply("div", tree, right) if sign in ("/", "\\div") else apply("mul", tree, right)
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
            tree = apply("add" if mixed else "mul", tree, right)

    def _opens_atom(self) -> bool:
        kind, value = self._peek()
        if value in ("|", "\\}", "\\|", "\\rfloor", "\\rceil"):
            return False
        return kind in ("name", "command") or value in ("(", "[", "{")

    def _factor(self) -> Tree:
        if self._accept("-"):
            return apply("neg", self._factor())
        if self._accept("+"):
            return self._factor()
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise UnreadableFormula("it is nested too deeply")
        tree = self._atom()
        while True:
            if self._accept("^"):
                tree = apply("pow", tree, self._script())
            elif self._accept("!"):
                tree = apply("factorial", tree)
            elif self._accept("%"):
                tree = apply("div", tree, number(100))
            elif self._accept("°"):
                tree = apply("mul", tree, apply("div", symbol("\\pi"), number(180)))
            else:
                self.depth -= 1
                return tree

    def _script(self) -> Tree:
        """Read what is raised: a group, or one token with its sign."""
        if self._accept("-"):
            return apply("neg", self._script())
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
            return number(read_decimal(value))
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
            return apply("abs", tree)
        raise UnreadableFormula(f"{value!r} stands where a value should" if value else "it ends too early")

    def _name(self, name: str) -> Tree:
        name += self._subscript()
        if name in ("f", "g", "h") and self._accept("("):
            tree = self._sum()
            self._expect(")")
            return Tree("unknown", (tree,), name=name)
        return symbol(name)

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
            return apply("div", self._argument(), self._argument())
        if name == "binom":
            return apply("binomial", self._argument(), self._argument())
        if name == "sqrt":
            return self._root()
        if name in ("pi", "infty"):
            return symbol("\\" + name)
        if name in _GREEK:
            return symbol("\\" + name + self._subscript())
        if name in ("overline", "vec", "hat", "bar", "overrightarrow", "angle", "widehat"):
            opened = self._accept("{")
            points = ""
            while self._peek()[0] == "name":
                points += self._peek()[1]
                self.place += 1
            if opened:
                self._expect("}")
            if points:
                return symbol(f"\\{name}{points}{self._subscript()}")
        if name in ("lfloor", "lceil"):
            tree = self._sum()
            self._expect("\\r" + name[1:])
            return apply(name[1:], tree)
        raise UnreadableFormula(f"\\{name} is not known here")

    def _root(self) -> Tree:
        degree: Tree = number(2)
        if self._accept("["):
            degree = self._sum()
            self._expect("]")
        if self._peek()[0] == "number":  # \sqrt12 is written for the root of 12
            value = self._peek()[1]
            self.place += 1
            return apply("root", number(read_decimal(value)), degree)
        return apply("root", self._argument(), degree)

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
        if power == apply("neg", number(1)) and function in _INVERSE:
            return apply(_INVERSE[function], argument)
        tree: Tree = apply("log", argument, base) if base else apply(function, argument)
        return apply("pow", tree, power) if power else tree


def _spell_repeating(found: re.Match[str]) -> str:
    whole, fixed, repeated = found[1] or "0", found[2], found[3]
    top = int(whole + fixed + repeated) - int(whole + fixed)
    return f"({top}/{'9' * len(repeated)}{'0' * len(fixed)})"


def _is_proper(whole: Tree, part: Tree) -> bool:
    """Tell whether two trees make a mixed number: a whole one and a fraction of whole ones, less than 1."""
    while whole.kind == "neg":
        whole = whole.parts[0]
    if whole.kind != "number" or part.kind != "div" or any(side.kind != "number" for side in part.parts):
        return False
    top, bottom = part.parts[0].value, part.parts[1].value
    return whole.value.denominator == top.denominator == bottom.denominator == 1 and 0 < top < bottom


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
    if tree.kind == "add" and tree.parts[0].kind == "neg" and _is_proper(*tree.parts):
        return apply("neg", apply("add", tree.parts[0].parts[0], tree.parts[1]))
    return tree


def list_symbols(tree: Tree) -> frozenset[str]:
    """Return the variables of a tree, and its functions that are only a letter; e, i and pi are numbers."""
    if tree.kind == "symbol":
        return frozenset() if tree.name in ("e", "i", "\\pi", "\\infty") else frozenset((tree.name,))
    own = [tree.name] if tree.kind == "unknown" else []
    return frozenset((*own, *(name for part in tree.parts for name in list_symbols(part))))
