"""The three models in numbers, paired by question."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

from vapo.core.perception import NUM_QUARTERS
from vapo.diagnosis.estimates import Estimate, estimate_difference, estimate_mean, estimate_rate, estimate_share
from vapo.diagnosis.findings import ModelFindings, QuestionFindings
from vapo.diagnosis.question_measures import Measure, claims_right
from vapo.lab.questions import is_late

ANSWERS = "right answers"
LATE_ANSWERS, EARLY_ANSWERS = f"{ANSWERS}, late questions", f"{ANSWERS}, early questions"
CLAIMS = "claims judged right"
LATE_CLAIMS = f"{CLAIMS}, quarter {NUM_QUARTERS} of {NUM_QUARTERS}"
LENGTH = "tokens per response"


@dataclass(frozen=True, slots=True)
class Row:
    """One measure of the three models.

    Attributes:
        measure: what is measured.
        is_share: whether it is a share, in [0, 1].
        before, grpo, vapo: of each model; None if it was measured on no question.
        grpo_change, vapo_change: after training less before, paired by question.
        difference: VAPO less GRPO, paired by question.
    """

    measure: str
    is_share: bool
    before: Estimate | None
    grpo: Estimate | None
    vapo: Estimate | None
    grpo_change: Estimate | None
    vapo_change: Estimate | None
    difference: Estimate | None


def compare(before: ModelFindings, grpo: ModelFindings, vapo: ModelFindings, *, seed: int) -> tuple[Row, ...]:
    """Compare the three models on the same questions.

    Args:
        before, grpo, vapo: what was found about each.
        seed: of the intervals' resampling.
    """
    rows: list[Row] = []
    for name, measure in _list_measures().items():
        values = [
            {
                question.digest: (value, question.image)
                for question in model.questions
                if (value := measure(question)) is not None
            }
            for model in (before, grpo, vapo)
        ]
        estimate = _estimator(name, seed)
        subtract = partial(_subtract, name=name, seed=seed)
        rows.append(
            Row(
                name,
                name != LENGTH,
                *(estimate(own.values()) for own in values),
                grpo_change=subtract(values[1], values[0]),
                vapo_change=subtract(values[2], values[0]),
                difference=subtract(values[2], values[1]),
            )
        )
    return tuple(rows)


def _list_measures() -> dict[str, Measure]:
    return {
        LATE_ANSWERS: partial(_answered, late=True),
        EARLY_ANSWERS: partial(_answered, late=False),
        f"{CLAIMS}, before the response": partial(claims_right, view="image", depth=0.0),
        **{
            f"{CLAIMS}, quarter {quarter} of {NUM_QUARTERS}": partial(claims_right, view="image", quarter=quarter)
            for quarter in range(1, NUM_QUARTERS + 1)
        },
        LENGTH: lambda question: float(len(question.token_texts)) if question.token_texts else None,
    }


def _answered(question: QuestionFindings, late: bool) -> float | None:
    """Return whether a question of one of the two sorts is answered rightly."""
    return float(question.right) if question.token_texts and is_late(question.question) == late else None


def _estimator(name: str, seed: int) -> Callable[[Collection[tuple[float, str]]], Estimate | None]:
    def estimate(measured: Collection[tuple[float, str]]) -> Estimate | None:
        if not measured:
            return None
        values, images = [value for value, _ in measured], [image for _, image in measured]
        if name == LENGTH:
            return estimate_mean(values, seed=seed, name=name, images=images)
        if name.startswith(ANSWERS):
            return estimate_rate([value == 1 for value in values], images)
        return estimate_share(values, seed=seed, name=name, images=images)

    return estimate


def _subtract(
    ours: Mapping[str, tuple[float, str]], theirs: Mapping[str, tuple[float, str]], *, name: str, seed: int
) -> Estimate | None:
    both = [(value - theirs[digest][0], image) for digest, (value, image) in ours.items() if digest in theirs]
    if not both:
        return None
    most = math.inf if name == LENGTH else 1.0
    values, images = [value for value, _ in both], [image for _, image in both]
    return estimate_difference(values, seed=seed, name=f"difference {name}", images=images, most=most)
