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
from vapo.diagnosis.estimates import estimate_mean, estimate_rate, estimate_share
from vapo.diagnosis.findings import (
    CategoryShare,
    ModelFindings,
    Point,
    QuestionFindings,
    Remedy,
    RemedyEffect,
)
from vapo.diagnosis.image_sensitivity import dependent_share
from vapo.diagnosis.question_measures import claims_right, p_label
from vapo.diagnosis.recovery import is_recoverable, summarise_recovery
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
    seed = settings.seed
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
        accuracy=estimate_rate([question.right for question in answered]),
        num_tokens=estimate_mean([len(question.token_texts) for question in answered], seed=seed, name="num_tokens"),
        early=_draw_early(early) if early else None,
        recovery=summarise_recovery(answered, seed=seed),
        perception=_draw_perception(answered, settings, "accuracy", claims_right),
        p_label=_draw_perception(answered, settings, "P(label)", p_label),
        attention_by_step=_draw_steps(attended, settings) if attended else None,
        attention_by_depth=draw_bins(attended, settings, "attention") if attended else None,
        attention_by_head=_average_heads(attended) if attended else None,
        sensitivity=draw_bins(sensed, settings, "sensitivity") if sensed else None,
        dependent_share=estimate_share(shares, seed=seed, name="dependent tokens") if shares else None,
        dependence_threshold=settings.dependence_threshold,
        remedies=_compare_remedies(answered, seed),
        categories=_count_categories(answered),
        confusion=count_confusion(answered),
        judge_agreement=estimate_rate(agreements) if agreements else None,
        questions=tuple(questions),
    )
    return phrase_conclusion(findings, seed=seed)


def draw_bins(questions: Sequence[QuestionFindings], settings: DiagnosisSettings, what: str) -> Curve:
    """Average "attention" or "sensitivity" of the thinking part's tokens over equal stretches of its depth."""
    per_bin: list[list[float]] = [[] for _ in range(settings.num_bins)]
    for question in questions:
        for own, values in zip(per_bin, bin_tokens(question, settings.num_bins, what), strict=True):
            if values:
                own.append(sum(values) / len(values))
    middles = [(number + 0.5) / settings.num_bins for number in range(settings.num_bins)]
    return tuple(
        Point(middle, estimate_mean(values, seed=settings.seed, name=f"{what} {middle:.6f}"))
        for middle, values in zip(middles, per_bin, strict=True)
        if values
    )


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
    outcomes: dict[float, list[bool]] = {}
    for cut in (cut for question in questions for cut in question.early or ()):
        outcomes.setdefault(cut.depth, []).append(cut.right)
    return tuple(Point(depth, estimate_rate(outcomes[depth])) for depth in sorted(outcomes))


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
            values = [value for question in questions if (value := measure(question, view, depth)) is not None]
            points.append(Point(depth, estimate_share(values, seed=settings.seed, name=f"{what} {view} {depth}")))
        if points:
            curves[view] = tuple(points)
    return curves or None


def _draw_steps(questions: Sequence[QuestionFindings], settings: DiagnosisSettings) -> Curve:
    rows = [question.attention.by_token[: settings.first_tokens] for question in questions if question.attention]
    points: list[Point] = []
    for step in range(max(map(len, rows), default=0)):
        values = [row[step] for row in rows if len(row) > step]
        points.append(Point(step + 1, estimate_mean(values, seed=settings.seed, name=f"attention step {step}")))
    return tuple(points)


def _average_heads(questions: Sequence[QuestionFindings]) -> tuple[tuple[float, ...], ...] | None:
    heads = [question.attention.by_head for question in questions if question.attention and question.attention.by_head]
    if not heads:
        return None
    return tuple(tuple(map(float, layer)) for layer in np.mean(np.asarray(heads), axis=0))


def _compare_remedies(questions: Sequence[QuestionFindings], seed: int) -> tuple[RemedyEffect, ...] | None:
    """Compare remedies on the questions that all of them were tried on."""
    tried = [{way.remedy: way for way in question.remedied} for question in questions if question.remedied]
    names = [name for name in get_args(Remedy) if any(name in ways for ways in tried)]
    tried = [ways for ways in tried if all(name in ways for name in names)]
    if len(names) < 2 or not tried:
        return None
    effects: list[RemedyEffect] = []
    for name in names:
        gains = [float(ways[name].right) - float(ways["none"].right) for ways in tried]
        shares = [share for ways in tried if (share := ways[name].attention) is not None]
        effects.append(
            RemedyEffect(
                remedy=name,
                accuracy=estimate_rate([ways[name].right for ways in tried]),
                gain=estimate_mean(gains, seed=seed, name=f"gain {name}") if name != "none" else None,
                attention=estimate_mean(shares, seed=seed, name=f"attention {name}") if shares else None,
            )
        )
    return tuple(effects)


def _count_categories(questions: Sequence[QuestionFindings]) -> tuple[CategoryShare, ...] | None:
    """Share out the errors whose cause is known; of each kind, how many an earlier stop would have avoided."""
    errors = [question for question in questions if question.cause is not None and question.cause.category is not None]
    if not errors:
        return None
    shares: list[CategoryShare] = []
    for category in CATEGORIES:
        own = [question for question in errors if question.cause and question.cause.category == category]
        cut = [question for question in own if question.early is not None]
        shares.append(
            CategoryShare(
                category=category,
                share=estimate_rate([q.cause is not None and q.cause.category == category for q in errors]),
                recoverable=estimate_rate([is_recoverable(question) for question in cut]) if cut else None,
            )
        )
    return tuple(shares)
