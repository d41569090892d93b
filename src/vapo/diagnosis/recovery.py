"""Recoverable errors: wrong at full length, right at an earlier cut.

Source: arXiv 2509.25848, Section 3.1 and Appendix B.16.
"""

from __future__ import annotations

from collections.abc import Sequence

from vapo.diagnosis.estimates import estimate_mean, estimate_rate
from vapo.diagnosis.findings import Point, QuestionFindings, Recovery


def is_recoverable(question: QuestionFindings) -> bool:
    """Whether an earlier stop would have avoided this question's error."""
    return not question.right and find_last_right(question) is not None


def find_last_right(question: QuestionFindings) -> float | None:
    """Return the depth of the last cut before the end at which the answer was right; None if there is none."""
    return max((cut.depth for cut in question.early or () if cut.right and cut.depth < 1), default=None)


def summarise_recovery(questions: Sequence[QuestionFindings], *, seed: int) -> Recovery | None:
    """Sum up the errors among questions.

    Args:
        questions: those whose responses were cut; others do not count.
        seed: of the resampling.

    Returns:
        None if no response that was cut has a wrong answer.
    """
    errors = [question for question in questions if question.early is not None and not question.right]
    if not errors:
        return None
    by_depth: dict[float, list[tuple[bool, str]]] = {}
    for question in errors:
        for cut in question.early or ():
            if cut.depth < 1:
                by_depth.setdefault(cut.depth, []).append((cut.right, question.image))
    known = [(depth, question.image) for question in errors if (depth := find_last_right(question)) is not None]
    last, images = [depth for depth, _ in known], [image for _, image in known]
    return Recovery(
        by_cut=tuple(
            Point(depth, estimate_rate([right for right, _ in own], [image for _, image in own]))
            for depth, own in sorted(by_depth.items())
        ),
        anywhere=estimate_rate([is_recoverable(q) for q in errors], [q.image for q in errors]),
        last_depth_known=estimate_mean(last, seed=seed, name="last depth known", images=images) if last else None,
    )
