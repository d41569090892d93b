"""Numbers of one question that models, or places of one response, are compared by; None where it has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from vapo.core.perception import share_right
from vapo.diagnosis.findings import ProbedClaim, QuestionFindings
from vapo.models.diagnosed_model import View

Measure = Callable[[QuestionFindings], float | None]


def claims_right(
    question: QuestionFindings,
    view: View,
    depth: float | None = None,
    quarter: int | None = None,
    is_true: bool | None = None,
) -> float | None:
    """Return the share of claims judged right under a view: at a depth, in a quarter, of one truth; None is all."""
    asked = (
        (claim.depth, claim.correct)
        for claim in _list_asked(question, view, depth)
        if is_true is None or claim.is_true == is_true
    )
    return share_right(asked, quarter)


def true_claims_right(question: QuestionFindings, view: View, depth: float | None = None) -> float | None:
    """Return the share of true claims judged right under a view at a depth, or (None) at all."""
    return claims_right(question, view, depth, is_true=True)


def false_claims_right(question: QuestionFindings, view: View, depth: float | None = None) -> float | None:
    """Return the share of false claims judged right under a view at a depth, or (None) at all."""
    return claims_right(question, view, depth, is_true=False)


def yes_rate(question: QuestionFindings, view: View, depth: float | None = None) -> float | None:
    """Return the share of "yes" among the verdicts under a view at a depth, or (None) at all."""
    return _mean([claim.correct == claim.is_true for claim in _list_asked(question, view, depth)])


def p_label(question: QuestionFindings, view: View, depth: float) -> float | None:
    """Return the mean probability given to the claims' own labels under a view at a depth."""
    asked = _list_asked(question, view, depth)
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


def early_area(question: QuestionFindings) -> float | None:
    """Return the area under right (1) and wrong (0) answers over the depth of the cuts, by trapezoids."""
    cuts = question.early or ()
    if len(cuts) < 2:
        return None
    return sum((later.depth - cut.depth) * (later.right + cut.right) / 2 for cut, later in pairwise(cuts))


def attention_in(question: QuestionFindings, first: float, last: float) -> float | None:
    """Return the mean share of attention on the image between two depths of the thinking part."""
    return _mean(_tokens_between(question, question.attention.by_token if question.attention else (), first, last))


def sensitivity_in(question: QuestionFindings, first: float, last: float) -> float | None:
    """Return the mean KL divergence, in nats, between two depths of the thinking part."""
    return _mean(_tokens_between(question, question.sensitivity.by_token if question.sensitivity else (), first, last))


def _list_asked(question: QuestionFindings, view: View, depth: float | None) -> list[ProbedClaim]:
    """Return the claims asked under a view at a depth, or (None) at all depths of the response."""
    return [
        claim
        for claim in question.probed or ()
        if claim.view == view and (claim.depth == depth if depth is not None else claim.depth > 0)
    ]


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
