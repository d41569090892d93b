r"""Confidence along the response: how likely the final answer, the right one and a rival are at each cut.

A finished response is cut at depths 0, 1/m, ..., 1 of its thinking part, each moved to the nearest logical boundary.
Behind the closing sentence of early decision, `\boxed{` is written as the response itself writes it, and an answer A
of n tokens t_1, ..., t_n, the closing brace included, is scored:

    p(A | cut) = exp(1/n sum over i of log p(t_i | image, question, response before the cut, closing sentence, t_<i))

This is the geometric mean of the tokens' probabilities, so that long answers are not unlikely for their length. The
final answer is the response's own, and the right one is the reference (the response's own where that is right). The
runner-up is another answer: where the question lists options, the likeliest of the others at this cut; elsewhere the
one that the model gave at most other cuts, of equally frequent ones the last given; none if it gave none.

The model also answers at each cut. With a(q, d) its answer at depth d and a(q, 1) the response's own:

    settled(q) = the least depth from which on all a(q, d) are a(q, 1)
    revised    = share of questions with a(q, 0) other than a(q, 1): to right, to wrong, or from one error to another

Source: early answers after arXiv 2509.25848, Section 3.1; the answer's likelihood behind a cut chain of thought after
arXiv 2307.13702, which compares answers along the chain; the runner-up and the normalisation are ours.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from vapo.core.answers.choices import read_options
from vapo.core.answers.comparison import find_options
from vapo.core.grading import take_reference
from vapo.diagnosis.cut_answers import same_answer
from vapo.diagnosis.early_decision import close_response, decide_early
from vapo.diagnosis.estimate_words import FEWEST, format_percent
from vapo.diagnosis.estimates import Estimate, estimate_rate, estimate_share
from vapo.diagnosis.findings import EarlyAnswer, Point, QuestionFindings
from vapo.diagnosis.other_images import OtherImages
from vapo.diagnosis.responses import Response
from vapo.diagnosis.row_protocol import Chart, Numbers, RowProtocol
from vapo.diagnosis.settings import DiagnosisSettings
from vapo.models.diagnosed_model import Cut, DiagnosedModel, ScoredText
from vapo.types import Sample

BOX = "\\boxed{"
_LETTER = re.compile(r"([^A-Za-z]*)([A-J])([^A-Za-z]*)")


@dataclass(frozen=True, slots=True)
class ConfidenceAt:
    """What is answered when the response is cut behind `index` tokens, and how likely three answers are there.

    Probabilities are geometric means over an answer's tokens. `same`: the answer is the response's own.
    """

    depth: float
    index: int
    answer: str | None
    right: bool
    same: bool
    p_final: float
    p_right: float
    runner_up: str | None
    p_runner_up: float | None


def measure_confidence(
    diagnosed_model: DiagnosedModel,
    responses: Sequence[Response],
    settings: DiagnosisSettings,
    other_images: OtherImages,
) -> list[tuple[ConfidenceAt, ...]]:
    """Answer and score answers at every cut; no rows of a response that was cut off, or has no answer or boundary.

    Args:
        diagnosed_model: a model that can continue from a cut.
        responses: any number.
        settings: number of cuts, closing sentence, longest answer.
        other_images: not used.
    """
    usable = [number for number, r in enumerate(responses) if r.finished and r.boundaries and r.answer is not None]
    chosen = [responses[number] for number in usable]
    every = replace(settings, step=100 / settings.num_cuts)
    answered = decide_early(diagnosed_model, chosen, every) if chosen else []
    planned: list[tuple[int, float, str, Cut]] = []
    for number, response, early in zip(usable, chosen, answered, strict=True):
        for one in early:
            suffix = close_response(response, one.index, settings)
            for text in list_rivals(response, early):
                cut = Cut(response.rollout, one.index, suffix, f"{_lead(response, settings)}{text}}}")
                planned.append((number, one.depth, text, cut))
    # Depths that move to the same boundary score the same texts, which is done once.
    cuts = {(number, cut.index, text): cut for number, _, text, cut in planned}
    scored = dict(zip(cuts, diagnosed_model.score_texts(list(cuts.values())), strict=True)) if cuts else {}
    found: list[tuple[ConfidenceAt, ...]] = [() for _ in responses]
    for number, response, early in zip(usable, chosen, answered, strict=True):
        final, right, *others = list_rivals(response, early)
        rows: list[ConfidenceAt] = []
        for one in early:
            likely = {text: average_answer(scored[number, one.index, text]) for text in (final, right, *others)}
            runner_up = max(others, key=lambda text: likely[text], default=None)
            same = same_answer(one.answer, response.answer, response.rollout.sample)
            p_runner_up = None if runner_up is None else likely[runner_up]
            rows.append(
                ConfidenceAt(
                    one.depth, one.index, one.answer, one.right, same, likely[final], likely[right], runner_up,
                    p_runner_up,
                )
            )  # fmt: skip
        found[number] = tuple(rows)
    return found


def list_rivals(response: Response, early: Sequence[EarlyAnswer]) -> list[str]:
    """Return the final answer, the right one, and those that may be the runner-up, each as the model would write it.

    Args:
        response: one with an answer.
        early: what it comes to at each cut.
    """
    sample, final = response.rollout.sample, response.answer or ""
    reference = take_reference(sample.answer)
    options = read_options(sample.question)
    named, wanted = (find_options(text, options) if options else None for text in (final, reference))
    if named is not None and wanted is not None and len(named) == len(wanted) == 1:
        texts = {chr(ord("A") + place): _write_option(final, place, option) for place, option in enumerate(options)}
        texts[named[0]] = final
        return [final, texts[wanted[0]], *(text for letter, text in texts.items() if letter != named[0])]
    right = final if response.right else reference
    return [final, right, *_find_most_frequent(early, final, sample)]


def average_answer(scored: ScoredText) -> float:
    """Return the geometric mean of the probabilities of the tokens that reach beyond what opens the box."""
    before, box, _ = "".join(scored.token_texts).partition(BOX)
    lead = len(before + box) if box else 0
    logprobs: list[float] = []
    place = 0
    for text, logprob in zip(scored.token_texts, scored.logprobs, strict=True):
        if place >= lead or place + len(text) > lead:
            logprobs.append(logprob)
        place += len(text)
    return math.exp(min(0.0, sum(logprobs) / len(logprobs)))


def settle(rows: Sequence[ConfidenceAt]) -> float:
    """Return the least depth from which on the answer is the response's own."""
    last = max((place for place, row in enumerate(rows) if not row.same), default=-1)
    return rows[min(last + 1, len(rows) - 1)].depth


