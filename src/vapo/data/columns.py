"""Which column of a data set holds what: the user's names, matched against the columns that are there.

The defaults are the names of the published training data (arXiv 2509.25848): `problem`, `answer`, `images`,
`claim_1` .. `claim_20` and `label_1` .. `label_20`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from vapo.errors import suggest_nearest

IMAGE_COLUMNS = ("images", "image", "file_names", "file_name")
"""Where images are looked for, in this order, when no image column was named."""

ANSWER_COLUMNS = ("answer", "solution")
"""Where answers are looked for likewise; TRL's own accuracy reward reads `solution`."""

NO_COLUMN = "there is no column"
"""How the problem of a column that was named and is missing begins."""

NO_IMAGES = "there is no image to look at"
"""How the problem of a data set without a column of images begins."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns to read, by name.

    Args:
        question: text of the question; may hold `<image>` where an image stands.
        answer: the reference answer, text or number. Left at its default, `solution` is tried too.
        images: one image or a list. Left at its default, `image`, `file_names` and `file_name` are tried too.
        claims: a list of `{text, is_true}`. Where there is no such column, numbered pairs are read instead.
        claim_prefix: start of the names of numbered claims: `claim_1`, `claim_2`, ...
        label_prefix: start of the names of their labels: `label_1`, `label_2`, ...
        id: a name for each row. Left at its default, or None, a data set without it gets `row-0`, `row-1`, ...
            None numbers the rows even where there is a column `id`.
    """

    question: str = "problem"
    answer: str = "answer"
    images: str = "images"
    claims: str = "claims"
    claim_prefix: str = "claim_"
    label_prefix: str = "label_"
    id: str | None = "id"


DEFAULT_COLUMNS = Columns()


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of one data set that will be read; None where there is none.

    `claim_pairs` holds (claim column, label column), matched by their number and in its order.
    `problems` says what is missing, one sentence each.
    """

    question: str | None
    answer: str | None
    images: str | None
    id: str | None
    claims: str | None
    claim_pairs: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]

    @property
    def used(self) -> tuple[str, ...]:
        """Every column that is read, in no particular order and without repeats."""
        single = (self.question, self.answer, self.images, self.id, self.claims)
        pairs = (name for pair in self.claim_pairs for name in pair)
        return tuple(dict.fromkeys(name for name in (*single, *pairs) if name is not None))

    @property
    def has_claims(self) -> bool:
        """Whether there is any column to read claims from."""
        return self.claims is not None or bool(self.claim_pairs)


def match_columns(
    columns: Columns, available: Sequence[str], require_claims: bool = False, asks: bool = True
) -> Layout:
    """Find the wanted columns among those a data set has.

    Args:
        columns: the wanted names.
        available: the names that are there.
        require_claims: whether a data set without claims is a problem.
        asks: whether one without questions or answers is, if their columns were not named.

    Returns:
        The layout. Nothing is raised: what is missing stands in `Layout.problems`, all of it.
    """
    problems: list[str] = []
    question = answer = None
    if asks or columns.question != DEFAULT_COLUMNS.question:
        question = _match_text(columns.question, "question", available, problems)
    if asks or columns.answer != DEFAULT_COLUMNS.answer:
        answer = _match_answer(columns.answer, available, problems)
    images = _match_images(columns.images, available, problems)
    name = columns.id
    if name is not None and name not in available:
        if name != DEFAULT_COLUMNS.id:
            problems.append(_describe_missing(name, "id", available))
        name = None
    claims = columns.claims if columns.claims in available else None
    if claims is None and columns.claims != DEFAULT_COLUMNS.claims:
        problems.append(_describe_missing(columns.claims, "claims", available))
    pairs = _match_pairs(columns, available, problems)
    if claims is not None and pairs:
        problems.append(
            f"claims stand twice, in column {claims!r} and in {pairs[0][0]!r} to {pairs[-1][0]!r}; "
            "drop one of the two forms"
        )
    if require_claims and claims is None and not pairs:
        problems.insert(
            0,
            f"there are no claims, and this algorithm trains on them: there is neither a column {columns.claims!r} "
            f"nor {columns.claim_prefix}1 with {columns.label_prefix}1; make claims first, name their columns, or use "
            f"an algorithm that needs none. The columns are {_list_names(available)}",
        )
    return Layout(question, answer, images, name, claims, pairs, tuple(problems))


def find_answer(available: Collection[str]) -> str | None:
    """Find the column of answers where none was named; None if there is none."""
    return next((name for name in ANSWER_COLUMNS if name in available), None)


def _match_text(wanted: str, role: str, available: Sequence[str], problems: list[str]) -> str | None:
    if wanted in available:
        return wanted
    problems.append(_describe_missing(wanted, role, available))
    return None


def _match_answer(wanted: str, available: Sequence[str], problems: list[str]) -> str | None:
    found = find_answer(available) if wanted == DEFAULT_COLUMNS.answer else None
    return found or _match_text(wanted, "answer", available, problems)


def _match_images(wanted: str, available: Sequence[str], problems: list[str]) -> str | None:
    candidates = IMAGE_COLUMNS if wanted == DEFAULT_COLUMNS.images else (wanted,)
    found = next((name for name in candidates if name in available), None)
    if found is None:
        problems.append(f"{NO_IMAGES}: {_describe_missing(wanted, 'images', available)}")
    return found


def _match_pairs(columns: Columns, available: Sequence[str], problems: list[str]) -> tuple[tuple[str, str], ...]:
    claims = _number_columns(columns.claim_prefix, available)
    labels = _number_columns(columns.label_prefix, available)
    for number in sorted(claims.keys() ^ labels.keys()):
        here = claims.get(number) or labels[number]
        other = f"{columns.label_prefix if number in claims else columns.claim_prefix}{number}"
        problems.append(f"column {here!r} has no partner {other!r}; add it or drop {here!r}")
    return tuple((claims[number], labels[number]) for number in sorted(claims.keys() & labels.keys()))


def _number_columns(prefix: str, available: Sequence[str]) -> dict[int, str]:
    pattern = re.compile(re.escape(prefix) + r"([1-9][0-9]*)")
    matches = ((pattern.fullmatch(name), name) for name in available)
    return {int(match[1]): name for match, name in matches if match}


def _describe_missing(wanted: str, role: str, available: Sequence[str]) -> str:
    return (
        f"{NO_COLUMN} {wanted!r}{suggest_nearest(wanted, available)}; the columns are "
        f"{_list_names(available)}. Name the right one with --{role}-column, or Columns({role}=...) in Python"
    )


def _list_names(available: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in available[:12])
    return f"{shown} and {len(available) - 12} more" if len(available) > 12 else shown or "none at all"
