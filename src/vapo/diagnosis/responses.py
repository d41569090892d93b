"""A response as a diagnosis reads it: where it thinks, where it can be cut, what it comes to."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

from vapo.core.boundaries import find_boundaries, find_thinking_part
from vapo.core.grading import extract_answer, grade_sample
from vapo.types import Rollout, Sample

_BOXES = ("\\boxed", "\\fboxed")


@dataclass(frozen=True, slots=True)
class Response:
    """A completion, graded.

    Attributes:
        rollout: its tokens.
        thinking: first token of the thinking part, and the one behind its last. Without tags, all that stands before
            the answer's box.
        boundaries: numbers of tokens kept, each a logical boundary of the thinking part.
        tagged: whether the text has a thinking tag.
        finished: False if it was cut off at the longest length.
        answer: what the last box behind the thinking part holds; None if there is none.
        right: whether that is the reference.
        notes: what is odd about it, in sentences.
    """

    rollout: Rollout
    thinking: tuple[int, int]
    boundaries: tuple[int, ...]
    tagged: bool
    finished: bool
    answer: str | None
    right: bool
    notes: tuple[str, ...]

    def cut_near(self, depth: float) -> int | None:
        """Return how many tokens to keep to be nearest to a depth of the thinking part, in [0, 1].

        Depth 0 is the start of the thinking part; all others move to the nearest logical boundary (of two equally
        near, the earlier). None if there is no boundary.
        """
        start, stop = self.thinking
        if depth == 0:
            return start
        if not self.boundaries:
            return None
        place = start + depth * (stop - start)
        return min(self.boundaries, key=lambda index: (abs(index - place), index))


def read_response(rollout: Rollout, *, tags: tuple[str, str], max_tokens: int) -> Response:
    """Grade a completion and find its thinking part; it was cut off if it has `max_tokens` and no end token."""
    text, texts = rollout.text, rollout.token_texts
    opening, closing = tags
    tagged = opening in text or closing in text
    start, stop = find_thinking_part(texts, tags)
    if not tagged:
        stop = _find_answer(rollout)
    boundaries = tuple(index for index in find_boundaries(texts, tags) if start < index <= stop)
    answer, right = grade_text(text, rollout.sample, closing)
    # An end token adds no text; a response that was cut off ends in one that does, but for halves of characters.
    finished = len(texts) < max_tokens or texts[-1] == ""
    notes: list[str] = []
    if not finished:
        notes.append(f"The response was cut off at {max_tokens} tokens.")
    if answer is None:
        notes.append("The response has no answer.")
    if not boundaries:
        notes.append("The response has no logical boundary to be cut at.")
    if text.count(closing) > 1:
        notes.append(f"The response closes its thinking {text.count(closing)} times; it is taken to end at the first.")
    return Response(rollout, (start, stop), boundaries, tagged, finished, answer, right, tuple(notes))


def grade_text(text: str, sample: Sample, closing_tag: str) -> tuple[str | None, bool]:
    """Return the answer of a completion, or of what was written behind a cut, and whether it is right."""
    text = text.rpartition(closing_tag)[2]
    return extract_answer(text), grade_sample(text, sample) == 1


def _find_answer(rollout: Rollout) -> int:
    """Return the number of tokens that lie wholly before the last box; all of them if there is none."""
    place = max(rollout.text.rfind(box) for box in _BOXES)
    if place < 0:
        return len(rollout.token_texts)
    return bisect_right(list(accumulate(map(len, rollout.token_texts))), place)
