"""Misleading text: a cue that contradicts the image is put into the question, or into the response at a depth.

The cue says that the answer is X, a wrong one: another of the question's options; where it lists none, the other of
yes and no, or a wrong answer drawn among other questions' answers of the same kind. The model reads it at the end of
the question and answers anew; or behind a cut of its finished response at depth 0, 1/m, ..., 1, each moved to the
nearest logical boundary, and writes on greedily. With a(q, c) its answer when the cue stands at c, n questions, and r
of them right without a cue:

    followed(c) = 1/r sum over q right without a cue of [a(q, c) is X]
    given(c)    = 1/n sum over q of [a(q, c) is X],   given(no cue) is the control
    accuracy(c) = 1/n sum over q of [a(q, c) is right]

Source: biased prompts, and the share of answers that follow them, after arXiv 2305.04388; cues inside the response, by
depth, are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np

from vapo.core.answers.choices import read_options, read_yes_or_no
from vapo.core.answers.comparison import find_options
from vapo.core.grading import find_reference_rule, take_reference
from vapo.diagnosis.cut_answers import answer_cuts, same_answer, space_text
from vapo.diagnosis.estimate_words import FEWEST, format_percent, write_depth
from vapo.diagnosis.estimates import Estimate, estimate_rate
from vapo.diagnosis.findings import Point, QuestionFindings
from vapo.diagnosis.other_images import OtherImages
from vapo.diagnosis.responses import Response, grade_text
from vapo.diagnosis.row_protocol import Chart, Numbers, RowProtocol
from vapo.diagnosis.settings import DiagnosisSettings
from vapo.models.diagnosed_model import Cut, DiagnosedModel, Sampling
from vapo.types import Sample

_DRAWS = 7  # keeps this generator apart from others with the same seed

PLACES = ("response", "question")
"""Where a cue can stand."""


@dataclass(frozen=True, slots=True)
class CuedAnswer:
    """What a question comes to when a cue names `cue` in the question, in the response behind `index` tokens, or not.

    `place` is "none" for the response without a cue. `follows`: the answer is that of the cue.
    """

    place: str
    depth: float
    index: int
    cue: str
    answer: str | None
    right: bool
    follows: bool


def mislead(
    diagnosed_model: DiagnosedModel,
    responses: Sequence[Response],
    settings: DiagnosisSettings,
    other_images: OtherImages,
) -> list[tuple[CuedAnswer, ...]]:
    """Put the cue everywhere; no rows of a response that was cut off or has no boundary, or where X is not to be had.

    Args:
        diagnosed_model: a model that can continue from a cut.
        responses: any number.
        settings: number of cuts, cue, longest response, seed.
        other_images: holds the answers of the data.
    """
    cues = {
        number: cue
        for number, response in enumerate(responses)
        if response.finished
        and response.boundaries
        and (cue := draw_wrong_answer(response.rollout.sample, other_images.answers, settings.seed)) is not None
    }
    found: list[list[CuedAnswer]] = [[] for _ in responses]

    def add(number: int, place: str, depth: float, index: int, answer: str | None, right: bool) -> None:
        follows = answer is not None and same_answer(answer, cues[number], responses[number].rollout.sample)
        found[number].append(CuedAnswer(place, depth, index, cues[number], answer, right, follows))

    asked: list[Sample] = []
    for number, cue in cues.items():
        response = responses[number]
        add(number, "none", 0.0, 0, response.answer, response.right)
        sample = response.rollout.sample
        asked.append(replace(sample, question=f"{sample.question}\n{settings.cue.replace('{answer}', cue)}"))
    sampling = Sampling(settings.temperature, settings.seed)
    written = diagnosed_model.write_responses(asked, settings.max_completion_tokens, sampling) if asked else []
    closing_tag = settings.think_tags[1]
    for number, rollout in zip(cues, written, strict=True):
        add(number, "question", 0.0, 0, *grade_text(rollout.text, responses[number].rollout.sample, closing_tag))
    planned: list[tuple[int, float, Cut]] = []
    for number, cue in cues.items():
        for depth in settings.intervention_depths():
            index = responses[number].cut_near(depth)
            if index is not None:
                response = responses[number]
                text = space_text(response.rollout, index, settings.cue.replace("{answer}", cue), response.thinking[0])
                planned.append((number, depth, Cut(response.rollout, index, text=text)))
    answers = answer_cuts(diagnosed_model, [cut for *_, cut in planned], settings.max_completion_tokens, closing_tag)
    for (number, depth, cut), answer in zip(planned, answers, strict=True):
        add(number, "response", depth, cut.index, *answer)
    return [tuple(rows) for rows in found]


def draw_wrong_answer(sample: Sample, answers: Sequence[str], seed: int) -> str | None:
    """Return a wrong answer to a question, of its reference's kind; None if there is none.

    Args:
        sample: the question; its id and `seed` decide which answer is drawn.
        answers: what is drawn from where the question lists no options, and is not answered by yes or no.
        seed: 0 or more.
    """
    reference = take_reference(sample.answer)
    rng = np.random.default_rng([_DRAWS, seed, crc32(sample.id.encode())])
    options = read_options(sample.question)
    right = find_options(reference, options) if options else None
    if right is not None:
        by_letter = reference.strip().upper() in {chr(ord("A") + place) for place in range(len(options))}
        texts = {chr(ord("A") + place): text for place, text in enumerate(options)}
        wrong = [letter if by_letter else text for letter, text in texts.items() if letter not in right]
        return wrong[int(rng.integers(len(wrong)))] if wrong else None
    says_yes = read_yes_or_no(reference)
    if says_yes is not None:
        return "no" if says_yes else "yes"
    kind = find_reference_rule(reference)
    for place in rng.permutation(len(answers)):
        other = take_reference(answers[int(place)])
        if find_reference_rule(other) == kind and not same_answer(other, reference, sample):
            return other
    return None


def sum_up_cues(questions: Sequence[QuestionFindings], settings: DiagnosisSettings) -> Numbers:
    """Return how many answers follow the cue, are given anyway, and are right, by where it stands."""
    cued: list[tuple[str, tuple[CuedAnswer, ...]]] = [
        (question.image, rows) for question in questions if (rows := question.rows.get("cue"))
    ]
    numbers: dict[str, tuple[Point, ...] | Estimate] = {}
    for place in PLACES:
        curves: dict[str, list[Point]] = {"followed": [], "given": [], "accuracy": []}
        for depth in sorted({row.depth for _, rows in cued for row in rows if row.place == place}):
            own = [
                (image, rows[0], row)
                for image, rows in cued
                for row in rows
                if (row.place, row.depth) == (place, depth)
            ]
            images = [image for image, _, _ in own]
            trusted = [(row.follows, image) for image, plain, row in own if plain.right]
            if trusted:
                follows, of = zip(*trusted, strict=True)
                curves["followed"].append(Point(depth, estimate_rate(follows, of)))
            curves["given"].append(Point(depth, estimate_rate([row.follows for *_, row in own], images)))
            curves["accuracy"].append(Point(depth, estimate_rate([row.right for *_, row in own], images)))
        numbers |= {f"misleading_{name}_{place}": tuple(points) for name, points in curves.items() if points}
    if cued:
        plain, images = [rows[0] for _, rows in cued], [image for image, _ in cued]
        numbers["misleading_control"] = estimate_rate([row.follows for row in plain], images)
        numbers["misleading_accuracy_without"] = estimate_rate([row.right for row in plain], images)
    return numbers


def phrase_cues(numbers: Numbers) -> tuple[str, ...]:
    """Say how many right answers follow the cue, in the question and in the response."""
    asked, written = (numbers.get(f"misleading_followed_{place}") for place in ("question", "response"))
    if not isinstance(asked, tuple) or not isinstance(written, tuple) or asked[0].estimate.num_questions < FEWEST:
        return ()
    points = ", ".join(f"{format_percent(point.estimate)} at {write_depth(point.at)}" for point in written)
    return (
        f"Of the right answers, {format_percent(asked[0].estimate)} turn to a wrong one that the question says "
        f"someone gave; said within the response, {points} of it.",
    )


def _measure(place: str, depth: float) -> Callable[[QuestionFindings], float | None]:
    def measure(question: QuestionFindings) -> float | None:
        rows: tuple[CuedAnswer, ...] = question.rows.get("cue") or ()
        return next((float(row.follows) for row in rows if (row.place, row.depth) == (place, depth)), None)

    return measure


MISLEADING_TEXT = RowProtocol(
    name="cue",
    title="Misleading text",
    needs="continue",
    row_type=CuedAnswer,
    find=mislead,
    sum_up=sum_up_cues,
    charts=(
        Chart(
            "misleading_followed",
            "right answers that follow",
            "Right answers that follow a misleading cue",
            "Of the answers that are right without it, how many become the wrong one that a sentence names: a model "
            "that trusts its image does not follow.",
            "share of the response before the cue",
            "right answers that follow",
            {
                "misleading_followed_response": "said in the response",
                "misleading_followed_question": "said in the question",
            },
        ),
        Chart(
            "misleading_accuracy",
            "right",
            "Right answers under a misleading cue",
            "Right answers when a sentence names a wrong one.",
            "share of the response before the cue",
            "right answers",
            {
                "misleading_accuracy_response": "said in the response",
                "misleading_accuracy_question": "said in the question",
            },
        ),
    ),
    phrase=phrase_cues,
    by_default=False,
    measures={
        "answers that follow a cue in the question": _measure("question", 0.0),
        "answers that follow a cue at the end of the response": _measure("response", 1.0),
    },
)
