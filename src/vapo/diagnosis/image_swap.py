"""Image removed or swapped: cut the response, replace the image, and let the model write on and answer.

A finished response is cut at depths 0, 1/m, ..., 1 of its thinking part, each moved to the nearest logical boundary.
From the cut on the model reads the same question and its own text behind another image, or behind none. With R a
replacement, n questions, and a(q, d, R) the answer that it comes to:

    accuracy(d, R) = 1/n sum over q of [a(q, d, R) is right]
    changed(d, R)  = 1/n sum over q of [a(q, d, R) differs from a(q, d, image)]

Right is the question's own reference, also behind an image that does not show it: a model that uses its image falls,
and one that follows its text does not. Behind an edited image it is the answer to that image, and it is the other way
round. Behind "image" a greedy model writes its own response again, which is not
asked again.

Source: removal after Take-along Visual Conditioning (arXiv 2503.13360), swaps after VisualSwap (arXiv 2605.15864).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from vapo.data.image_views import leave_out_images, mask_images
from vapo.diagnosis.cut_answers import answer_cuts, same_answer
from vapo.diagnosis.estimate_words import FEWEST, format_p_value, format_percent, format_points, write_depth
from vapo.diagnosis.estimates import estimate_difference, estimate_rate
from vapo.diagnosis.findings import Point, QuestionFindings
from vapo.diagnosis.other_images import OtherImages
from vapo.diagnosis.responses import Response
from vapo.diagnosis.row_protocol import Chart, Numbers, RowProtocol
from vapo.diagnosis.settings import DiagnosisSettings
from vapo.models.diagnosed_model import Cut, DiagnosedModel
from vapo.types import Rollout, Sample

REPLACEMENTS = {
    "image": "untouched",
    "none": "no image",
    "blank": "grey image",
    "noise": "noise",
    "other": "another question's image",
    "edited": "edited image",
}
"""What can stand where the image was, and what reports call it."""


@dataclass(frozen=True, slots=True)
class SwappedAnswer:
    """What a response comes to when its image is replaced behind `index` tokens.

    `changed`: it is another than with the untouched image at the same cut. No answer is only like no answer.
    """

    depth: float
    index: int
    replacement: str
    answer: str | None
    right: bool
    changed: bool


def swap_images(
    diagnosed_model: DiagnosedModel,
    responses: Sequence[Response],
    settings: DiagnosisSettings,
    other_images: OtherImages,
) -> list[tuple[SwappedAnswer, ...]]:
    """Replace the image of responses at every depth; no rows of one that was cut off, or has no boundary or image.

    Args:
        diagnosed_model: a model that can continue from a cut.
        responses: any number.
        settings: number of cuts, replacements, longest response, seed.
        other_images: where other questions' images, and edited ones, are found.
    """
    usable = [number for number, r in enumerate(responses) if r.finished and r.boundaries and r.rollout.sample.images]
    shown = _show(diagnosed_model, [responses[number] for number in usable], settings, other_images)
    planned: list[tuple[int, float, str, Cut]] = []
    for number, rollouts in zip(usable, shown, strict=True):
        for name, rollout in rollouts.items():
            for depth in settings.intervention_depths():
                index = responses[number].cut_near(depth)
                if index is not None:
                    planned.append((number, depth, name, Cut(rollout, index)))
    answers = answer_cuts(
        diagnosed_model, [cut for *_, cut in planned], settings.max_completion_tokens, settings.think_tags[1]
    )
    found: list[list[SwappedAnswer]] = [[] for _ in responses]
    untouched: dict[tuple[int, float], str | None] = {}
    for (number, depth, name, cut), (answer, right) in zip(planned, answers, strict=True):
        response = responses[number]
        if settings.temperature == 0:
            if (number, depth) not in untouched:
                untouched[number, depth] = response.answer
                found[number].append(
                    SwappedAnswer(depth, cut.index, "image", response.answer, response.right, changed=False)
                )
        elif name == "image":
            untouched[number, depth] = answer
        changed = not same_answer(answer, untouched[number, depth], response.rollout.sample)
        found[number].append(SwappedAnswer(depth, cut.index, name, answer, right, changed))
    return [tuple(rows) for rows in found]


def _show(
    diagnosed_model: DiagnosedModel,
    responses: Sequence[Response],
    settings: DiagnosisSettings,
    other_images: OtherImages,
) -> list[dict[str, Rollout]]:
    """Return the rollout of each response under each replacement; what there is none of is missing."""
    seed = settings.seed
    same_size: dict[str, Callable[[Sample], Sample]] = {
        "image": lambda sample: sample,
        "blank": lambda sample: mask_images(sample, "blank"),
        "noise": lambda sample: mask_images(sample, "noise", seed),
    }
    rewritten: dict[str, Callable[[Sample], Sample | None]] = {
        "none": leave_out_images,
        "other": other_images.swap,
        "edited": other_images.edit,
    }
    names = [name for name in settings.replacements if name != "image"]
    if settings.temperature > 0:  # a sampled response is not what the model would write on greedily
        names = ["image", *names]
    found: list[dict[str, Rollout]] = [{} for _ in responses]
    asked: list[tuple[int, str, Rollout, Sample]] = []
    for number, response in enumerate(responses):
        rollout = response.rollout
        for name in names:
            if name in same_size:
                found[number][name] = replace(rollout, sample=same_size[name](rollout.sample))
            elif (sample := rewritten[name](rollout.sample)) is not None:
                asked.append((number, name, rollout, sample))
    written = diagnosed_model.rewrite_prompts([(rollout, sample) for *_, rollout, sample in asked]) if asked else []
    for (number, name, *_), rollout in zip(asked, written, strict=True):
        found[number][name] = rollout
    # in the order of the settings, so that rows of one cut read alike everywhere
    return [{name: own[name] for name in names if name in own} for own in found]


def answer_at(question: QuestionFindings, replacement: str, depth: float) -> SwappedAnswer | None:
    """Return what a question's response came to under a replacement at a depth."""
    rows: tuple[SwappedAnswer, ...] = question.rows.get("swap") or ()
    return next((row for row in rows if (row.replacement, row.depth) == (replacement, depth)), None)