def _write_option(final: str, place: int, option: str) -> str:
    """Write an option as the final answer is written: by its letter, with the same signs around it, or by its text."""
    letter = _LETTER.fullmatch(final)
    return option if letter is None else f"{letter[1]}{chr(ord('A') + place)}{letter[3]}"


def _find_most_frequent(early: Sequence[EarlyAnswer], final: str, sample: Sample) -> list[str]:
    groups: list[list[str]] = []
    for one in early:
        if one.answer is None or same_answer(one.answer, final, sample):
            continue
        own = next((group for group in groups if same_answer(one.answer, group[0], sample)), None)
        if own is None:
            groups.append([one.answer])
        else:
            groups.remove(own)
            groups.append([*own, one.answer])  # the last given comes last
    return [max(reversed(groups), key=len)[-1]] if groups else []


def _lead(response: Response, settings: DiagnosisSettings) -> str:
    """Return what opens the box, with the white space that the response has between its thinking part and that."""
    if not response.tagged:
        return BOX
    behind = response.rollout.text.rpartition(settings.think_tags[1])[2]
    return behind[: len(behind) - len(behind.lstrip())] + BOX


def sum_up_confidence(questions: Sequence[QuestionFindings], settings: DiagnosisSettings) -> Numbers:
    """Return the three probabilities over depth, and when and how answers are revised."""
    answered: list[tuple[str, tuple[ConfidenceAt, ...]]] = [
        (question.image, rows) for question in questions if (rows := question.rows.get("confidence"))
    ]
    if not answered:
        return {}
    numbers: dict[str, tuple[Point, ...] | Estimate] = {}
    get: dict[str, Callable[[ConfidenceAt], float | None]] = {
        "final": lambda row: row.p_final,
        "right": lambda row: row.p_right,
        "runner_up": lambda row: row.p_runner_up,
    }
    for name, take in get.items():
        points: list[Point] = []
        for depth in sorted({row.depth for _, rows in answered for row in rows}):
            own = [
                (value, image)
                for image, rows in answered
                for row in rows
                if row.depth == depth and (value := take(row)) is not None
            ]
            if own:
                values, images = zip(*own, strict=True)
                label = f"confidence {name} {depth}"
                points.append(Point(depth, estimate_share(values, seed=settings.seed, name=label, images=images)))
        if points:
            numbers[f"confidence_{name}"] = tuple(points)
    images = [image for image, _ in answered]
    settled = [settle(rows) for _, rows in answered]
    numbers["confidence_settled"] = estimate_share(settled, seed=settings.seed, name="settled", images=images)
    revised = [not rows[0].same for _, rows in answered]
    numbers["confidence_revised"] = estimate_rate(revised, images)
    for name, before, after in (("to_right", False, True), ("to_wrong", True, False)):
        turned = [rows[0].right is before and rows[-1].right is after for _, rows in answered]
        numbers[f"confidence_revised_{name}"] = estimate_rate(turned, images)
    return numbers


