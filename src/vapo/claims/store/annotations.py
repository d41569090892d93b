"""What persons say of claims, in a store. A person may judge a claim again: the last word counts, none is lost."""

from __future__ import annotations

import time
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Literal, cast, get_args

from vapo.claims.store.store import Store

Judgement = Literal["right", "wrong", "unclear"]
JUDGEMENTS: tuple[Judgement, ...] = get_args(Judgement)


_LAST = (
    "NOT EXISTS (SELECT 1 FROM marks AS later WHERE later.claim = marks.claim AND later.reviewer = marks.reviewer "
    "AND later.id > marks.id)"
)


@dataclass(frozen=True, slots=True)
class Annotation:
    """What a reviewer says of a claim.

    Attributes:
        claim: the claim's number.
        reviewer: their name.
        judgement: whether the claim's label is right; unclear where the image does not tell.
        text, is_true: what the claim should read instead; None for what may stay.
    """

    claim: int
    reviewer: str
    judgement: Judgement
    text: str | None = None
    is_true: bool | None = None


def add_annotation(store: Store, annotation: Annotation) -> None:
    """Record an annotation at once."""
    with store.writing():
        add_annotations(store, [annotation])


def add_annotations(store: Store, annotations: Iterable[Annotation]) -> None:
    """Record annotations; call it while writing."""
    store.execute_many(
        "INSERT INTO marks (claim, reviewer, mark, text, is_true, at) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (
                annotation.claim,
                annotation.reviewer,
                annotation.judgement,
                annotation.text,
                None if annotation.is_true is None else int(annotation.is_true),
                time.time(),
            )
            for annotation in annotations
        ],
    )


def remove_last_annotation(store: Store, reviewer: str, claims: Container[int]) -> int | None:
    """Remove the last annotation that a reviewer made, and return its claim.

    Returns:
        None if there is none, or it is on none of `claims`: it then stays.
    """
    with store.writing():
        found = store.read_one("SELECT id, claim FROM marks WHERE reviewer = ? ORDER BY id DESC LIMIT 1", (reviewer,))
        if found is None or found[1] not in claims:
            return None
        store.execute("DELETE FROM marks WHERE id = ?", (found[0],))
    return int(found[1])


def read_annotations(
    store: Store, *, image_set: int | None = None, claim: int | None = None, reviewer: str | None = None
) -> dict[int, list[Annotation]]:
    """Return the last annotation of each reviewer, by claim.

    Args:
        image_set: only annotations of this image set's claims.
        claim: only annotations of this claim.
        reviewer: only this reviewer's annotations.
    """
    chosen = {"claims.subject": image_set, "marks.claim": claim, "reviewer": reviewer}
    values = {column: value for column, value in chosen.items() if value is not None}
    conditions = [_LAST, *(f"{column} = ?" for column in values)]
    annotations: dict[int, list[Annotation]] = {}
    for number, name, judgement, text, is_true in store.read(
        "SELECT claim, reviewer, mark, marks.text, marks.is_true FROM marks JOIN claims ON claims.id = claim "
        f"WHERE {' AND '.join(conditions)} ORDER BY marks.id",
        list(values.values()),
    ):
        label = None if is_true is None else bool(is_true)
        annotation = Annotation(int(number), str(name), cast("Judgement", judgement), text, label)
        annotations.setdefault(annotation.claim, []).append(annotation)
    return annotations
