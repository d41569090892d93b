"""All that is known of how good a store's claims are, and how it is said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vapo.claims.quality.audits import AuditFigures, Shift, measure_audits
from vapo.claims.quality.rates import Rate, measure_rate
from vapo.claims.quality.reviews import ErrorFigures, ReviewerAgreement, measure_errors, measure_reviewer_agreement
from vapo.claims.quality.wording import BlindTest, measure_wording
from vapo.claims.store.annotations import read_annotations
from vapo.claims.store.audits import read_audits
from vapo.claims.store.claims import StoredClaim, list_claims
from vapo.claims.store.store import Store


@dataclass(frozen=True, slots=True)
class Balance:
    """Shares of true claims.

    Attributes:
        num_images: images, or what else claims are about together.
        true: true claims among all; None if there are no claims.
        num_even: images of whose claims half are true; an odd number may have one more of either.
        by_kind: true claims among those of a kind.
        contradicted: texts that are said to be true and false of one image.
    """

    num_images: int
    true: Rate | None
    num_even: int
    by_kind: Mapping[str, Rate]
    contradicted: int


def measure_balance(claims: Sequence[StoredClaim]) -> Balance:
    """Measure how claims that are kept are balanced."""
    labels: dict[int, list[bool]] = {}
    truths: dict[tuple[int, str], set[bool]] = {}
    kinds: dict[str, list[tuple[int, bool]]] = {}
    for stored in claims:
        labels.setdefault(stored.image_set, []).append(stored.claim.is_true)
        truths.setdefault((stored.image_set, stored.claim.text), set()).add(stored.claim.is_true)
        kinds.setdefault(stored.kind, []).append((stored.image_set, stored.claim.is_true))
    rates = {kind: measure_rate(outcomes) for kind, outcomes in sorted(kinds.items())}
    return Balance(
        num_images=len(labels),
        true=measure_rate((stored.image_set, stored.claim.is_true) for stored in claims),
        num_even=sum(abs(2 * sum(own) - len(own)) <= 1 for own in labels.values()),
        by_kind={kind: rate for kind, rate in rates.items() if rate is not None},
        contradicted=sum(len(both) > 1 for both in truths.values()),
    )


_SEED = 0  # of resampling and of the blind test's folds: the same store always gives the same figures


@dataclass(frozen=True, slots=True)
class Quality:
    """What is known of the claims that are kept."""

    balance: Balance
    wording: BlindTest | None
    audits: tuple[AuditFigures, ...]
    errors: ErrorFigures
    reviewers: ReviewerAgreement | None


def measure_quality(store: Store) -> Quality:
    """Measure how good a store's claims are, as far as it was looked into; about 2 s for 40,000 claims."""
    claims = list_claims(store)
    by_number = {stored.id: stored for stored in claims}
    image_set_of = {stored.id: stored.image_set for stored in claims}
    annotations = {claim: given for claim, given in read_annotations(store).items() if claim in by_number}
    rng = np.random.default_rng(_SEED)
    return Quality(
        balance=measure_balance(claims),
        wording=measure_wording([stored.claim for stored in claims], list(image_set_of.values()), seed=_SEED),
        audits=tuple(measure_audits(read_audits(store), by_number, rng)),
        errors=measure_errors(annotations, image_set_of),
        reviewers=measure_reviewer_agreement(annotations, image_set_of, rng),
    )


def describe_quality(quality: Quality) -> list[tuple[str, str]]:
    """Say what is known, as names and figures; brackets hold 95 % intervals."""
    return [
        *_describe_balance(quality.balance),
        *_describe_wording(quality.wording),
        *(fact for figures in quality.audits for fact in _describe_audit(figures)),
        *_describe_reviews(quality.errors, quality.reviewers),
    ]


def format_quality(quality: Quality) -> str:
    """Write what is known as lines of text for a terminal."""
    return "\n".join(f"{name:<28} {figure}" for name, figure in describe_quality(quality))


