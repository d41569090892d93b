"""Sum up what was found on all questions of one model, with intervals over questions.

Every number is a mean over questions of the question's own mean: what is measured several times on one response is not
independent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

import numpy as np

from vapo.diagnosis.conclusion import phrase_conclusion
from vapo.diagnosis.error_causes import CATEGORIES, count_confusion, list_agreements
from vapo.diagnosis.estimates import Estimate, estimate_difference, estimate_mean, estimate_rate, estimate_share
from vapo.diagnosis.findings import (
    CategoryShare,
    ModelFindings,
    Point,
    QuestionFindings,
    Remedy,
    RemedyEffect,
)
from vapo.diagnosis.image_sensitivity import dependent_share
from vapo.diagnosis.protocols import ROW_PROTOCOLS
from vapo.diagnosis.question_measures import (
    claims_right,
    early_area,
    early_right,
    false_claims_right,
    p_label,
    true_claims_right,
    yes_rate,
)
from vapo.diagnosis.recovery import find_fixed_cut, summarise_recovery
from vapo.diagnosis.settings import DiagnosisSettings
from vapo.errors import ModelError
from vapo.models.diagnosed_model import View

Curve = tuple[Point, ...]


def summarise_model(name: str, questions: Sequence[QuestionFindings], settings: DiagnosisSettings) -> ModelFindings:
    """Sum up one model's findings; questions without a response enter no number.

    Raises:
        ModelError: no question has a response.
    """
    answered = [question for question in questions if question.token_texts]
    if not answered:
        why = next((note for question in questions for note in question.notes), "there are no questions")
        raise ModelError(f"{name} wrote a response for none of the {len(questions)} questions: {why}")
    seed, images = settings.seed, [question.image for question in answered]
    early = [question for question in answered if question.early is not None]
    attended = [question for question in answered if question.attention is not None]
    sensed = [question for question in answered if question.sensitivity and question.sensitivity.by_token]
    shares = [
        dependent_share(question.sensitivity, settings.dependence_threshold)
        for question in sensed
        if question.sensitivity is not None
    ]
    agreements = list_agreements(answered)
    findings = ModelFindings(
        name=name,
        conclusion=(),
        accuracy=estimate_rate([question.right for question in answered], images),
        num_tokens=estimate_mean(
            [len(question.token_texts) for question in answered], seed=seed, name="num_tokens", images=images
        ),
        early=_draw_early(early) if early else None,
        recovery=summarise_recovery(answered, seed=seed),
        perception=_draw_perception(answered, settings, "accuracy", claims_right),
        p_label=_draw_perception(answered, settings, "P(label)", p_label),
        attention_by_step=_draw_steps(attended, settings) if attended else None,
        attention_by_depth=draw_bins(attended, settings, "attention") if attended else None,
        attention_by_head=_average_heads(attended) if attended else None,
        sensitivity=draw_bins(sensed, settings, "sensitivity") if sensed else None,
        dependent_share=estimate_share(
            shares, seed=seed, name="dependent tokens", images=[question.image for question in sensed]
        )
        if shares
        else None,
        dependence_threshold=settings.dependence_threshold,
        remedies=_compare_remedies(answered, seed),
        categories=_count_categories(answered),
        confusion=count_confusion(answered),
        judge_agreement=estimate_rate([same for same, _ in agreements], [image for _, image in agreements])
        if agreements
        else None,
        questions=tuple(questions),
        yes_rate=_draw_perception(answered, settings, "yes", yes_rate),
        accuracy_true=_draw_perception(answered, settings, "accuracy on true claims", true_claims_right),
        accuracy_false=_draw_perception(answered, settings, "accuracy on false claims", false_claims_right),
        early_area=_estimate_early_area(early, seed),
        numbers={
            measure: number
            for name, protocol in ROW_PROTOCOLS.items()
            if any(name in question.rows for question in answered)
            for measure, number in protocol.sum_up(answered, settings).items()
        },
    )
    return phrase_conclusion(findings, seed=seed)


def draw_bins(questions: Sequence[QuestionFindings], settings: DiagnosisSettings, what: str) -> Curve:
    """Average "attention" or "sensitivity" of the thinking part's tokens over equal stretches of its depth."""
    binned = [(question.image, bin_tokens(question, settings.num_bins, what)) for question in questions]
    points: list[Point] = []
    for number in range(settings.num_bins):
        own = [(image, bins[number]) for image, bins in binned if bins[number]]
        if own:
            middle, images = (number + 0.5) / settings.num_bins, [image for image, _ in own]
            values = [sum(tokens) / len(tokens) for _, tokens in own]
            name = f"{what} {middle:.6f}"
            points.append(Point(middle, estimate_mean(values, seed=settings.seed, name=name, images=images)))
    return tuple(points)


def bin_tokens(question: QuestionFindings, num_bins: int, what: str) -> list[list[float]]:
    """Sort the values of the thinking part's tokens into equal stretches of its depth, each token at its middle."""
    source = question.attention if what == "attention" else question.sensitivity
    values = source.by_token if source is not None else ()
    start, stop = question.thinking
    bins: list[list[float]] = [[] for _ in range(num_bins)]
    for token in range(start, min(stop, len(values))):
        bins[int((token - start + 0.5) / (stop - start) * num_bins)].append(values[token])
    return bins


