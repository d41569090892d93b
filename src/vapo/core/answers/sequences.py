"""Sequences: lists, sets and tuples, in brackets or without, and what plus-minus stands for."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vapo.core.answers.quantity import read_quantity
from vapo.core.answers.spelling import split_outside

MAX_ITEMS = 60
"""Longer sequences are compared as text."""
_MAX_WORDS = 6


@dataclass(frozen=True, slots=True)
class Items:
    """Several answers in one.

    Attributes:
        items: each, as text.
        bracket: what opens them: `(`, `[`, `{`, `<`, or nothing.
        is_joined: whether "and" or "or" stands between two of them.
    """

    items: tuple[str, ...]
    bracket: str = ""
    is_joined: bool = False

    @property
    def has_order(self) -> bool:
        """Whether their order is part of the answer: tuples, lists with dots, and bare lists of names."""
        names = not self.bracket and not self.is_joined and all(_is_name(item) for item in self.items)
        return self.bracket in ("(", "[", "<") or names or any(item == "\\dots" for item in self.items)


def _is_name(item: str) -> bool:
    return bool(re.search(r"(?<!\\)\b[^\W\d_]{2,}", item)) and "=" not in item and read_quantity(item) is None


_PAIRS = (("\\{", "\\}", "{"), ("(", ")", "("), ("[", "]", "["), ("\\langle", "\\rangle", "<"), ("<", ">", "<"))
_SEPARATOR = re.compile(
    r"\s*(?:,|;|、)\s*(?:\\quad\s*)?(?:(?:and|or)(?![A-Za-z])\s*)?|\s*(?:(?<![A-Za-z])(?:and|or)(?![A-Za-z])|或者?|和|以及)\s*"
)
_JOINT = re.compile(r"(?<![A-Za-z])(?:and|or)(?![A-Za-z])|或|和")
_NAME_BEFORE = re.compile(
    r"(?:[A-Z]|\\?[A-Za-z]+(?:_\{?\w+\}?)?\s*=|\([a-z](?:,\s*[a-z])+\)\s*=)\s*(?=\(|\[|\\\{|\\langle)"
)
_SHARED_NAME = re.compile(r"([A-Za-z](?:_\{?\w+\}?)?)\s*=\s*(?=[^=]*$)")
_NAMED = re.compile(r"([A-Za-z]\w*)\s*=")
_EMPTY = re.compile(
    r"\\emptyset|\\\{\s*\\\}|(?:the\s+)?empty\s+set|(?:there\s+(?:is|are)\s+)?no\s+solutions?|空集|无解", re.IGNORECASE
)


def read_items(text: str) -> Items | None:
    """Read several answers out of one that `clean` has spelled; None if it is a single one."""
    if _EMPTY.fullmatch(text):
        return Items((), "{")
    text = re.sub(r"\\(?:left|right)", "", text).strip()
    name = _NAME_BEFORE.match(text)
    inner, bracket = _strip_bracket(text[name.end() :] if name else text)
    if name and not bracket:
        return None
    if not bracket:
        if read_quantity(text) is not None:
            return None
        shared = _SHARED_NAME.match(text)
        inner = text[shared.end() :] if shared else text
    parts = split_outside(inner, _SEPARATOR)
    if len(parts) > MAX_ITEMS or not all(parts) or any(len(part.split()) > _MAX_WORDS for part in parts):
        return None
    items = tuple(half for part in parts for half in _split_signs(part))
    if len(items) < 2 and bracket != "{":
        return None
    return Items(items, bracket, bool(_JOINT.search(inner)))


def _strip_bracket(text: str) -> tuple[str, str]:
    for opening, closing, bracket in _PAIRS:
        if text.startswith(opening) and text.endswith(closing):
            inner = text[len(opening) : -len(closing)].strip()
            if _is_balanced(inner):
                return inner, bracket
    return text, ""


def _is_balanced(text: str) -> bool:
    depth = 0
    for sign in text:
        depth += (sign in "([{") - (sign in ")]}")
        if depth < 0:
            return False
    return depth == 0


def _split_signs(item: str) -> tuple[str, ...]:
    """Write what plus-minus stands for as two answers."""
    if len(re.findall(r"\\(?:pm|mp)(?![A-Za-z])", item)) != 1:
        return (item,)
    return tuple(re.sub(r"\\(?:pm|mp)(?![A-Za-z])\s*", sign, item) for sign in ("+", "-"))


def is_same_items(answer: Items, reference: Items, same: Callable[[str, str], bool]) -> bool:
    """Compare item by item: in order where it counts, else each with some other.

    Args:
        answer: what was answered.
        reference: the right answer. Its brackets say whether it is a set or a tuple; a bare list takes any brackets.
        same: compares two items.
    """
    if not _fits(answer, reference):
        return False
    bare_tuple = not reference.bracket and answer.bracket in ("(", "<")
    if reference.has_order or bare_tuple:
        return len(answer.items) == len(reference.items) and all(map(same, answer.items, reference.items))
    one, other = list(answer.items), list(reference.items)
    if reference.bracket == "{" or answer.bracket == "{":
        one, other = _drop_repeats(one, same), _drop_repeats(other, same)
    if len(one) != len(other):
        return False
    for item in one:
        found = next((place for place, left in enumerate(other) if same(item, left)), None)
        if found is None:
            return False
        del other[found]
    return True


def _fits(answer: Items, reference: Items) -> bool:
    """Tell whether the brackets can mean the same: of two numbers, [a, b] is an interval and (a, b) another.

    Several values of one name, or those between which "or" stands, are no tuple.
    """
    if not answer.bracket and reference.bracket in ("(", "<"):
        names = [name[1] for name in map(_NAMED.match, answer.items) if name]
        return len(set(names)) == len(names) if names else not answer.is_joined
    if not answer.bracket or not reference.bracket or answer.bracket == reference.bracket:
        return True
    if {answer.bracket, reference.bracket} == {"(", "<"}:
        return True
    return len(reference.items) > 2 and "(" not in (answer.bracket, reference.bracket)


def _drop_repeats(items: Sequence[str], same: Callable[[str, str], bool]) -> list[str]:
    kept: list[str] = []
    for item in items:
        if not any(same(item, other) for other in kept):
            kept.append(item)
    return kept


_ROWS = re.compile(
    r"([(\[|]?)\s*\\begin\{([pbBvV]?matrix|array\}\{[lcr|]*)\}(.*)\\end\{[a-zA-Z]+\}\s*[)\]|]?", re.DOTALL
)


def read_matrix(text: str) -> tuple[bool, list[list[str]]] | None:
    """Read a matrix: whether it is a determinant, and its rows; None if the text is none."""
    found = _ROWS.fullmatch(text)
    if found is None:
        return None
    rows = [row.strip() for row in re.split(r"\\cr(?![A-Za-z])", found[3])]
    return found[2][0] in ("v", "V") or found[1] == "|", [
        [cell.strip() for cell in row.split("&")] for row in rows if row
    ]


def read_rows(text: str) -> tuple[bool, list[list[str]]] | None:
    """Read a matrix that is written as a list of its rows, `[[1, 2], [3, 4]]`; None if the text is none."""
    outer = read_items(text)
    rows = [read_items(row) for row in outer.items] if outer is not None and outer.bracket == "[" else []
    if not rows or any(row is None or row.bracket != "[" for row in rows):
        return None
    return False, [list(row.items) for row in rows if row is not None]
