"""How well a policy sees before and along its responses: claims judged right, by depth, with intervals.

Every number is a mean over questions of the question's own mean: probes of one response depend on each other, so the
question is what is counted and what the intervals are resampled over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vapo.core.perception import NUM_QUARTERS, depth_quarter, share_right
from vapo.diagnosis.estimates import Estimate, estimate_difference, estimate_share
from vapo.diagnosis.question_rows import AskedClaim, QuestionRow

_Pick = Callable[[QuestionRow], Sequence[AskedClaim]]


@dataclass(frozen=True, slots=True)
class PerceptionAt:
    """Perception at one stretch of the response.

    Attributes:
        where: the stretch, in words.
        num_claims: claims asked there, of all questions.
        accuracy: share of claims judged right; None if none was asked there.
        p_label: probability given to the claim's own label; None likewise.
        yes_rate: share of "yes" among the verdicts; None likewise.
        accuracy_true: share of the true claims that are judged right; None if none is asked there.
        accuracy_false: the same of the false claims.
    """

    where: str
    num_claims: int
    accuracy: Estimate | None
    p_label: Estimate | None
    yes_rate: Estimate | None = None
    accuracy_true: Estimate | None = None
    accuracy_false: Estimate | None = None


@dataclass(frozen=True, slots=True)
class Perception:
    """Perception of a policy over a data set.

    Attributes:
        before: right behind the prompt, the claims that `along` asks later.
        quarters: quarters of the response, the last being its end.
        along: the whole response.
        last_minus_before: accuracy in the last quarter less that before the response, over the questions that have
            both, in [-1, 1]; negative where the response loses sight. None if no question has both.
        num_without_claims: questions that could not be asked.
        num_missing_anchors: probes that responses with few boundaries had no place for.
    """

    before: PerceptionAt
    quarters: tuple[PerceptionAt, ...]
    along: PerceptionAt
    last_minus_before: Estimate | None
    num_without_claims: int
    num_missing_anchors: int


def summarise_perception(rows: Sequence[QuestionRow], *, num_anchors: int, seed: int) -> Perception | None:
    """Sum up the verdicts of all questions.

    Args:
        rows: the questions.
        num_anchors: probes asked for per response; 0 means that nothing was probed.
        seed: of the intervals' resampling.

    Returns:
        None if nothing was probed or no question has claims.
    """
    asked = [row for row in rows if row.has_claims]
    if num_anchors == 0 or not asked:
        return None

    def look_at(where: str, pick: _Pick) -> PerceptionAt:
        picked = [(row.image, claims) for row in asked if (claims := pick(row))]

        def share(
            what: str, measure: Callable[[Sequence[AskedClaim]], float], is_true: bool | None = None
        ) -> Estimate | None:
            kept = [(image, [c for c in claims if is_true in (None, c.is_true)]) for image, claims in picked]
            values = [measure(claims) for _, claims in kept if claims]
            images = [image for image, claims in kept if claims]
            return estimate_share(values, seed=seed, name=f"{what} {where}", images=images) if values else None

        return PerceptionAt(
            where=where,
            num_claims=sum(len(claims) for _, claims in picked),
            accuracy=share("accuracy", _accuracy),
            p_label=share("P(label)", lambda claims: sum(claim.p_label for claim in claims) / len(claims)),
            yes_rate=share("yes", lambda claims: sum(c.correct == c.is_true for c in claims) / len(claims)),
            accuracy_true=share("accuracy on true claims", _accuracy, is_true=True),
            accuracy_false=share("accuracy on false claims", _accuracy, is_true=False),
        )

    paired = [(row, last) for row in asked if (last := _in_quarter(row, NUM_QUARTERS))]
    changes = [_accuracy(last) - _accuracy(row.before) for row, last in paired]
    images = [row.image for row, _ in paired]
    return Perception(
        before=look_at("before the response", lambda row: row.before),
        quarters=tuple(
            look_at(f"quarter {quarter} of {NUM_QUARTERS}", lambda row, quarter=quarter: _in_quarter(row, quarter))
            for quarter in range(1, NUM_QUARTERS + 1)
        ),
        along=look_at("along the response", lambda row: row.along),
        last_minus_before=estimate_difference(changes, seed=seed, name="last minus before", images=images, most=1.0)
        if changes
        else None,
        num_without_claims=len(rows) - len(asked),
        num_missing_anchors=num_anchors * len(asked) - sum(len(row.along) for row in asked),
    )


def read_perception(values: Mapping[str, Any]) -> Perception:
    """Return what `dataclasses.asdict` made of a perception; KeyError or TypeError if it did not."""

    def estimate(one: Mapping[str, Any] | None) -> Estimate | None:
        return None if one is None else Estimate(**one)

    def part(one: Mapping[str, Any]) -> PerceptionAt:
        measured = {name: estimate(value) for name, value in one.items() if name not in ("where", "num_claims")}
        return PerceptionAt(one["where"], one["num_claims"], **measured)

    return Perception(
        **{
            **values,
            "before": part(values["before"]),
            "quarters": tuple(map(part, values["quarters"])),
            "along": part(values["along"]),
            "last_minus_before": estimate(values["last_minus_before"]),
        }
    )


def _in_quarter(row: QuestionRow, quarter: int) -> list[AskedClaim]:
    return [claim for claim in row.along if depth_quarter(claim.depth) == quarter]


def _accuracy(claims: Sequence[AskedClaim]) -> float:
    share = share_right((claim.depth, claim.correct) for claim in claims)
    assert share is not None  # stretches without a claim are left out
    return share