def _draw_early(questions: Sequence[QuestionFindings]) -> Curve:
    outcomes: dict[float, list[tuple[bool, str]]] = {}
    for question in questions:
        for cut in question.early or ():
            outcomes.setdefault(cut.depth, []).append((cut.right, question.image))
    return tuple(
        Point(depth, estimate_rate([right for right, _ in own], [image for _, image in own]))
        for depth, own in sorted(outcomes.items())
    )


def _estimate_early_area(questions: Sequence[QuestionFindings], seed: int) -> Estimate | None:
    areas = [(area, question.image) for question in questions if (area := early_area(question)) is not None]
    if not areas:
        return None
    values, images = zip(*areas, strict=True)
    return estimate_share(values, seed=seed, name="early area", images=images)


def _draw_perception(
    questions: Sequence[QuestionFindings],
    settings: DiagnosisSettings,
    what: str,
    measure: Callable[[QuestionFindings, View, float], float | None],
) -> dict[View, Curve] | None:
    asked = {(claim.view, claim.depth) for question in questions for claim in question.probed or ()}
    curves: dict[View, Curve] = {}
    for view in settings.views:
        points: list[Point] = []
        for depth in sorted(depth for own, depth in asked if own == view):
            measured = [(question.image, measure(question, view, depth)) for question in questions]
            values = [value for _, value in measured if value is not None]
            images = [image for image, value in measured if value is not None]
            name = f"{what} {view} {depth}"
            if values:
                points.append(Point(depth, estimate_share(values, seed=settings.seed, name=name, images=images)))
        if points:
            curves[view] = tuple(points)
    return curves or None


def _draw_steps(questions: Sequence[QuestionFindings], settings: DiagnosisSettings) -> Curve:
    rows = [(q.image, q.attention.by_token[: settings.first_tokens]) for q in questions if q.attention]
    points: list[Point] = []
    for step in range(max((len(row) for _, row in rows), default=0)):
        values, images = zip(*((row[step], image) for image, row in rows if len(row) > step), strict=True)
        name = f"attention step {step}"
        points.append(Point(step + 1, estimate_mean(values, seed=settings.seed, name=name, images=images)))
    return tuple(points)


def _average_heads(questions: Sequence[QuestionFindings]) -> tuple[tuple[float, ...], ...] | None:
    heads = [question.attention.by_head for question in questions if question.attention and question.attention.by_head]
    if not heads:
        return None
    return tuple(tuple(map(float, layer)) for layer in np.mean(np.asarray(heads), axis=0))


def _compare_remedies(questions: Sequence[QuestionFindings], seed: int) -> tuple[RemedyEffect, ...] | None:
    """Compare remedies on the questions that all of them were tried on."""
    all_ways = [(q.image, {way.remedy: way for way in q.remedied}) for q in questions if q.remedied]
    names = [name for name in get_args(Remedy) if any(name in ways for _, ways in all_ways)]
    tried = [ways for _, ways in all_ways if all(name in ways for name in names)]
    images = [image for image, ways in all_ways if all(name in ways for name in names)]
    if len(names) < 2 or not tried:
        return None
    effects: list[RemedyEffect] = []
    for name in names:
        gains = [float(ways[name].right) - float(ways["none"].right) for ways in tried]
        attended = [
            (share, image)
            for ways, image in zip(tried, images, strict=True)
            if (share := ways[name].attention) is not None
        ]
        shares, seen = [share for share, _ in attended], [image for _, image in attended]
        effects.append(
            RemedyEffect(
                remedy=name,
                accuracy=estimate_rate([ways[name].right for ways in tried], images),
                gain=estimate_difference(gains, seed=seed, name=f"gain {name}", images=images, most=1.0)
                if name != "none"
                else None,
                attention=estimate_mean(shares, seed=seed, name=f"attention {name}", images=seen) if shares else None,
            )
        )
    return tuple(effects)


def _count_categories(questions: Sequence[QuestionFindings]) -> tuple[CategoryShare, ...] | None:
    """Share out the errors whose cause is known; of each kind, how many are right at the fixed cut."""
    errors = [question for question in questions if question.cause is not None and question.cause.category is not None]
    if not errors:
        return None
    stop = find_fixed_cut(questions)
    shares: list[CategoryShare] = []
    for category in CATEGORIES:
        own = [question for question in errors if question.cause and question.cause.category == category]
        stopped = [
            (right == 1, question.image)
            for question in own
            if stop is not None and (right := early_right(question, stop)) is not None
        ]
        shares.append(
            CategoryShare(
                category=category,
                share=estimate_rate(
                    [q.cause is not None and q.cause.category == category for q in errors], [q.image for q in errors]
                ),
                recoverable=estimate_rate([right for right, _ in stopped], [image for _, image in stopped])
                if stopped
                else None,
            )
        )
    return tuple(shares)
