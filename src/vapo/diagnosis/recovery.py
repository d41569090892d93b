"""Recoverable errors: wrong at full length, right at an earlier cut; and right answers that were wrong there.

An answer that varies by chance is right at one of many cuts, and wrong at another. So errors that a stop avoids are
counted at one fixed cut, beside the right answers that the same stop loses.

Source: arXiv 2509.25848, Section 3.1 and Appendix B.16, which counts errors that are right at any cut.
"""

from __future__ import annotations

from collections.abc import Sequence

from vapo.diagnosis.estimates import Estimate, estimate_difference, estimate_rate
from vapo.diagnosis.findings import Point, QuestionFindings, Recovery
from vapo.diagnosis.question_measures import early_right

MIDDLE = 0.5


def is_recoverable(question: QuestionFindings) -> bool:
    """Whether this question's answer is wrong, and was right at an earlier cut."""
    return not question.right and find_last_right(question) is not None


def find_last_right(question: QuestionFindings) -> float | None:
    """Return the depth of the last cut before the end at which the answer was right; None if there is none."""
    return max((cut.depth for cut in question.early or () if cut.right and cut.depth < 1), default=None)


def find_fixed_cut(questions: Sequence[QuestionFindings]) -> float | None:
    """Return the depth of the cut before the end that is nearest to the middle; None if there was no such cut."""
    depths = {cut.depth for question in questions for cut in question.early or () if cut.depth < 1}
    return min(depths, key=lambda depth: (abs(depth - MIDDLE), depth), default=None)


def summarise_recovery(questions: Sequence[QuestionFindings], *, seed: int) -> Recovery | None:
    """Sum up what stopping earlier does to answers.

    Args:
        questions: those whose responses were cut before their end; others do not count.
        seed: of the resampling.

    Returns:
        None if no response that was cut at the fixed depth has a wrong answer.
    """
    cut = find_fixed_cut(questions)
    stopped = [q for q in questions if cut is not None and early_right(q, cut) is not None]
    errors, rights = ([q for q in stopped if q.right is right] for right in (False, True))
    if cut is None or not errors:
        return None
    return Recovery(
        cut=cut,
        avoided=_share_turned(errors, cut),
        lost=_share_turned(rights, cut) if rights else None,
        change=estimate_difference(
            [(early_right(q, cut) or 0.0) - q.right for q in stopped],
            seed=seed,
            name="stopped less finished",
            images=[q.image for q in stopped],
            most=1.0,
        ),
        by_cut=_draw_turned(errors),
        lost_by_cut=_draw_turned(rights),
        anywhere=_share_turned(errors),
        lost_anywhere=_share_turned(rights) if rights else None,
    )


def _share_turned(questions: Sequence[QuestionFindings], depth: float | None = None) -> Estimate:
    """Return how many answers are not at an earlier depth, or (None) at any, what they are at the end."""
    turned = [
        any(cut.right != q.right for cut in q.early or () if cut.depth < 1 and depth in (None, cut.depth))
        for q in questions
    ]
    return estimate_rate(turned, [q.image for q in questions])


def _draw_turned(questions: Sequence[QuestionFindings]) -> tuple[Point, ...]:
    depths = sorted({cut.depth for question in questions for cut in question.early or () if cut.depth < 1})
    return tuple(Point(depth, _share_turned(questions, depth)) for depth in depths)
