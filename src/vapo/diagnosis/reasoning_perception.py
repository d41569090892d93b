"""Reasoning against perception: what longer thinking gains in answers, and what it costs in sight of the image.

A finished response is made shorter and longer. Shorter: it is cut at depths 0, 1/m, ..., 1 of its thinking part and
answers behind the closing sentence, as in early decision. Longer: "Wait" is written in place of the end of the
thinking part, and the model writes on and answers; then once more. At each length l, claims about the image are asked
where the thinking ends. With x_l the share of right answers and y_l the share of claims judged right, sorted by x:

    RH-AUC          = sum over l of (x'_{l+1} - x'_l) (y'_l + y'_{l+1}) / 2,    z' = (z - min z) / (max z - min z)
    perception held = sum over l of (x_{l+1} - x_l) (y_l + y_{l+1}) / 2 / (max x - min x)

The first is the paper's number. It is scaled to the model's own worst and best, so it tells how the two are traded and
not how well either is done; it is not had where all x or all y are alike. The second is the mean of the claims judged
right over the range of right answers, and can be compared between models.

Source: arXiv 2505.21523, with its published code (RH-AUC.py of MLRM-Halu) for sorting, scaling and area. There x and y
are scores on two benchmarks, and lengths come of budgets and of steering hidden states; here both are taken on the
same questions and responses. "Wait" after s1 (arXiv 2501.19393). Intervals are ours: all lengths of an image are
resampled together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from vapo.diagnosis.cut_answers import space_text
from vapo.diagnosis.early_decision import decide_early
from vapo.diagnosis.estimate_words import FEWEST, format_percent
from vapo.diagnosis.estimates import RESAMPLES, Estimate, bound_draws, bound_score, estimate_rate, estimate_share
from vapo.diagnosis.findings import Point, QuestionFindings
from vapo.diagnosis.other_images import OtherImages
from vapo.diagnosis.perception_by_depth import draw_balanced_claims, probe_by_depth
from vapo.diagnosis.responses import Response, grade_text
from vapo.diagnosis.row_protocol import Chart, Numbers, RowProtocol
from vapo.diagnosis.settings import DiagnosisSettings
from vapo.models.diagnosed_model import Cut, DiagnosedModel, ReadsSuffixes
from vapo.types import Anchor, Probe, Rollout

_DRAWS = 8  # keeps this generator apart from others with the same seed
_UNDEFINED = 0.05  # share of resamples without an area, beyond which there is no interval
_BOX = re.compile(r"\\f?boxed")


@dataclass(frozen=True, slots=True)
class LengthAt:
    """What a question comes to at one length of thinking, and how its claims are judged there.

    `length` is the depth of the cut, or 1 more than the number of waits; `tokens` are those of the thinking part;
    `claims_right` is the share of `num_claims` that are judged right.
    """

    length: float
    tokens: int
    answer: str | None
    right: bool
    claims_right: float
    num_claims: int


def vary_lengths(
    diagnosed_model: DiagnosedModel,
    responses: Sequence[Response],
    settings: DiagnosisSettings,
    other_images: OtherImages,
) -> list[tuple[LengthAt, ...]]:
    """Answer and ask claims at every length; no rows of a response that was cut off, or has no boundary or claims.

    Args:
        diagnosed_model: a model that can continue from a cut and answers probes.
        responses: any number.
        settings: number of cuts and waits, claims per length, closing sentence, longest answer and addition, seed.
        other_images: not used.
    """
    usable = [n for n, r in enumerate(responses) if r.finished and r.boundaries and r.rollout.sample.claims]
    chosen = [responses[number] for number in usable]
    found: list[tuple[LengthAt, ...]] = [() for _ in responses]
    if not chosen:
        return found
    answered = decide_early(diagnosed_model, chosen, replace(settings, step=100 / settings.num_cuts))
    along = replace(settings, num_depths=settings.num_cuts, depths="even", views=("image",))
    probed = probe_by_depth(diagnosed_model, chosen, along)
    waited = _wait(diagnosed_model, chosen, settings)
    for number, response, early, asked, longer in zip(usable, chosen, answered, probed, waited, strict=True):
        rows: list[LengthAt] = []
        for one in early:
            correct = [claim.correct for claim in asked or () if claim.depth == one.depth]
            tokens = one.index - response.thinking[0]
            share = sum(correct) / len(correct)
            rows.append(LengthAt(one.depth, tokens, one.answer, one.right, share, len(correct)))
        found[number] = (*rows, *longer)
    return found


def _wait(
    diagnosed_model: DiagnosedModel, responses: Sequence[Response], settings: DiagnosisSettings
) -> list[list[LengthAt]]:
    """Return what responses come to after each wait; nothing of a model that reads no text as part of a response."""
    found: list[list[LengthAt]] = [[] for _ in responses]
    if not isinstance(diagnosed_model, ReadsSuffixes):
        return found
    starts = [response.thinking[0] for response in responses]
    ends = [(response.rollout, response.thinking[1]) for response in responses]
    for wait in range(1, settings.num_waits + 1):
        cuts = [
            Cut(rollout, end, text=space_text(rollout, end, settings.wait, start))
            for (rollout, end), start in zip(ends, starts, strict=True)
        ]
        written = diagnosed_model.continue_cuts(cuts, settings.max_completion_tokens)
        answers: list[tuple[str | None, bool]] = []
        ends = []
        for response, cut, text in zip(responses, cuts, written, strict=True):
            thought, answer = _split(text, response, settings.think_tags[1])
            longer = diagnosed_model.read_cut(replace(cut, text=cut.text + thought))
            ends.append((longer, len(longer.completion_ids)))
            answers.append(answer)
        probes = [_ask(rollout, settings) for rollout, _ in ends]
        verdicts = iter(diagnosed_model.score_probes([probe for own in probes for probe in own]))
        for number, (own, answer) in enumerate(zip(probes, answers, strict=True)):
            correct = [next(verdicts).correct for _ in own]
            tokens = ends[number][1] - starts[number]
            found[number].append(LengthAt(1.0 + wait, tokens, *answer, sum(correct) / len(correct), len(correct)))
    return found


def _split(text: str, response: Response, closing_tag: str) -> tuple[str, tuple[str | None, bool]]:
    """Return the thinking part of what was written behind a wait, and its answer; none where it found no end."""
    if not response.tagged:
        return _BOX.split(text, maxsplit=1)[0], grade_text(text, response.rollout.sample, closing_tag)
    thought, tag, behind = text.partition(closing_tag)
    return thought, grade_text(behind, response.rollout.sample, closing_tag) if tag else (None, False)


def _ask(rollout: Rollout, settings: DiagnosisSettings) -> list[Probe]:
    claims = draw_balanced_claims(rollout.sample, settings.claims_per_depth, settings.seed)
    return [Probe(rollout, Anchor(len(rollout.completion_ids), 1.0), claim) for claim in claims]


def measure_area(
    reasoning_RL: NDArray[np.float64], perception_RL: NDArray[np.float64], *, scaled: bool
) -> NDArray[np.float64]:
    """Return the area under perception over reasoning, by trapezoids; NaN where it is not had.

    Args:
        reasoning_RL: right answers at each of L lengths, in R cases.
        perception_RL: claims judged right there.
        scaled: scale both to [0, 1] between their least and greatest, as RH-AUC does; else divide by the range of
            reasoning.

    Returns:
        Shape (R,).
    """
    order = np.argsort(reasoning_RL, axis=1, kind="stable")
    x_RL, y_RL = (np.take_along_axis(values, order, axis=1) for values in (reasoning_RL, perception_RL))
    width_R = x_RL[:, -1] - x_RL[:, 0]
    area_R = (np.diff(x_RL, axis=1) * (y_RL[:, 1:] + y_RL[:, :-1]) / 2).sum(axis=1)
    least_R, height_R = y_RL.min(axis=1), np.ptp(y_RL, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_R = np.where(width_R > 0, area_R / width_R, np.nan)
        return np.where(height_R > 0, (mean_R - least_R) / height_R, np.nan) if scaled else mean_R


def estimate_area(
    right_NL: NDArray[np.float64], claims_NL: NDArray[np.float64], images: Sequence[str], *, scaled: bool, seed: int
) -> Estimate | None:
    """Estimate `measure_area` of means over N questions, whose images are resampled; None where it is not had.

    The interval is the percentile bootstrap's, and of fewer than 100 images Student's over the jackknife's
    pseudo-values; None where too many resamples have no area.
    """
    _, number_N = np.unique(np.asarray(images), return_inverse=True)
    groups = int(number_N.max()) + 1
    counts_G = np.bincount(number_N, minlength=groups).astype(np.float64)
    sums_GL = [np.zeros((groups, right_NL.shape[1])) for _ in range(2)]
    for sums, values in zip(sums_GL, (right_NL, claims_NL), strict=True):
        np.add.at(sums, number_N, values)

    def measure(times_RG: NDArray[np.float64]) -> NDArray[np.float64]:
        counts_R = times_RG @ counts_G
        return measure_area(*(times_RG @ sums / counts_R[:, None] for sums in sums_GL), scaled=scaled)

    value = float(measure(np.ones((1, groups)))[0])
    if np.isnan(value):
        return None
    nothing = Estimate(value, None, None, len(right_NL))
    if groups == 1:
        return nothing
    without_G = measure(1 - np.eye(groups))
    parts_G = (groups - 1) / groups * (value - without_G)
    rng = np.random.default_rng([_DRAWS, seed, crc32(b"scaled" if scaled else b"plain")])
    draws_R = measure(rng.multinomial(groups, np.full(groups, 1 / groups), size=RESAMPLES).astype(np.float64))
    known_R = draws_R[~np.isnan(draws_R)]
    if np.isnan(parts_G).any() or len(known_R) < (1 - _UNDEFINED) * len(draws_R):
        return nothing
    low, high = bound_score(value, parts_G - parts_G.mean(), lambda: bound_draws(known_R))
    return Estimate(value, max(low, 0.0), min(high, 1.0), len(right_NL))


def sum_up_lengths(questions: Sequence[QuestionFindings], settings: DiagnosisSettings) -> Numbers:
    """Return both accuracies by length and one over the other, and the areas, of questions that have all lengths."""
    varied: list[tuple[str, tuple[LengthAt, ...]]] = [
        (question.image, rows) for question in questions if (rows := question.rows.get("balance"))
    ]
    lengths = sorted({row.length for _, rows in varied for row in rows})
    whole = [(image, rows) for image, rows in varied if [row.length for row in rows] == lengths]
    if not whole:
        return {}
    images = [image for image, _ in whole]
    reasoning, perception, over = [], [], []
    for place, length in enumerate(lengths):
        rows = [rows[place] for _, rows in whole]
        right = estimate_rate([row.right for row in rows], images)
        label = f"claims right at length {length}"
        claims = estimate_share([row.claims_right for row in rows], seed=settings.seed, name=label, images=images)
        at = round(sum(row.tokens for row in rows) / len(rows), 1)
        reasoning.append(Point(at, right))
        perception.append(Point(at, claims))
        over.append(Point(right.value, claims))
    numbers: dict[str, tuple[Point, ...] | Estimate] = {
        "reasoning_accuracy": tuple(reasoning),
        "reasoning_claims": tuple(perception),
        "reasoning_perception": tuple(sorted(over, key=lambda point: point.at)),
    }
    right_NL = np.array([[float(row.right) for row in rows] for _, rows in whole])
    claims_NL = np.array([[row.claims_right for row in rows] for _, rows in whole])
    for name, scaled in (("rh_auc", True), ("perception_held", False)):
        area = estimate_area(right_NL, claims_NL, images, scaled=scaled, seed=settings.seed)
        if area is not None:
            numbers[name] = area
    return numbers


def phrase_lengths(numbers: Numbers) -> tuple[str, ...]:
    """Say what the longest thinking comes to beside the shortest."""
    reasoning, perception = numbers.get("reasoning_accuracy"), numbers.get("reasoning_claims")
    if not isinstance(reasoning, tuple) or not isinstance(perception, tuple):
        return ()
    first, last = (min(reasoning, key=lambda p: p.at), max(reasoning, key=lambda p: p.at))
    if first.estimate.num_questions < FEWEST or first.at == last.at:
        return ()
    claims = {point.at: point.estimate for point in perception}
    area = numbers.get("rh_auc")
    said = f" RH-AUC is {area.value:.2f}." if isinstance(area, Estimate) else ""
    return (
        f"From {first.at:.0f} to {last.at:.0f} tokens of thinking, right answers go from "
        f"{format_percent(first.estimate)} to {format_percent(last.estimate)}, and claims judged right from "
        f"{format_percent(claims[first.at])} to {format_percent(claims[last.at])}.{said}",
    )


REASONING_AGAINST_PERCEPTION = RowProtocol(
    name="balance",
    title="Reasoning against perception",
    needs="probe",
    needs_claims=True,
    row_type=LengthAt,
    find=vary_lengths,
    sum_up=sum_up_lengths,
    charts=(
        Chart(
            "reasoning_perception",
            "one over the other",
            "Reasoning against perception",
            "One point per length of thinking. Where the line falls to the right, more right answers are paid for by "
            "worse sight of the image.",
            "right answers",
            "claims judged right",
            {"reasoning_perception": ""},
        ),
        Chart(
            "reasoning_lengths",
            "by length",
            "Answers and claims by length of thinking",
            "Responses cut short, whole, and made to think on.",
            "generated tokens",
            "right",
            {"reasoning_accuracy": "answers", "reasoning_claims": "claims"},
        ),
    ),
    phrase=phrase_lengths,
    by_default=False,
)
