"""The conclusion: what the numbers of one model come to, in sentences, chosen from the intervals by fixed rules.

What the image helps at a depth is the paired difference "claims judged right with the image less without":

- it helps, if the whole 95 % interval is above 0;
- it helps by less than `MARGIN`, if at all, if the interval includes 0 (or is below) and ends below `MARGIN`;
- nothing can be said otherwise, or with fewer than `FEWEST` questions.

"From d on" needs every depth from d to the end. That it helps less at the end than before the response, which is
forgetting, is said only if the paired difference of the two is clear. Of models that do not forget, simulated with 0
to 40 points of constant help, 1.5 % of reports say that they do (`tests/diagnosis/test_conclusion.py`).

A change is named as one only if its interval leaves out 0. Intervals are for each sentence alone: of many sentences,
one in twenty may be chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from vapo.diagnosis.estimate_words import (
    FEWEST,
    format_p_value,
    format_percent,
    format_points,
    is_clear,
    write_depth,
    write_percent,
)
from vapo.diagnosis.estimates import Estimate, estimate_difference
from vapo.diagnosis.findings import ModelFindings, QuestionFindings
from vapo.diagnosis.protocols import ROW_PROTOCOLS
from vapo.diagnosis.question_measures import (
    Measure,
    attention_in,
    claims_right,
    early_right,
    false_claims_right,
    image_gain,
    sensitivity_in,
    true_claims_right,
    yes_rate,
)

MARGIN = 0.1
"""A difference below this counts as none: 10 points."""

_ImageUse = Literal["sees", "blind", "unclear"]


def phrase_conclusion(model: ModelFindings, *, seed: int) -> ModelFindings:
    """Return the findings with their conclusion: seeing first, then a sentence per protocol that was run."""
    sentences = [
        _phrase_perception(model, seed),
        _phrase_fading(model, seed),
        _phrase_yes_rate(model),
        _phrase_early(model, seed),
        _phrase_recovery(model),
        _phrase_attention(model, seed),
        _phrase_sensitivity(model, seed),
        *_phrase_remedies(model),
        _phrase_causes(model),
        *(sentence for protocol in ROW_PROTOCOLS.values() for sentence in protocol.phrase(model.numbers)),
    ]
    said = tuple(sentence for sentence in sentences if sentence)
    return replace(model, conclusion=said or (f"{format_percent(model.accuracy)} of the answers are right.",))


def _phrase_perception(model: ModelFindings, seed: int) -> str:
    if model.perception is None or "image" not in model.perception or len(model.perception) < 2:
        return ""
    depths = [point.at for point in model.perception["image"]]
    gains = {
        depth: _pair(model.questions, lambda q, d=depth: image_gain(q, d), seed, f"sight {depth}") for depth in depths
    }
    first, last = depths[0], depths[-1]
    if (at_end := gains[last]) is None:
        return ""
    if at_end.num_questions < FEWEST:
        return (
            f"Claims were asked on {at_end.num_questions} questions only: too few to say whether this model still "
            "sees the image along its response."
        )
    helps = "helps this model with claims"
    margin = f"{100 * MARGIN:.0f} points"
    states: dict[float, _ImageUse] = {depth: _judge_image_use(gain) for depth, gain in gains.items()}
    numbers = f"at the end {format_points(at_end)}, before the response {format_points(gains[first])}"
    if all(state == "blind" for state in states.values()):
        return (
            f"At no depth, before its response or along it, does the image help this model with claims by {margin}: "
            f"{numbers}."
        )
    if all(state != "sees" for state in states.values()):
        return f"At no depth can it be told whether the image {helps}: {numbers}."
    if _forgets(model, first, last, seed):
        if states[last] == "sees":
            return f"To the end of its response the image {helps}, but less than before it: {numbers}."
        blind_from = _find_run(depths, states, "blind")
        if blind_from is None:
            return f"At the end of its response the image {helps} less than before it, if at all: {numbers}."
        where = f"From {write_depth(blind_from)} of the response on"
        return f"{where}, the image {helps} by less than {margin}, if at all: {numbers}."
    if states[last] == "sees":
        return f"To the end of its response the image {helps}: {numbers}."
    return f"Whether the image {helps} as much at the end of its response as before it cannot be told: {numbers}."


def _forgets(model: ModelFindings, first: float, last: float, seed: int) -> bool:
    """Return whether the image clearly helps less at the last depth than at the first, question by question."""

    def rise(question: QuestionFindings) -> float | None:
        before, after = image_gain(question, first), image_gain(question, last)
        return after - before if before is not None and after is not None else None

    change = _pair(model.questions, rise, seed, "sight last minus first", most=2.0)
    return change is not None and change.value < 0 and is_clear(change)


def _judge_image_use(gain: Estimate | None) -> _ImageUse:
    if gain is None or gain.num_questions < FEWEST:
        return "unclear"
    if gain.low is None or gain.high is None:  # the same difference on every question
        return "sees" if gain.value > 0 else "blind"
    if gain.low > 0:
        return "sees"
    return "blind" if gain.high < MARGIN else "unclear"


def _find_run(depths: Sequence[float], states: dict[float, _ImageUse], state: _ImageUse) -> float | None:
    """Return the first depth from which on every one has a state."""
    found = None
    for depth in reversed(depths):
        if states[depth] != state:
            break
        found = depth
    return found


def _phrase_fading(model: ModelFindings, seed: int) -> str:
    if model.perception is None or "image" not in model.perception:
        return ""
    first, last = model.perception["image"][0], model.perception["image"][-1]
    if first.at == last.at:
        return ""

    def fall(question: QuestionFindings) -> float | None:
        before, after = (claims_right(question, "image", depth) for depth in (first.at, last.at))
        return after - before if before is not None and after is not None else None

    change = _pair(model.questions, fall, seed, "claims last minus first")
    if change is None or change.num_questions < FEWEST:
        return ""
    numbers = f"{format_percent(first.estimate)} before the response, {format_percent(last.estimate)} at its end"
    return f"Claims judged right with the image: {numbers} ({format_points(change)}){format_p_value(change)}."


def _phrase_yes_rate(model: ModelFindings) -> str:
    """Say how often it answers "yes": one that always does judges the true claims right without looking."""
    shares: list[float] = []
    for measure in (yes_rate, true_claims_right, false_claims_right):
        values = [value for q in model.questions if (value := measure(q, "image")) is not None]
        if len(values) < FEWEST:
            return ""
        shares.append(sum(values) / len(values))
    yes, true, false = map(write_percent, shares)
    return (
        f'Along its response it answers "yes" to {yes} of the claims with the image: {true} of the true ones are '
        f"judged right, {false} of the false ones."
    )


def _phrase_early(model: ModelFindings, seed: int) -> str:
    if not model.early or len(model.early) < 2:
        return ""
    first, last = model.early[0], model.early[-1]

    def gain(question: QuestionFindings) -> float | None:
        before, after = (early_right(question, depth) for depth in (first.at, last.at))
        return after - before if before is not None and after is not None else None

    change = _pair(model.questions, gain, seed, "full minus direct")
    if change is None or change.num_questions < FEWEST:
        return ""
    text = (
        f"Reasoning to the end gets {format_percent(last.estimate)} of the answers right, answering at once "
        f"{format_percent(first.estimate)} ({format_points(change)}){format_p_value(change)}"
    )
    best = max(model.early, key=lambda point: point.estimate.value)
    if best.estimate.value > last.estimate.value:
        text += (
            f"; the best cut, at {write_depth(best.at)}, gets {format_percent(best.estimate)}, but it was picked from "
            "these same answers"
        )
    return f"{text}."


def _phrase_recovery(model: ModelFindings) -> str:
    if (found := model.recovery) is None:
        return ""
    where = f"stopped at {write_depth(found.cut)} of the response"
    text = f"Of {found.avoided.num_questions} errors, {format_percent(found.avoided)} are right if {where}"
    if found.lost is not None:
        text += f"; of {found.lost.num_questions} right answers, {format_percent(found.lost)} are wrong there"
    change = f"{format_points(found.change)}{format_p_value(found.change)}"
    return f"{text}. In all, stopping there changes accuracy by {change}."


def _phrase_attention(model: ModelFindings, seed: int) -> str:
    return _phrase_change(model, attention_in, seed, "The share of attention on the image", write_percent)


def _phrase_sensitivity(model: ModelFindings, seed: int) -> str:
    text = _phrase_change(
        model, sensitivity_in, seed, "What masking the image changes in a token", lambda value: f"{value:.3g} nats"
    )
    if model.dependent_share is not None:
        text = f"{format_percent(model.dependent_share)} of the tokens depend on the image. {text}".strip()
    return text


def _phrase_change(
    model: ModelFindings,
    measure: Callable[[QuestionFindings, float, float], float | None],
    seed: int,
    subject: str,
    write: Callable[[float], str],
) -> str:
    """Compare the first and the last fifth of the thinking part."""
    pairs = [(measure(question, 0, 0.2), measure(question, 0.8, 1.01)) for question in model.questions]
    both = [(first, last) for first, last in pairs if first is not None and last is not None]
    images = [q.image for q, (first, last) in zip(model.questions, pairs, strict=True) if None not in (first, last)]
    if len(both) < FEWEST:
        return ""
    change = estimate_difference([last - first for first, last in both], seed=seed, name=subject, images=images)
    first, last = (sum(values) / len(both) for values in zip(*both, strict=True))
    if not is_clear(change):
        return f"{subject} does not change clearly: first fifth of the response {write(first)}, last {write(last)}."
    way = "falls" if change.value < 0 else "rises"
    return f"{subject} {way} from {write(first)} in the first fifth of the response to {write(last)} in the last."


def _phrase_remedies(model: ModelFindings) -> list[str]:
    names = {"replay": "Showing the image again", "focus": "A reminder to look"}
    sentences: list[str] = []
    for effect in model.remedies or ():
        if effect.gain is None or effect.gain.num_questions < FEWEST:
            continue
        change = f"{format_points(effect.gain)}{format_p_value(effect.gain)}"
        sentences.append(f"{names[effect.remedy]} changes accuracy by {change}.")
    return sentences


def _phrase_causes(model: ModelFindings) -> str:
    if not model.categories:
        return ""
    parts = [f"{format_percent(one.share)} {one.category}" for one in model.categories if one.share.value > 0]
    return f"Causes of {model.categories[0].share.num_questions} errors: {', '.join(parts)}."


def _pair(
    questions: Sequence[QuestionFindings], measure: Measure, seed: int, name: str, most: float = 1.0
) -> Estimate | None:
    found = [(question.image, value) for question in questions if (value := measure(question)) is not None]
    values, images = [value for _, value in found], [image for image, _ in found]
    return estimate_difference(values, seed=seed, name=name, images=images, most=most) if values else None
