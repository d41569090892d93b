"""How often reviewers find a label wrong, and how far they agree with each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vapo.claims.quality.rates import Rate, measure_rate
from vapo.claims.store.marks import Judgement, Mark
from vapo.core.agreement import bootstrap_alpha_interval, nominal_alpha

MarksOfClaim = Mapping[int, Sequence[Mark]]
"""The last mark of each reviewer, by claim."""


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


def measure_errors(marks: MarksOfClaim, subject_of: Mapping[int, int]) -> ErrorFigures:
    """Measure how often labels are wrong.

    Args:
        marks: what reviewers say.
        subject_of: what each claim is about.
    """
    found: dict[int, Judgement | None] = {}
    for claim, given in marks.items():
        judgements: set[Judgement] = {mark.judgement for mark in given}
        found[claim] = judgements.pop() if len(judgements) == 1 else None
    agreed = list(found.values())
    return ErrorFigures(
        right=agreed.count("right"),
        wrong=agreed.count("wrong"),
        unclear=agreed.count("unclear"),
        disputed=agreed.count(None),
        rate=measure_rate(
            (subject_of[claim], judgement == "wrong")
            for claim, judgement in found.items()
            if judgement in ("right", "wrong")
        ),
    )


def measure_reviewer_agreement(
    marks: MarksOfClaim, subject_of: Mapping[int, int], rng: np.random.Generator
) -> ReviewerAgreement | None:
    """Measure how far reviewers agree; None if no claim was judged by two.

    Args:
        marks: what reviewers say.
        subject_of: what each claim is about.
        rng: the generator that resamples what claims are about.
    """
    shared = {claim: given for claim, given in marks.items() if len(given) > 1}
    ratings = [[mark.judgement for mark in given] for given in shared.values()]
    subjects = [subject_of[claim] for claim in shared]
    same = measure_rate((subject, len(set(given)) == 1) for subject, given in zip(subjects, ratings, strict=True))
    if same is None:
        return None
    return ReviewerAgreement(
        reviewers=_list_reviewers(shared.values()),
        same=same,
        alpha=nominal_alpha(ratings),
        interval=bootstrap_alpha_interval(ratings, subjects, rng),
    )


def _list_reviewers(marks: Iterable[Sequence[Mark]]) -> tuple[str, ...]:
    return tuple(sorted({mark.reviewer for given in marks for mark in given}))
