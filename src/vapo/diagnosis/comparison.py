"""Compare models question by question: each number of a model less the first model's on the same questions."""

from __future__ import annotations

from collections.abc import Sequence

from vapo.diagnosis.estimate_words import write_depth
from vapo.diagnosis.estimates import estimate_difference
from vapo.diagnosis.findings import ModelFindings, PairedDifference, QuestionFindings
from vapo.diagnosis.image_sensitivity import dependent_share
from vapo.diagnosis.protocols import ROW_PROTOCOLS
from vapo.diagnosis.question_measures import Measure, attention_in, claims_right, early_area, early_right, image_gain
from vapo.diagnosis.recovery import find_fixed_cut


def compare_models(models: Sequence[ModelFindings], *, seed: int) -> tuple[PairedDifference, ...]:
    """Compare every model with the first.

    Args:
        models: in the order of the report; the same questions were put to all.
        seed: of the resampling.

    Returns:
        One difference per model and measure, over the questions on which both models have the measure.
    """
    first, *others = models
    measures = list_measures(first)
    found: list[PairedDifference] = []
    for other in others:
        mine = {question.digest: question for question in other.questions}
        for name, measure in measures.items():
            differences: list[float] = []
            images: list[str] = []
            for question in first.questions:
                before, after = measure(question), measure(mine[question.digest])
                if before is not None and after is not None:
                    differences.append(after - before)
                    images.append(question.image)
            if differences:
                difference = estimate_difference(differences, seed=seed, name=f"difference {name}", images=images)
                found.append(PairedDifference(other.name, name, difference))
    return tuple(found)


def list_measures(model: ModelFindings) -> dict[str, Measure]:
    """Return what is compared by question, by name; places and thresholds are those of `model`, the first."""
    last = model.perception["image"][-1].at if model.perception and "image" in model.perception else 1.0
    threshold = model.dependence_threshold
    cut = find_fixed_cut(model.questions)
    stopped: dict[str, Measure] = {}
    if cut:  # at 0 it is the answer without reasoning
        stopped[f"right answers, stopped at {write_depth(cut)}"] = lambda q: early_right(q, cut)

    def depends(question: QuestionFindings) -> float | None:
        own = question.sensitivity
        return dependent_share(own, threshold) if own is not None and own.by_token else None

    def remedied(question: QuestionFindings, name: str) -> float | None:
        return next((float(way.right) for way in question.remedied or () if way.remedy == name), None)

    return {
        "right answers": lambda q: float(q.right) if q.token_texts else None,
        "right answers without reasoning": lambda q: early_right(q, 0.0),
        **stopped,
        "right answers, mean over cuts": early_area,
        "claims judged right before the response": lambda q: claims_right(q, "image", 0.0),
        "claims judged right along the response": lambda q: claims_right(q, "image"),
        "claims judged right at the end": lambda q: claims_right(q, "image", last),
        "claims judged better with the image, at the end": lambda q: image_gain(q, last),
        "attention on the image": lambda q: attention_in(q, 0, 1.01),
        "attention on the image, last fifth": lambda q: attention_in(q, 0.8, 1.01),
        "share of the response that depends on the image": depends,
        "right answers with visual replay": lambda q: remedied(q, "replay"),
        "right answers with a focus prompt": lambda q: remedied(q, "focus"),
        **{name: own for protocol in ROW_PROTOCOLS.values() for name, own in protocol.measures.items()},
        "response length, tokens": lambda q: float(len(q.token_texts)) if q.token_texts else None,
    }
