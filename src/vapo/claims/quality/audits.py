"""What an auditor's answers come to: agreement with the labels, and how far the answers hang on how they are asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vapo.claims.audit.questions import ANSWERABLE, BLIND, LABEL, NO_YES, TRUE_FALSE, VISUAL
from vapo.claims.quality.rates import Rate, measure_rate
from vapo.claims.store.audits import Audit
from vapo.claims.store.claims import StoredClaim
from vapo.core.agreement import bootstrap_alpha_interval, nominal_alpha
from vapo.core.intervals import bootstrap_mean_interval


@dataclass(frozen=True, slots=True)
class Shift:
    """How another way of asking about the label changes the answers.

    Attributes:
        changed: claims that are judged otherwise.
        mean: how much more often the answer is yes, in [-1, 1].
        low, high: 95 % interval of the mean; None where there are fewer than two images, or every image shifts alike.
    """

    changed: Rate
    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class AuditFigures:
    """What one auditor says. None stands for what was not asked, or where no answer could be read.

    Attributes:
        auditor: the model's name.
        label: labels that the auditor, seeing the image, agrees with.
        label_of_true, label_of_false: the same among claims that are said to be true, and false.
        label_by_kind: the same by kind.
        alpha, alpha_interval: agreement on labels beyond chance, see `vapo.core.agreement`.
        visual: claims that need the image.
        answerable: claims that the image decides.
        blind: labels told rightly without the image; one half is guessing, if half of the claims are true.
        order: from "(yes/no)" to "(no/yes)".
        wording: from "(yes/no)" to "(true/false)".
        unreadable: answers that say neither yes nor no, of all.
    """

    auditor: str
    label: Rate | None
    label_of_true: Rate | None
    label_of_false: Rate | None
    label_by_kind: Mapping[str, Rate]
    alpha: float | None
    alpha_interval: tuple[float, float] | None
    visual: Rate | None
    answerable: Rate | None
    blind: Rate | None
    order: Shift | None
    wording: Shift | None
    unreadable: Rate


def measure_audits(
    audits: Sequence[Audit], claims: Mapping[int, StoredClaim], rng: np.random.Generator
) -> list[AuditFigures]:
    """Measure what each auditor says, auditors in the order in which they came.

    Args:
        audits: of claims that are kept.
        claims: these claims, by number.
        rng: the generator that resamples what claims are about.
    """
    names = dict.fromkeys(audit.auditor for audit in audits)
    return [_measure(name, [audit for audit in audits if audit.auditor == name], claims, rng) for name in names]


def _measure(
    auditor: str, audits: Sequence[Audit], claims: Mapping[int, StoredClaim], rng: np.random.Generator
) -> AuditFigures:
    unreadable = measure_rate((claims[audit.claim].image_set, audit.says_yes is None) for audit in audits)
    assert unreadable is not None
    said: dict[str, dict[int, bool]] = {}
    for audit in audits:
        if audit.says_yes is not None:
            said.setdefault(audit.question, {})[audit.claim] = audit.says_yes
    labels = said.get(LABEL.name, {})

    def agree(numbers: Iterable[int], answers: Mapping[int, bool] = labels) -> Rate | None:
        return measure_rate((claims[n].image_set, answers[n] == claims[n].claim.is_true) for n in numbers)

    def affirm(question: str) -> Rate | None:
        return measure_rate((claims[n].image_set, yes) for n, yes in said.get(question, {}).items())

    ratings = [(claims[n].claim.is_true, yes) for n, yes in labels.items()]
    kinds = sorted({claims[n].kind for n in labels})
    by_kind = {kind: agree(n for n in labels if claims[n].kind == kind) for kind in kinds}
    blind = said.get(BLIND.name, {})
    return AuditFigures(
        auditor=auditor,
        label=agree(labels),
        label_of_true=agree(n for n in labels if claims[n].claim.is_true),
        label_of_false=agree(n for n in labels if not claims[n].claim.is_true),
        label_by_kind={kind: rate for kind, rate in by_kind.items() if rate is not None},
        alpha=nominal_alpha(ratings),
        alpha_interval=bootstrap_alpha_interval(ratings, [claims[n].image_set for n in labels], rng),
        visual=affirm(VISUAL.name),
        answerable=affirm(ANSWERABLE.name),
        blind=agree(blind, blind),
        order=_compare(labels, said.get(NO_YES.name, {}), claims, rng),
        wording=_compare(labels, said.get(TRUE_FALSE.name, {}), claims, rng),
        unreadable=unreadable,
    )


def _compare(
    before: Mapping[int, bool],
    after: Mapping[int, bool],
    claims: Mapping[int, StoredClaim],
    rng: np.random.Generator,
) -> Shift | None:
    """Compare the answers to two ways of asking, on claims that were asked both ways."""
    both = [n for n in before if n in after]
    changed = measure_rate((claims[n].image_set, before[n] != after[n]) for n in both)
    if changed is None:
        return None
    shifts: dict[int, list[int]] = {}
    for n in both:
        shifts.setdefault(claims[n].image_set, []).append(int(after[n]) - int(before[n]))
    # Claims of one image are not independent: images are resampled, each with the mean of its claims.
    means = [float(np.mean(values)) for values in shifts.values()]
    if len(set(means)) < 2:
        return Shift(changed, means[0], None, None)
    low, high = bootstrap_mean_interval(means, rng, resamples=4000)
    return Shift(changed, float(np.mean(means)), low, high)