def sum_up_swaps(questions: Sequence[QuestionFindings], settings: DiagnosisSettings) -> Numbers:
    """Return accuracy, its paired change, and the share of changed answers, over depth for each replacement."""
    numbers: dict[str, tuple[Point, ...]] = {}
    for name in REPLACEMENTS:
        accuracy, change, changed = ([] for _ in range(3))
        for depth in settings.intervention_depths():
            rows = [(q.image, answer_at(q, name, depth), answer_at(q, "image", depth)) for q in questions]
            both = [(image, row, plain) for image, row, plain in rows if row is not None and plain is not None]
            if not both:
                continue
            images = [image for image, _, _ in both]
            accuracy.append(Point(depth, estimate_rate([row.right for _, row, _ in both], images)))
            changed.append(Point(depth, estimate_rate([row.changed for _, row, _ in both], images)))
            gains = [float(row.right) - float(plain.right) for _, row, plain in both]
            label = f"swap {name} {depth}"
            estimate = estimate_difference(gains, seed=settings.seed, name=label, images=images, most=1.0)
            change.append(Point(depth, estimate))
        if accuracy:
            numbers[f"swap_accuracy_{name}"] = tuple(accuracy)
            if name != "image":
                numbers[f"swap_change_{name}"] = tuple(change)
                numbers[f"swap_answers_changed_{name}"] = tuple(changed)
    return numbers


def phrase_swaps(numbers: Numbers) -> tuple[str, ...]:
    """Say what taking the image away does before the response and midway: without it, or behind the first stand-in."""
    name = next((name for name in REPLACEMENTS if f"swap_change_{name}" in numbers), None)
    if name is None:
        return ()
    changes, changed = numbers[f"swap_change_{name}"], numbers[f"swap_answers_changed_{name}"]
    if not isinstance(changes, tuple) or not isinstance(changed, tuple) or changes[0].estimate.num_questions < FEWEST:
        return ()
    middle = min(range(len(changes)), key=lambda number: (abs(changes[number].at - 0.5), changes[number].at))

    def say(number: int) -> str:
        one = changes[number].estimate
        share = format_percent(changed[number].estimate)
        return f"{share} of the answers change, accuracy by {format_points(one)}{format_p_value(one)}"

    text = f"With {REPLACEMENTS[name]} from the beginning of the response on, {say(0)}"
    if middle:
        text += f"; from {write_depth(changes[middle].at)} of it on, {say(middle)}"
    return (f"{text}.",)


def _measure(replacement: str, depth: float) -> Callable[[QuestionFindings], float | None]:
    def measure(question: QuestionFindings) -> float | None:
        row = answer_at(question, replacement, depth)
        return None if row is None else float(row.changed)

    return measure


def _lines(measure: str, names: Mapping[str, str]) -> dict[str, str]:
    return {f"{measure}_{name}": words for name, words in names.items()}


_X = "share of the response before the image was replaced"

IMAGE_SWAP = RowProtocol(
    name="swap",
    title="Image swap",
    needs="continue",
    row_type=SwappedAnswer,
    find=swap_images,
    sum_up=sum_up_swaps,
    charts=(
        Chart(
            "swap_accuracy",
            "right",
            "Right answers, image replaced",
            "From there on the model writes on without its image, or behind another. Where the lines meet, it no "
            "longer uses the image.",
            _X,
            "right answers",
            _lines("swap_accuracy", REPLACEMENTS),
        ),
        Chart(
            "swap_changed",
            "changed",
            "Answers changed, image replaced",
            "Share of the answers that differ from those with the untouched image.",
            _X,
            "answers changed",
            _lines("swap_answers_changed", {name: words for name, words in REPLACEMENTS.items() if name != "image"}),
        ),
    ),
    phrase=phrase_swaps,
    measures={
        "answers changed without the image, from the beginning": _measure("none", 0.0),
        "answers changed with a grey image, from the beginning": _measure("blank", 0.0),
    },
)
