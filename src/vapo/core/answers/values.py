"""Values of formulas, and whether two formulas are worth the same.

They are computed to 60 digits with mpmath, at points that follow from the symbols' names; what would be too large is
refused before it is computed. math-verify rounds to six decimals, so that 10^-20 is 10^-30 to it, and evaluates powers
before anybody can look at them.
"""

from __future__ import annotations

import hashlib
import importlib
import math
import threading
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from vapo.core.answers.formula import INFINITY, Tree, UnreadableFormula, apply, list_symbols, parse_formula

MAX_EXPONENT = 100_000
"""Powers and factorials whose value has more digits are not computed."""
_DIGITS = 60
_MAX_EXACT_BITS = 20_000


def take_exactly(tree: Tree) -> Fraction | None:
    """Return the value of a tree without symbols and roots; None where it is irrational or too large."""
    if tree.kind == "number":
        return tree.value
    if tree.kind not in ("neg", "add", "mul", "div", "pow", "factorial"):
        return None
    values: list[Fraction] = []
    for part in tree.parts:
        value = take_exactly(part)
        if value is None or _count_bits(value) > _MAX_EXACT_BITS:
            return None
        values.append(value)
    left, right = values[0], values[-1]
    if tree.kind == "neg":
        return -left
    if tree.kind == "add":
        return left + right
    if tree.kind == "mul":
        return left * right
    if tree.kind == "div":
        return left / right if right else None
    if tree.kind == "factorial":
        return Fraction(math.factorial(int(left))) if left.denominator == 1 and 0 <= left <= 1000 else None
    if right.denominator != 1 or (left == 0 and right < 0):
        return None
    return left ** int(right) if abs(int(right)) * _count_bits(left) <= _MAX_EXACT_BITS else None


def _count_bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


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


def subtract(left: str, right: str) -> Tree | None:
    """Return the difference of two texts; None where one is no formula."""
    trees = parse_formula(left), parse_formula(right)
    return None if trees[0] is None or trees[1] is None else apply("add", trees[0], apply("neg", trees[1]))


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

    agreed = _agree(one, other, agree)
    return agreed and bool(ratio)  # two identities say nothing of each other


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
    if tree == INFINITY:
        return 1
    return -1 if tree == apply("neg", INFINITY) else 0


_RANGES = ((0.5, 2.0), (2.0, 9.0), (-3.0, -0.3), (0.05, 0.9), (-0.9, -0.1), (1.1, 4.0), (-7.0, 7.0))


def _place(name: str, point: int) -> Fraction:
    """Place a symbol: the same name always at the same points, no two alike."""
    digest = hashlib.sha256(f"{name} {point}".encode()).digest()
    low, high = _RANGES[point]
    share = Fraction(int.from_bytes(digest[:6], "big"), 2**48)
    return Fraction(low) + (Fraction(high) - Fraction(low)) * share


def _evaluate(tree: Tree, given: dict[str, Fraction], context: Any) -> Any:
    kind = tree.kind
    if kind == "number":
        return context.mpf(tree.value.numerator) / tree.value.denominator
    if kind == "symbol":
        constants = {"e": context.e, "i": context.mpc(0, 1), "\\pi": context.pi}
        if tree.name in constants:
            return +constants[tree.name]
        if tree == INFINITY:
            raise UnreadableFormula("infinity is no number to compute with")
        return context.mpf(given[tree.name].numerator) / given[tree.name].denominator
    values = [_evaluate(part, given, context) for part in tree.parts]
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
        return context.sin(value * (ord(tree.name[0]) - 90)) + value / 7
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