def phrase_confidence(numbers: Numbers) -> tuple[str, ...]:
    """Say when answers settle, and how many are revised."""
    settled, revised, to_right, to_wrong = (
        numbers.get(f"confidence_{name}") for name in ("settled", "revised", "revised_to_right", "revised_to_wrong")
    )
    if not isinstance(settled, Estimate) or settled.num_questions < FEWEST:
        return ()
    assert isinstance(revised, Estimate) and isinstance(to_right, Estimate) and isinstance(to_wrong, Estimate)
    return (
        f"Answers settle at {format_percent(settled)} of the response on average; {format_percent(revised)} are "
        f"revised along it, {format_percent(to_right)} to right and {format_percent(to_wrong)} to wrong.",
    )


def _measure(take: Callable[[tuple[ConfidenceAt, ...]], float]) -> Callable[[QuestionFindings], float | None]:
    def measure(question: QuestionFindings) -> float | None:
        rows: tuple[ConfidenceAt, ...] = question.rows.get("confidence") or ()
        return take(rows) if rows else None

    return measure


CONFIDENCE_ALONG = RowProtocol(
    name="confidence",
    title="Confidence along the response",
    needs="continue",
    row_type=ConfidenceAt,
    find=measure_confidence,
    sum_up=sum_up_confidence,
    charts=(
        Chart(
            "confidence",
            "confidence",
            "Confidence along the response",
            "How likely the response's own answer, the right one and a rival are where it is cut. If the first two "
            "part, the model grows sure of errors.",
            "share of the response kept",
            "probability, mean per token",
            {
                "confidence_final": "final answer",
                "confidence_right": "right answer",
                "confidence_runner_up": "runner-up",
            },
        ),
    ),
    phrase=phrase_confidence,
    measures={
        "probability of the right answer before reasoning": _measure(lambda rows: rows[0].p_right),
        "probability of the right answer at the end": _measure(lambda rows: rows[-1].p_right),
        "share of the response at which the answer settles": _measure(settle),
    },
)
