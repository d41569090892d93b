"""How often reviewers find a label wrong, and how far they agree with each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vapo.claims.quality.rates import Rate, measure_rate
from vapo.claims.store.annotations import Annotation, Judgement
from vapo.core.agreement import bootstrap_alpha_interval, nominal_alpha

AnnotationsOfClaim = Mapping[int, Sequence[Annotation]]
"""The last annotation of each reviewer, by claim."""


@dataclass(frozen=True, slots=True)
class ErrorFigures:
    """What was found in reviewing.

    Attributes:
        right, wrong, unclear: claims judged so by all who judged them.
        disputed: claims that reviewers judge differently.
        rate: wrong labels among those that are right or wrong; None if there are none of either.
    """

    right: int
    wrong: int
    unclear: int
    disputed: int
    rate: Rate | None

    @property
    def num_claims(self) -> int:
        """Claims that were judged."""
        return self.right + self.wrong + self.unclear + self.disputed


@dataclass(frozen=True, slots=True)
class ReviewerAgreement:
    """How far reviewers agree on the claims that at least two of them judged.

    Attributes:
        reviewers: their names.
        same: claims that all who judged them judge alike.
        alpha: Krippendorff's alpha over right, wrong and unclear; None where all judgements are the same.
        interval: its 95 % interval; None where it cannot be had, as in perfect agreement.
    """

    reviewers: tuple[str, ...]
    same: Rate
    alpha: float | None
    interval: tuple[float, float] | None


def measure_errors(annotations: AnnotationsOfClaim, image_set_of: Mapping[int, int]) -> ErrorFigures:
    """Measure how often labels are wrong.

    Args:
        annotations: what reviewers say.
        subject_of: what each claim is about.
    """
    found: dict[int, Judgement | None] = {}
    for claim, given in annotations.items():
        judgements: set[Judgement] = {annotation.judgement for annotation in given}
        found[claim] = judgements.pop() if len(judgements) == 1 else None
    agreed = list(found.values())
    return ErrorFigures(
        right=agreed.count("right"),
        wrong=agreed.count("wrong"),
        unclear=agreed.count("unclear"),
        disputed=agreed.count(None),
        rate=measure_rate(
            (image_set_of[claim], judgement == "wrong")
            for claim, judgement in found.items()
            if judgement in ("right", "wrong")
        ),
    )


def measure_reviewer_agreement(
    annotations: AnnotationsOfClaim, image_set_of: Mapping[int, int], rng: np.random.Generator
) -> ReviewerAgreement | None:
    """Measure how far reviewers agree; None if no claim was judged by two.

    Args:
        annotations: what reviewers say.
        subject_of: what each claim is about.
        rng: the generator that resamples what claims are about.
    """
    shared = {claim: given for claim, given in annotations.items() if len(given) > 1}
    ratings = [[annotation.judgement for annotation in given] for given in shared.values()]
    image_sets = [image_set_of[claim] for claim in shared]
    same = measure_rate(
        (image_set, len(set(given)) == 1) for image_set, given in zip(image_sets, ratings, strict=True)
    )
    if same is None:
        return None
    return ReviewerAgreement(
        reviewers=_list_reviewers(shared.values()),
        same=same,
        alpha=nominal_alpha(ratings),
        interval=bootstrap_alpha_interval(ratings, image_sets, rng),
    )


def _list_reviewers(annotations: Iterable[Sequence[Annotation]]) -> tuple[str, ...]:
    return tuple(sorted({annotation.reviewer for given in annotations for annotation in given}))
