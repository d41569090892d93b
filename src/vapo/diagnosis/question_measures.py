"""Numbers of one question that models, or places of one response, are compared by; None where it has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vapo.core.perception import share_right
from vapo.diagnosis.findings import QuestionFindings
from vapo.models.diagnosed_model import View

Measure = Callable[[QuestionFindings], float | None]


def claims_right(
    question: QuestionFindings, view: View, depth: float | None = None, quarter: int | None = None
) -> float | None:
    """Return the share of claims judged right under a view: at a depth, in a quarter, or (None) in all."""
    asked = (
        (claim.depth, claim.correct)
        for claim in question.probed or ()
        if claim.view == view and (claim.depth == depth if depth is not None else claim.depth > 0)
    )
    return share_right(asked, quarter)


def p_label(question: QuestionFindings, view: View, depth: float) -> float | None:
    """Return the mean probability given to the claims' own labels under a view at a depth."""
    asked = (claim for claim in question.probed or () if claim.view == view and claim.depth == depth)
    return _mean([claim.p_true if claim.is_true else 1 - claim.p_true for claim in asked])


def image_gain(question: QuestionFindings, depth: float) -> float | None:
    """Return how much better claims are judged at a depth with the image than without, in [-1, 1].

    Without it is with a blank image, or with none where no blank one was shown.
    """
    seen = claims_right(question, "image", depth)
    guessed = claims_right(question, "blank", depth)
    if guessed is None:
        guessed = claims_right(question, "none", depth)
    return seen - guessed if seen is not None and guessed is not None else None


def early_right(question: QuestionFindings, depth: float) -> float | None:
    """Return whether the answer at a cut was right, as 0 or 1."""
    return next((float(cut.right) for cut in question.early or () if cut.depth == depth), None)


def attention_in(question: QuestionFindings, first: float, last: float) -> float | None:
    """Return the mean share of attention on the image between two depths of the thinking part."""
    return _mean(_tokens_between(question, question.attention.by_token if question.attention else (), first, last))


def sensitivity_in(question: QuestionFindings, first: float, last: float) -> float | None:
    """Return the mean KL divergence, in nats, between two depths of the thinking part."""
    return _mean(_tokens_between(question, question.sensitivity.by_token if question.sensitivity else (), first, last))


def _tokens_between(question: QuestionFindings, values: Sequence[float], first: float, last: float) -> Sequence[float]:
    start, stop = question.thinking
    place = (stop - start) or 1
    return [
        values[token]
        for token in range(start, min(stop, len(values)))
        if first <= (token - start + 0.5) / place < last
    ]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