def _describe_balance(balance: Balance) -> Iterator[tuple[str, str]]:
    if balance.true is None:
        yield "claims", "none"
        return
    yield "claims", f"{balance.true.total} about {balance.num_images} images"
    yield "true claims", f"{balance.true.value:.1%}; as many as false ones about {balance.num_even} images"
    yield from _describe_kinds("true, by kind", balance.by_kind)
    if balance.contradicted:
        yield "contradictions", f"{balance.contradicted} texts are said to be true and false of one image"


def _describe_wording(wording: BlindTest | None) -> Iterator[tuple[str, str]]:
    if wording is None:
        yield "told by wording alone", "not measured: there are too few images, or all claims have one truth"
        return
    verdict = "the wording gives the truth away" if wording.gives_away else "guessing is 50%"
    bounds = f"[{100 * wording.low:.1f}, {100 * wording.high:.1f}]"
    yield "told by wording alone", f"{wording.accuracy:.1%} {bounds} of {wording.num_claims}; {verdict}"
    for tell in wording.tells:
        yield "  a tell", f"“{tell.words}” stands in {tell.num_claims} claims, of which {tell.num_true} are true"
    if wording.longer_is_true is not None:
        rate, low, high = wording.longer_is_true
        if not low <= 0.5 <= high:
            means = f"{wording.words_if_true:.1f} words if true, {wording.words_if_false:.1f} if false"
            share = f"{rate:.1%} [{100 * low:.1f}, {100 * high:.1f}]"
            yield "  a tell", f"the longer of two claims is the true one in {share}; {means}"


def _describe_audit(figures: AuditFigures) -> Iterator[tuple[str, str]]:
    yield "audited by", figures.auditor
    if figures.label is not None:
        yield "  agrees with the label", f"{figures.label}{_describe_alpha(figures.alpha, figures.alpha_interval)}"
        yield (
            "    of true and false claims",
            " and ".join(
                f"{rate.value:.1%}" if rate is not None else "-"
                for rate in (figures.label_of_true, figures.label_of_false)
            ),
        )
        yield from _describe_kinds("    by kind", figures.label_by_kind)
    for name, rate in (("  needs the image", figures.visual), ("  the image decides it", figures.answerable)):
        if rate is not None:
            yield name, str(rate)
    if figures.blind is not None:
        yield "  told without the image", f"{figures.blind}; guessing is 50%"
    for name, shift in (("  asked (no/yes)", figures.order), ("  asked (true/false)", figures.wording)):
        if shift is not None:
            yield name, _describe_shift(shift)
    if figures.unreadable.count:
        yield "  neither yes nor no", f"{figures.unreadable.count} of {figures.unreadable.total} answers"


def _describe_shift(shift: Shift) -> str:
    bounds = "" if shift.low is None or shift.high is None else f" [{100 * shift.low:+.1f}, {100 * shift.high:+.1f}]"
    return f"{100 * shift.mean:+.1f}{bounds} points more often yes; {shift.changed.value:.1%} of answers change"


def _describe_reviews(errors: ErrorFigures, reviewers: ReviewerAgreement | None) -> Iterator[tuple[str, str]]:
    if errors.num_claims == 0:
        yield "reviewed", "nothing yet; see `vapo claims review`"
        return
    counts = f"{errors.right} right, {errors.wrong} wrong, {errors.unclear} unclear, {errors.disputed} disputed"
    yield "reviewed", f"{errors.num_claims} claims: {counts}"
    if errors.rate is not None:
        yield "  wrong labels", str(errors.rate)
    if reviewers is not None:
        names = ", ".join(reviewers.reviewers)
        yield "  reviewers agree", f"{reviewers.same} ({names}){_describe_alpha(reviewers.alpha, reviewers.interval)}"


def _describe_alpha(alpha: float | None, interval: tuple[float, float] | None) -> str:
    if alpha is None:
        return ""
    bounds = "" if interval is None else f" [{interval[0]:.2f}, {interval[1]:.2f}]"
    return f"; alpha {alpha:.2f}{bounds}"


def _describe_kinds(name: str, by_kind: Mapping[str, Rate]) -> Iterator[tuple[str, str]]:
    if len(by_kind) > 1:
        yield name, ", ".join(f"{kind} {rate.value:.1%} of {rate.total}" for kind, rate in by_kind.items())
