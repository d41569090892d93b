"""What becomes of a claim that persons have judged: it stays, is put right, or is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from vapo.claims.store.annotations import Annotation, read_annotations
from vapo.claims.store.claims import list_claims, read_claims
from vapo.claims.store.images import find_image_set, name_image_set
from vapo.claims.store.store import Store
from vapo.types import Claim


def apply_annotations(claim: Claim, annotations: Sequence[Annotation]) -> Claim | None:
    """Return a claim as its reviewers would have it.

    Right leaves it as it is. Wrong takes the text and the label that the reviewer gave, and without either turns the
    label round: what is not true is false. Unclear leaves the claim out, and so do reviewers who do not agree.

    Args:
        claim: as it was made.
        annotations: the last annotation of each reviewer.
    """
    wanted = {_apply(claim, annotation) for annotation in annotations} or {claim}
    return wanted.pop() if len(wanted) == 1 else None


def read_pool(store: Store, image_set: int, *, repaired: bool = True) -> list[Claim]:
    """Return an image set's claims to train on: those kept, as their reviewers would have them, each once.

    A text that stands there as true and as false is left out.

    Args:
        store: the store.
        image_set: the image set's number.
        repaired: whether annotations count; without them, claims are as they were made.
    """
    annotations = read_annotations(store, image_set=image_set) if repaired else {}
    repairs = (
        apply_annotations(stored.claim, annotations.get(stored.id, ())) for stored in read_claims(store, image_set)
    )
    pool = list(dict.fromkeys(claim for claim in repairs if claim is not None))
    texts = Counter(claim.text for claim in pool)
    return [claim for claim in pool if texts[claim.text] == 1]


def find_pool(store: Store, image_names: Sequence[str], *, repaired: bool = True) -> list[Claim]:
    """Return the claims to train on about images, by the names of their pixels; none if the store has no such."""
    image_set = find_image_set(store, name_image_set(image_names))
    return [] if image_set is None else read_pool(store, image_set, repaired=repaired)


def count_repaired(store: Store) -> tuple[int, int]:
    """Return how many of the claims that are kept reviewers would have otherwise, and how many they leave out."""
    annotations = read_annotations(store)
    repairs = [
        (stored.claim, apply_annotations(stored.claim, annotations[stored.id]))
        for stored in list_claims(store)
        if stored.id in annotations
    ]
    changed = sum(repaired is not None and repaired != claim for claim, repaired in repairs)
    return changed, sum(repaired is None for _, repaired in repairs)


def _apply(claim: Claim, annotation: Annotation) -> Claim | None:
    if annotation.judgement == "unclear":
        return None
    if annotation.judgement == "right":
        return claim
    if annotation.text is None and annotation.is_true is None:
        return Claim(claim.text, not claim.is_true)
    return Claim(
        claim.text if annotation.text is None else annotation.text,
        claim.is_true if annotation.is_true is None else annotation.is_true,
    )
