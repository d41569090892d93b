"""Comparing an answer with a reference: the type of the reference decides by which rule.

Text is not mathematics: a reference that is a choice, a word, a time or a range is never computed with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from vapo.core.answers.choices import Letters, is_same_letters, read_letters, read_yes_or_no
from vapo.core.answers.equations import is_function, is_name, split_sides, take_values
from vapo.core.answers.formula import list_symbols
from vapo.core.answers.quantity import UNCOMPUTED, is_same_quantity, read_decimal_comma, read_quantity
from vapo.core.answers.regions import is_same_region, is_same_relation, read_region, read_relation, read_variable
from vapo.core.answers.sequences import is_same_items, read_items, read_matrix, read_rows
from vapo.core.answers.spelling import clean, split_outside
from vapo.core.answers.values import is_proportional, subtract
from vapo.core.answers.words import (
    is_same_time,
    is_text,
    read_date,
    read_figure,
    read_said_span,
    read_span,
    read_time,
    spell_key,
)
from vapo.core.math_equality import MAX_CHARACTERS, is_same_mathematics

TIME_LIMIT_S = 5.0
"""When computer algebra is given up on one pair, in seconds."""
MAX_WORDS_CHARACTERS = 200
"""Longer texts are no answer that another text can be compared with."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of comparing an answer with a reference.

    Attributes:
        equal: whether the answer is right.
        rule: the name of the rule that decided.
        why: why they are not equal; empty where they are.
        answer_read: whether any rule understands the answer.
        reference_read: whether any rule understands the reference.
    """

    equal: bool
    rule: str
    why: str = ""
    answer_read: bool = True
    reference_read: bool = True


Verdict = tuple[bool, str]
"""Whether an answer is right, and why not."""


def compare_answers(
    answer: str, reference: str, options: Sequence[str] | None = None, time_limit_s: float = TIME_LIMIT_S
) -> Comparison:
    """Compare an answer with a reference, both without their box.

    Args:
        answer: what was answered.
        reference: the right answer.
        options: the texts behind A, B, ..., where they are known: a letter then stands for its text.
        time_limit_s: when to give up on algebra, in seconds.

    Raises:
        RuntimeError: math-verify cannot be run at all.
    """
    if max(len(answer), len(reference)) > MAX_CHARACTERS:
        same = answer.strip() == reference.strip()
        return Comparison(
            same, "same text", "" if same else "too long to be read", False, len(reference) < MAX_CHARACTERS
        )
    given, wanted = clean(answer), clean(reference)
    if not given or not wanted:
        return Comparison(False, "nothing", "there is nothing to compare", bool(given), bool(wanted))
    if options:
        verdict = _compare_options(given, wanted, options, time_limit_s)
        if verdict is not None:
            return Comparison(verdict[0], "option", verdict[1])
    return _compare(given, wanted, time_limit_s)


def find_options(answer: str, options: Sequence[str] = ()) -> tuple[str, ...] | None:
    """Return the letters of the options that an answer names by letter or text.

    None if it names none, or a letter with the text of another option.
    """
    same = _Same(TIME_LIMIT_S)
    found = _find_options(clean(answer), options, same)
    if found is None or (found.text and _names_another(found, options, same)):
        return None
    return found.letters


def find_rule(text: str) -> str | None:
    """Return the name of the rule by which a reference would be compared; None if no rule understands it."""
    if len(text) > MAX_CHARACTERS:
        return None
    wanted = clean(text)
    return next((rule.name for rule in _RULES if rule.reads(wanted)), None) if wanted else None


def _compare(given: str, wanted: str, time_limit_s: float) -> Comparison:
    if given == wanted:
        return Comparison(True, "same text")
    rule = next((rule for rule in _RULES if rule.reads(wanted)), None)
    if rule is None:
        return Comparison(False, "none", "no rule understands the reference", _can_read(given), False)
    same = _Same(time_limit_s)
    equal, why = rule.compare(given, wanted, same)
    if rule.takes_values:
        for value in take_values(given):
            if not equal:
                equal, why = rule.compare(clean(value), wanted, same)
    return Comparison(equal, rule.name, why, equal or (why != UNCOMPUTED and _can_read(given)))


@dataclass(frozen=True, slots=True)
class _Same:
    """Tells whether two parts of answers are the same, as answers of their own."""

    time_limit_s: float

    def __call__(self, given: str, wanted: str) -> bool:
        return _compare(clean(given), clean(wanted), self.time_limit_s).equal


@lru_cache(maxsize=4096)
def _can_read(text: str) -> bool:
    return any(rule.reads(text) for rule in _RULES)


def _compare_options(given: str, wanted: str, options: Sequence[str], time_limit_s: float) -> Verdict | None:
    same = _Same(time_limit_s)
    right, answered = _find_options(wanted, options, same), _find_options(given, options, same)
    if right is None or answered is None:
        return None
    if answered.text and _names_another(answered, options, same):
        return False, "the letter and its text are of two options"
    equal = is_same_letters(answered, right)
    return equal, "" if equal else f"it is option {', '.join(answered.letters)}"


def _names_another(letters: Letters, options: Sequence[str], same: _Same) -> bool:
    of_text = _find_options(letters.text, options, same)
    return of_text is not None and of_text.letters != letters.letters


def _find_options(text: str, options: Sequence[str], same: _Same) -> Letters | None:
    """Find the letters that a text names, or whose one option it repeats."""
    plain = [clean(option) for option in options]
    matches = [place for place, option in enumerate(plain) if option == text]
    letters = read_letters(text)
    if letters is not None and not matches:
        is_known = not options or all(ord(letter) - ord("A") < len(options) for letter in letters.letters)
        return letters if is_known else None
    if not matches:
        # Lenient only where no text is equal: of "1/2" and "0.5", both options, an answer means the one it writes.
        matches = [place for place, option in enumerate(plain) if option and same(text, option)]
    return Letters((chr(ord("A") + matches[0]),)) if len(matches) == 1 else None


def _compare_letters(given: str, wanted: str, same: _Same) -> Verdict:
    right, answered = read_letters(wanted), read_letters(given)
    assert right is not None
    if answered is None:
        if right.is_joined and read_figure(given):
            return _compare_words(given, f"\\overline{{{wanted}}}", same)
        if right.text and same(given, right.text):
            return True, ""
        if len(wanted) == 1 and wanted.islower():
            values = take_values(given) or [given]
            return _decide(
                any(_compare_quantities(value, wanted, same)[0] for value in values), "it is another variable"
            )
        return False, "the answer names no letter"
    if not is_same_letters(answered, right):
        return False, "the letters differ"
    if answered.text and right.text and not same(answered.text, right.text):
        keys = spell_key(answered.text), spell_key(right.text)
        if keys[0] not in keys[1] and keys[1] not in keys[0]:
            return False, "the letter is right and its text is another's"
    return True, ""


def _compare_yes_or_no(given: str, wanted: str, same: _Same) -> Verdict:
    answered = read_yes_or_no(given)
    if answered is None:
        return False, "the answer says neither yes nor no, or both"
    return _decide(answered == read_yes_or_no(wanted), "it says the opposite")


def _compare_times(given: str, wanted: str, same: _Same) -> Verdict:
    answered, right = read_time(given), read_time(wanted)
    if answered is None or right is None:
        return _compare_spans(given, wanted, same) if read_span(wanted) else (False, "the answer is no time")
    return _decide(is_same_time(answered, right), "the times differ")


def _compare_dates(given: str, wanted: str, same: _Same) -> Verdict:
    answered = read_date(given)
    return _decide(answered == read_date(wanted), "the dates differ" if answered else "the answer is no date")


def _compare_spans(given: str, wanted: str, same: _Same) -> Verdict:
    right, answered = read_span(wanted), read_span(given)
    if right is None:
        parts = _read_ratio(given), _read_ratio(wanted)
        equal = parts[0] is not None and parts[1] is not None and len(parts[0]) == len(parts[1])
        return _decide(equal and all(map(same, parts[0] or (), parts[1] or ())), "the ratios differ")
    said = read_said_span(given) or (_read_fraction(given) if right[0] == ":" else None)
    if said is not None and right[0] in ":-":
        return _decide(said == right[1], "the numbers differ")
    return _decide(answered == right, "the numbers differ" if answered else "the answer is no range, ratio or score")


def _read_ratio(text: str) -> list[str] | None:
    """Read a ratio of expressions, such as `1 : \\sqrt{3} : 2`; None if the text is none."""
    parts = split_outside(text, re.compile(r"\s*:\s*"))
    is_ratio = len(parts) > 1 and all(part == "\\dots" or read_quantity(part) is not None for part in parts)
    return parts if is_ratio else None


def _read_fraction(text: str) -> tuple[str, ...] | None:
    fraction = re.fullmatch(r"(\d+)\s*/\s*(\d+)|\\frac\s*\{(\d+)\}\s*\{(\d+)\}", text)
    return tuple(number for number in fraction.groups() if number) if fraction else None


def _compare_matrices(given: str, wanted: str, same: _Same) -> Verdict:
    answered, right = read_matrix(given) or read_rows(given), read_matrix(wanted)
    assert right is not None
    if answered is None:
        return False, "the answer is no matrix"
    if answered[0] != right[0] or [len(row) for row in answered[1]] != [len(row) for row in right[1]]:
        return False, "the matrices have different forms"
    cells = [pair for rows in zip(answered[1], right[1], strict=True) for pair in zip(*rows, strict=True)]
    return _decide(all(same(*pair) for pair in cells), "an element differs")


def _compare_regions(given: str, wanted: str, same: _Same) -> Verdict:
    right = read_region(wanted)
    answered = read_region(given, of_brackets=True)
    assert right is not None
    if answered is None:
        relations = read_relation(given), read_relation(wanted)
        if relations[0] is not None and relations[1] is not None:
            return _decide(is_same_relation(relations[0], relations[1]), "the inequalities differ")
        return False, "the answer is no interval"
    names = {read_variable(given), read_variable(wanted)} - {None}
    if len(names) > 1:
        return False, "the variables differ"
    return _decide(is_same_region(answered, right), "the intervals differ")


def _compare_relations(given: str, wanted: str, same: _Same) -> Verdict:
    answered, right = read_relation(given), read_relation(wanted)
    assert right is not None
    if answered is None:
        return False, "the answer is no inequality or ordering"
    return _decide(is_same_relation(answered, right), "the inequalities differ")


def _compare_items(given: str, wanted: str, same: _Same) -> Verdict:
    right, answered = read_items(wanted), read_items(given)
    assert right is not None
    decimal = read_decimal_comma(wanted) if wanted.startswith("0,") else None
    plain = read_quantity(given) if decimal else None
    if decimal is not None and plain is not None:
        equal, why = is_same_quantity(plain, decimal)
        return bool(equal), why
    if answered is None and right.bracket == "{" and len(right.items) == 1:
        return _decide(same(given, right.items[0]), "the element differs")
    region = read_region(given)
    meant = None if region is None else read_region(wanted, of_brackets=True)
    if region is not None and meant is not None:
        return _decide(is_same_region(region, meant), "the intervals differ")
    if answered is None:
        if is_text(wanted) and spell_key(given) == spell_key(wanted):
            return True, ""
        return False, "the answer is not several"
    return _decide(is_same_items(answered, right, same), "an element differs, is missing or stands elsewhere")


def _compare_equations(given: str, wanted: str, same: _Same) -> Verdict:
    right, answered = split_sides(wanted), split_sides(given)
    if read_items(given) is not None:
        return False, "the answer is several"
    if len(answered) == 1:
        values = take_values(wanted) if is_name(right[0]) or len(right) > 2 else []
        if not values:
            return False, "the answer is no equation"
        return _decide(any(same(given, value) for value in values), "the value differs")
    names = right[0].replace(" ", ""), answered[0].replace(" ", "")
    if is_name(right[0]) and (names[0] == names[1] or all(is_function(name) for name in names)):
        return _decide(same(answered[-1], right[-1]), "the values differ")
    if not any(map(is_name, (*right, *answered))) and (values := take_values(wanted)):
        return _decide(any(same(*pair) for pair in product(take_values(given), values)), "the values differ")
    if len(answered) == len(right) == 2:
        one, other = subtract(*answered), subtract(*right)
        if one is not None and other is not None:
            return _decide(bool(is_proportional(one, other)), "the equations differ")
    return _decide(spell_key(given) == spell_key(wanted), "the equations differ")


def _compare_quantities(given: str, wanted: str, same: _Same) -> Verdict:
    right = read_quantity(wanted)
    assert right is not None
    items = read_items(given)
    if items is not None and items.bracket == "{" and len(items.items) == 1:
        return _decide(same(items.items[0], wanted), "the element differs")
    span = read_span(given)
    if span is not None:
        is_fraction = (
            span[0] == ":" and re.search(r"/|\\frac", wanted) and tuple(re.findall(r"\d+", wanted)) == span[1]
        )
        return _decide(bool(is_fraction), "the answer is a range, a ratio or a score")
    answered = read_quantity(given) or read_decimal_comma(given)
    if answered is not None:
        equal, why = is_same_quantity(answered, right)
        return bool(equal), why
    is_name = not re.search(r"[-+*/^=<>]", wanted) and bool(list_symbols(right.tree)) and items is None
    if is_name and _is_same_words(given, wanted):
        return True, ""
    if _ALGEBRA.search(given):
        return _compare_algebra(given, wanted, same)
    return False, "the answer is no single quantity"


_ALGEBRA = re.compile(
    r"\\(?:int|iint|oint|sum|prod|lim|partial|det|gcd|lcm|max|min|bmod|pmod|mod|nabla|cap|cup|setminus|begin|frac\{d)"
    r"(?![A-Za-z])"
)


def _compare_algebra(given: str, wanted: str, same: _Same) -> Verdict:
    return _decide(is_same_mathematics(given, wanted, same.time_limit_s), "computer algebra does not find them equal")


def _compare_words(given: str, wanted: str, same: _Same) -> Verdict:
    figures = read_figure(given), read_figure(wanted)
    if figures[1] is not None:
        bare = re.fullmatch(r"[A-Z]{2,3}", given)
        return _decide(figures[1] in (figures[0], bare and min(given, given[::-1])), "the points differ")
    return _decide(_is_same_words(given, wanted), "the texts differ")


def _is_same_words(given: str, wanted: str) -> bool:
    one, other = spell_key(given), spell_key(wanted)
    if one == other:
        return bool(one)
    is_loose = any(sign.isdigit() for sign in other) or "-" in given or "-" in wanted
    return is_loose and one.replace(" ", "") == other.replace(" ", "")


def _decide(equal: bool, why: str) -> tuple[bool, str]:
    return equal, "" if equal else why


@dataclass(frozen=True, slots=True)
class _Rule:
    """How references of one type are known, and answers compared with them."""

    name: str
    reads: Callable[[str], bool]
    compare: Callable[[str, str, _Same], Verdict]
    takes_values: bool = True


def _reads(reader: Callable[[str], object]) -> Callable[[str], bool]:
    return lambda text: reader(text) is not None


_RULES = (
    _Rule("letters", _reads(read_letters), _compare_letters, takes_values=False),
    _Rule("yes or no", _reads(read_yes_or_no), _compare_yes_or_no, takes_values=False),
    _Rule("time", _reads(read_time), _compare_times),
    _Rule("date", _reads(read_date), _compare_dates),
    _Rule("range or ratio", lambda text: (read_span(text) or _read_ratio(text)) is not None, _compare_spans),
    _Rule("matrix", _reads(read_matrix), _compare_matrices),
    _Rule("interval", _reads(read_region), _compare_regions),
    _Rule("inequality", _reads(read_relation), _compare_relations),
    _Rule("list", _reads(read_items), _compare_items),
    _Rule("equation", lambda text: len(split_sides(text)) > 1, _compare_equations, takes_values=False),
    _Rule("figure", _reads(read_figure), _compare_words),
    _Rule("number", _reads(read_quantity), _compare_quantities),
    _Rule("algebra", lambda text: bool(_ALGEBRA.search(text)), _compare_algebra),
    _Rule("words", lambda text: is_text(text) and len(text) <= MAX_WORDS_CHARACTERS, _compare_words),
)
