"""One person's way through a store's claims: what is shown next, what was said, and what it comes to."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vapo.claims.quality.reviews import ErrorFigures, measure_errors
from vapo.claims.sampling import sample_subjects
from vapo.claims.store.claims import find_claim, read_claims
from vapo.claims.store.marks import JUDGEMENTS, Mark, add_marks, read_marks, take_back
from vapo.claims.store.store import Store
from vapo.claims.store.subjects import StoredImage, read_images
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
        reviewer: their name; another one's marks are not shown.
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
            self.subjects = sample_subjects(store, num_images, seed)
            self._places = {subject: place for place, subject in enumerate(self.subjects)}
            self._subject_of = {
                int(claim): int(subject)
                for claim, subject in store.read("SELECT id, subject FROM claims WHERE rejected_for IS NULL")
                if subject in self._places
            }

    def show(self, place: int) -> dict[str, Any]:
        """Return what is at a place of the order, as plain values.

        Raises:
            DataError: there is no such place.
        """
        subject = self._find_subject(place)
        with Store(self.path) as store:
            marks = read_marks(store, subject=subject, reviewer=self.reviewer)
            return {
                "place": place,
                "images": len(read_images(store, subject)),
                "claims": [
                    {
                        "id": stored.id,
                        "text": stored.claim.text,
                        "is_true": stored.claim.is_true,
                        "kind": stored.kind,
                        "mark": tell_mark(marks[stored.id][0]) if stored.id in marks else None,
                    }
                    for stored in read_claims(store, subject)
                    if stored.id in self._subject_of  # and not one that was made since
                ],
            }

    def read_image(self, place: int, position: int) -> StoredImage:
        """Return an image of what is at a place.

        Raises:
            DataError: there is none.
        """
        subject = self._find_subject(place)
        with Store(self.path) as store:
            images = read_images(store, subject)
        if not 0 <= position < len(images):
            raise DataError(f"image {place} has no part {position}; it has {len(images)}")
        return images[position]

    def find_unmarked(self) -> int:
        """Return the first place with a claim that this reviewer has not judged; the first of all if there is none."""
        with Store(self.path) as store:
            marked = read_marks(store, reviewer=self.reviewer)
        left = {subject for claim, subject in self._subject_of.items() if claim not in marked}
        return next((place for place, subject in enumerate(self.subjects) if subject in left), 0)

    def mark(
        self,
        claim: int,
        judgement: str,
        text: str | None = None,
        is_true: bool | None = None,
        *,
        before: Mark | Literal["any"] | None = "any",
    ) -> Mark:
        """Put a mark into the store, and return it. What says the same as the claim itself is no change of it.

        Args:
            claim: its number.
            judgement: right, wrong or unclear.
            text, is_true: what the claim should read instead; only where it is wrong.
            before: this reviewer's mark of the claim as they were shown it; "any" where that is not known.

        Raises:
            DataError: there is no such claim in this review, or it cannot be marked so.
            StaleError: the reviewer has judged it since, on another page.
            StoreError: the mark cannot be written.
        """
        if judgement not in JUDGEMENTS:
            raise DataError(f"{judgement!r} is no judgement; it must be one of {', '.join(JUDGEMENTS)}")
        if claim not in self._subject_of:
            raise DataError(f"claim {claim} is not in this review")
        with Store(self.path) as store:
            stored = find_claim(store, claim)
            if stored is None:
                raise DataError(f"claim {claim} is no longer in {self.path}")
            text = None if text is None or text.strip() == stored.claim.text else _check_text(text)
            is_true = None if is_true == stored.claim.is_true else is_true
            if judgement != "wrong" and (text is not None or is_true is not None):
                raise DataError("a claim that is changed was wrong; mark it so")
            mark = Mark(claim, self.reviewer, judgement, text, is_true)
            with store.writing():
                now = read_marks(store, claim=claim, reviewer=self.reviewer).get(claim, [None])[0]
                if before not in ("any", now):
                    raise StaleError(
                        f"{self.reviewer} has judged claim {claim} on another page since it was shown here; "
                        "look at it again, and judge it once more if that was wrong"
                    )
                add_marks(store, [mark])
        return mark

    def undo(self) -> tuple[int, int] | None:
        """Take back this reviewer's last mark; return its place and claim, or None if there is none in this review."""
        with Store(self.path) as store:
            claim = take_back(store, self.reviewer, self._subject_of)
        return None if claim is None else (self._places[self._subject_of[claim]], claim)

    def measure(self) -> Progress:
        """Return how far this reviewer is, and how often labels were wrong."""
        with Store(self.path) as store:
            marks = read_marks(store, reviewer=self.reviewer)
        own = {claim: given for claim, given in marks.items() if claim in self._subject_of}
        return Progress(len(self._subject_of), measure_errors(own, self._subject_of))

    def _find_subject(self, place: int) -> int:
        if not 0 <= place < len(self.subjects):
            raise DataError(f"there is no image {place}; there are {len(self.subjects)}")
        return self.subjects[place]


def tell_mark(mark: Mark) -> dict[str, Any]:
    """Return what a mark says as plain values."""
    return {"judgement": mark.judgement, "text": mark.text, "is_true": mark.is_true}


def _check_text(text: str) -> str:
    """Return a claim's new text on one line."""
    line = " ".join(text.split())
    if not line:
        raise DataError("a claim needs words; to leave it out, mark it unclear")
    if len(line) > MAX_CHARACTERS:
        raise DataError(f"a claim of {len(line)} characters is too long; keep it below {MAX_CHARACTERS}")
    if not line.isprintable():
        raise DataError("the text holds characters that cannot be shown; remove them")
    return line
