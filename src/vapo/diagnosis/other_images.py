"""What else the data holds for a question: another question's image or answer, or an edited copy of its own image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from vapo.diagnosis.question_rows import name_image
from vapo.types import Sample


class OtherImages:
    """Look up other images by question; they are opened when they are asked for and not kept.

    Args:
        samples: all questions, in the order of the data.
        edited: the same questions with edited images, and the answers to these, matched by id; None for none.
    """

    def __init__(self, samples: Sequence[Sample] = (), edited: Sequence[Sample] | None = None) -> None:
        self._samples, self._edited = samples, edited or ()
        self._places = _find_places(self._samples)
        self._edited_places = _find_places(self._edited)

    @cached_property
    def answers(self) -> tuple[str, ...]:
        """All reference answers of the data, each once, sorted."""
        return tuple(sorted({self._samples[place].answer for place in self._places.values()}))

    def swap(self, sample: Sample) -> Sample | None:
        """Return the sample with the images of the next question that has as many but different ones; None if no
        question has."""
        if not sample.images or sample.id not in self._places:
            return None
        own, place, count = name_image(sample), self._places[sample.id], len(self._samples)
        for step in range(1, count):
            other = self._samples[(place + step) % count]
            if len(other.images) == len(sample.images) and name_image(other) != own:
                return replace(sample, images=other.images)
        return None

    def edit(self, sample: Sample) -> Sample | None:
        """Return the sample with its edited images and their answer; None if it has none, or not as many."""
        if sample.id not in self._edited_places:
            return None
        edited = self._edited[self._edited_places[sample.id]]
        if not edited.images or len(edited.images) != len(sample.images):
            return None
        return replace(sample, images=edited.images, answer=edited.answer)


def _find_places(samples: Sequence[Sample]) -> dict[str, int]:
    places: dict[str, int] = {}
    for number in range(len(samples)):
        places.setdefault(samples[number].id, number)
    return places
