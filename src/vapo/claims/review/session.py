"""One person's way through a store's claims: what is shown next, what was said, and what it comes to."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vapo.claims.quality.reviews import ErrorFigures, measure_errors
from vapo.claims.store.annotations import (
    JUDGEMENTS,
    Annotation,
    add_annotations,
    read_annotations,
    remove_last_annotation,
)
from vapo.claims.store.claims import find_claim, read_claims
from vapo.claims.store.images import StoredImage, read_images, sample_image_sets
from vapo.claims.store.store import Store
from vapo.errors import ConfigError, DataError

MAX_CHARACTERS = 500
"""Longest text that a claim may be given."""


class StaleError(DataError):
    """A claim was judged elsewhere since it was shown."""


def find_user() -> str:
    """Return the name of the user of this process. Raises ConfigError if there is none, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise ConfigError("this user has no name; give the reviewer's with --reviewer") from error


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a reviewer is: `total` claims are to be judged, and `figures` says what was found."""

    total: int
    figures: ErrorFigures


class ReviewSession:
    """Let one reviewer judge claims. May be used by several threads: each call opens the store for itself.

    Images come in the order of `sample_subjects`, which is the same for all reviewers.

    Args:
        path: the store.
        reviewer: their name; another one's annotations are not shown.
        num_images: how many images to review, each with all its claims; None for all.
        seed: of their order.

    Raises:
        StoreError: the store cannot be opened.
        ConfigError: the name is blank, or `num_images` below 1.
        DataError: there are no claims.
    """

    def __init__(self, path: Path, reviewer: str, *, num_images: int | None = None, seed: int = 0) -> None:
        if not reviewer.strip():
            raise ConfigError("the reviewer has no name; give one with --reviewer")
        self.path = path
        self.reviewer = reviewer.strip()
        with Store(path) as store:
            self.image_sets = sample_image_sets(store, num_images, seed)
            self._places = {image_set: place for place, image_set in enumerate(self.image_sets)}
            self._image_set_of = {
                int(claim): int(image_set)
                for claim, image_set in store.read("SELECT id, subject FROM claims WHERE rejected_for IS NULL")
                if image_set in self._places
            }

    def show(self, place: int) -> dict[str, Any]:
        """Return what is at a place of the order, as plain values.

        Raises:
            DataError: there is no such place.
        """
        image_set = self._find_image_set(place)
        with Store(self.path) as store:
            given = read_annotations(store, image_set=image_set, reviewer=self.reviewer)
            return {
                "place": place,
                "images": len(read_images(store, image_set)),
                "claims": [
                    {
                        "id": stored.id,
                        "text": stored.claim.text,
                        "is_true": stored.claim.is_true,
                        "kind": stored.kind,
                        "annotation": describe_annotation(given[stored.id][0]) if stored.id in given else None,
                    }
                    for stored in read_claims(store, image_set)
                    if stored.id in self._image_set_of  # and not one that was made since
                ],
            }

    def read_image(self, place: int, position: int) -> StoredImage:
        """Return an image of what is at a place.

        Raises:
            DataError: there is none.
        """
        image_set = self._find_image_set(place)
        with Store(self.path) as store:
            images = read_images(store, image_set)
        if not 0 <= position < len(images):
            raise DataError(f"image {place} has no part {position}; it has {len(images)}")
        return images[position]

    def find_unannotated(self) -> int:
        """Return the first place with a claim that this reviewer has not judged; the first of all if there is none."""
        with Store(self.path) as store:
            annotated = read_annotations(store, reviewer=self.reviewer)
        left = {image_set for claim, image_set in self._image_set_of.items() if claim not in annotated}
        return next((place for place, image_set in enumerate(self.image_sets) if image_set in left), 0)

    def annotate(
        self,
        claim: int,
        judgement: str,
        text: str | None = None,
        is_true: bool | None = None,
        *,
        before: Annotation | Literal["any"] | None = "any",
    ) -> Annotation:
        """Put an annotation into the store, and return it. What says the same as the claim itself is no change of it.

        Args:
            claim: its number.
            judgement: right, wrong or unclear.
            text, is_true: what the claim should read instead; only where it is wrong.
            before: this reviewer's annotation of the claim as they were shown it; "any" where that is not known.

        Raises:
            DataError: there is no such claim in this review, or it cannot be judged so.
            StaleError: the reviewer has judged it since, on another page.
            StoreError: the annotation cannot be written.
        """
        if judgement not in JUDGEMENTS:
            raise DataError(f"{judgement!r} is no judgement; it must be one of {', '.join(JUDGEMENTS)}")
        if claim not in self._image_set_of:
            raise DataError(f"claim {claim} is not in this review")
        with Store(self.path) as store:
            stored = find_claim(store, claim)
            if stored is None:
                raise DataError(f"claim {claim} is no longer in {self.path}")
            text = None if text is None or text.strip() == stored.claim.text else _check_text(text)
            is_true = None if is_true == stored.claim.is_true else is_true
            if judgement != "wrong" and (text is not None or is_true is not None):
                raise DataError("a claim that is changed was wrong; judge it so")
            annotation = Annotation(claim, self.reviewer, judgement, text, is_true)
            with store.writing():
                now = read_annotations(store, claim=claim, reviewer=self.reviewer).get(claim, [None])[0]
                if before not in ("any", now):
                    raise StaleError(
                        f"{self.reviewer} has judged claim {claim} on another page since it was shown here; "
                        "look at it again, and judge it once more if that was wrong"
                    )
                add_annotations(store, [annotation])
        return annotation

    def undo(self) -> tuple[int, int] | None:
        """Remove this reviewer's last annotation; return its place and claim, or None if there is none here."""
        with Store(self.path) as store:
            claim = remove_last_annotation(store, self.reviewer, self._image_set_of)
        return None if claim is None else (self._places[self._image_set_of[claim]], claim)

    def measure(self) -> Progress:
        """Return how far this reviewer is, and how often labels were wrong."""
        with Store(self.path) as store:
            annotations = read_annotations(store, reviewer=self.reviewer)
        own = {claim: given for claim, given in annotations.items() if claim in self._image_set_of}
        return Progress(len(self._image_set_of), measure_errors(own, self._image_set_of))

    def _find_image_set(self, place: int) -> int:
        if not 0 <= place < len(self.image_sets):
            raise DataError(f"there is no image {place}; there are {len(self.image_sets)}")
        return self.image_sets[place]


def describe_annotation(annotation: Annotation) -> dict[str, Any]:
    """Return what an annotation says as plain values."""
    return {"judgement": annotation.judgement, "text": annotation.text, "is_true": annotation.is_true}


def _check_text(text: str) -> str:
    """Return a claim's new text on one line."""
    line = " ".join(text.split())
    if not line:
        raise DataError("a claim needs words; to leave it out, judge it unclear")
    if len(line) > MAX_CHARACTERS:
        raise DataError(f"a claim of {len(line)} characters is too long; keep it below {MAX_CHARACTERS}")
    if not line.isprintable():
        raise DataError("the text holds characters that cannot be shown; remove them")
    return line
