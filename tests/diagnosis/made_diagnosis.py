"""A diagnosis made up by hand: two models on a few questions, one of which forgets the image along its response."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw

from vapo.diagnosis.estimates import Estimate
from vapo.diagnosis.findings import (
    Attention,
    Category,
    CategoryShare,
    Diagnosis,
    EarlyAnswer,
    ErrorCause,
    ModelFindings,
    PairedDifference,
    Point,
    ProbedClaim,
    QuestionFindings,
    Recovery,
    Remedied,
    RemedyEffect,
    Sensitivity,
)
from vapo.diagnosis.image_looks import GROUPS, MOST_MAPS, Look
from vapo.diagnosis.image_swap import SwappedAnswer
from vapo.models.diagnosed_model import View

HOSTILE = (
    "</script><script>window.hacked=1</script>",
    '<img src=x onerror="window.hacked=2">',
    "line\u2028separator\u2029and \ud800 half a character",
    "😀 👩‍👩‍👧 emoji",
    "مرحبا بالعالم، كم عدد الأرقام؟",
    "<!-- {{style}} {{data}} ]]> &lt;b&gt; \\u003c",
)
NAMES = ("vapo-base", "vapo-trained")
DEPTHS = tuple(round(0.05 * k, 2) for k in range(21))
CATEGORIES: tuple[Category, ...] = ("perception", "logical", "knowledge", "other")


def make_diagnosis(num_questions: int = 12, num_repeats: int = 1, num_models: int = 2) -> Diagnosis:
    """Return the diagnosis; `num_repeats` makes the responses longer."""
    rng = np.random.default_rng(7)
    models = tuple(_make_model(k, num_questions, num_repeats, rng) for k in range(num_models))
    differences = [
        PairedDifference(model.name, measure, _estimate(value, 0.11, num_questions))
        for model in models[1:]
        for measure, value in (("right answers", 0.21), ("claims judged right, last quarter", 0.17))
    ]
    settings = {"max_completion_tokens": 256, "seed": 0, "closing": HOSTILE[0], "views": ("image", "blank", "none")}
    return Diagnosis("lab, held-out", settings, models, tuple(differences), ())


def make_images(num_questions: int = 12, side: int = 64) -> dict[str, list[Image.Image]]:
    """Return one image per question but the last."""
    images: dict[str, list[Image.Image]] = {}
    for number in range(num_questions - 1):
        rng = np.random.default_rng(number)
        noise = rng.integers(200, 255, (side, side, 3)).astype("uint8")
        image = Image.fromarray(noise)
        draw = ImageDraw.Draw(image)
        for row in range(2):
            for column in range(2):
                place = (side // 2 * column + side // 5, side // 2 * row + side // 7)
                draw.text(place, str(rng.integers(10)), fill="black", font_size=side // 4)
        images[f"row-{number}"] = [image]
    return images


def _estimate(value: float, half: float, count: int) -> Estimate:
    return Estimate(float(value), float(value - half), float(value + half), count)


def _share(value: float, count: int) -> Estimate:
    half = 0.35 / np.sqrt(max(count, 2))
    value = float(min(1, max(0, value)))
    return Estimate(value, float(max(0, value - half)), float(min(1, value + half)), count)


def _make_model(number: int, count: int, repeats: int, rng: np.random.Generator) -> ModelFindings:
    forgets = number == 0
    questions = tuple(_make_question(k, number, repeats, rng) for k in range(count))
    errors = sum(not question.right for question in questions)
    views: tuple[View, ...] = ("image", "blank", "none")
    fall = 0.36 if forgets else 0.08

    def perception(view: View, depth: float) -> float:
        return 0.93 - fall * depth + 0.01 * np.sin(9 * depth) if view == "image" else 0.52 + 0.03 * np.cos(5 * depth)

    def points(values: Sequence[tuple[float, Estimate]]) -> tuple[Point, ...]:
        return tuple(Point(at, estimate) for at, estimate in values)

    curve = [0.2 + 0.5 * d - (0.42 * max(0, d - 0.55) if forgets else 0.05 * d) for d in DEPTHS]
    return ModelFindings(
        name=NAMES[number] if number < 2 else f"checkpoint-{number}",
        conclusion=(
            "From 60 % of the response on, the image helps this model with claims by less than 10 points, if at all."
            if forgets
            else "This model keeps looking: at the end of the response it judges 85 % of claims right, 53 % blind.",
            f"{31 if forgets else 12} % of its errors were right at an earlier cut.",
        ),
        accuracy=_share(curve[-1], count),
        num_tokens=Estimate(61.25 * repeats, 55.0 * repeats, 70.5 * repeats, count),
        early=points([(d, _share(value, count)) for d, value in zip(DEPTHS, curve, strict=True)]),
        recovery=Recovery(
            cut=0.5,
            avoided=_share(0.1, max(errors, 1)),
            lost=_share(0.08, max(count - errors, 1)),
            change=_estimate(-0.02, 0.06, count),
            by_cut=points([(d, _share(0.05 + 0.2 * d * (1 - d), max(errors, 1))) for d in DEPTHS[:-1]]),
            lost_by_cut=points([(d, _share(0.8 - 0.7 * d, max(count - errors, 1))) for d in DEPTHS[:-1]]),
            anywhere=_share(0.31 if forgets else 0.12, max(errors, 1)),
            lost_anywhere=_share(0.55, max(count - errors, 1)),
        ),
        perception={v: points([(d, _share(perception(v, d), count)) for d in DEPTHS[::2]]) for v in views},
        p_label={v: points([(d, _share(perception(v, d) - 0.05, count)) for d in DEPTHS[::2]]) for v in views},
        attention_by_step=points(
            [(k, _estimate(0.05 + 0.22 * np.exp(-k / (30 if forgets else 90)), 0.02, count)) for k in range(1, 60)]
        ),
        attention_by_depth=points(
            [(d, _estimate(0.05 + 0.22 * np.exp(-2 * d * (1 if forgets else 0.3)), 0.02, count)) for d in DEPTHS]
        ),
        attention_by_head=tuple(tuple(float(x) for x in rng.beta(1.3, 8, 8)) for _ in range(6)),
        sensitivity=points([(d, _estimate(0.9 - (0.7 if forgets else 0.2) * d, 0.12, count)) for d in DEPTHS]),
        dependent_share=_share(0.18 if forgets else 0.34, count),
        dependence_threshold=0.1,
        remedies=(
            RemedyEffect("none", _share(curve[-1], count), None, _estimate(0.12, 0.01, count)),
            RemedyEffect("replay", _share(curve[-1] + 0.1, count), _estimate(0.1, 0.08, count), None),
            RemedyEffect("focus", _share(curve[-1] + 0.02, count), _estimate(0.02, 0.07, count), None),
        ),
        categories=tuple(
            CategoryShare(category, _share(share, errors), _share(back, max(1, errors)) if share else None)
            for category, share, back in zip(CATEGORIES, (0.55, 0.33, 0.12, 0), (0.5, 0.2, 0.1, 0), strict=True)
        ),
        confusion={row: {column: 5 if row == column else 1 for column in CATEGORIES[:2]} for row in CATEGORIES[:2]},
        judge_agreement=_share(0.83, 12),
        questions=questions,
        yes_rate={v: points([(d, _share(0.5, count)) for d in DEPTHS[::2]]) for v in views},
        accuracy_true={v: points([(d, _share(perception(v, d), count)) for d in DEPTHS[::2]]) for v in views},
        accuracy_false={v: points([(d, _share(perception(v, d), count)) for d in DEPTHS[::2]]) for v in views},
        numbers={
            "looks_attended": points([(d, _estimate(0.2 * (1 - d), 0.05, count)) for d in (0, 0.5, 1)]),
            "looks_random": points([(d, _estimate(0.04 * (1 - d), 0.03, count)) for d in (0, 0.5, 1)]),
            "swap_accuracy_image": points([(d, _share(curve[-1], count)) for d in (0, 0.5, 1)]),
            "swap_accuracy_none": points([(d, _share(curve[-1] * (0.2 + 0.8 * d), count)) for d in (0, 0.5, 1)]),
            "swap_change_none": points([(d, _estimate(-0.3 * (1 - d), 0.06, count)) for d in (0, 0.5, 1)]),
            "swap_answers_changed_none": points([(d, _share(0.8 * (1 - d), count)) for d in (0, 0.5, 1)]),
        },
    )


def _make_question(k: int, number: int, repeats: int, rng: np.random.Generator) -> QuestionFindings:
    hostile = HOSTILE[k % len(HOSTILE)] if k < 2 * len(HOSTILE) else f"plain {rng.integers(10**9)}"
    a, b, c, d = (int(x) for x in rng.integers(1, 9, 4))
    total = str(a + b)
    right = (k + number) % 3 != 0
    answer = total if right else str(a + b + 1)
    thought = f"I look at row one: it has {a} and {b}. That makes {a} + {b} = {total}. "
    other = f"In row two I see {c}, then {d}; so {c} + {d} = {c + d}, which is not asked. "
    doubt = "Wait, let me think again: " + (f"yes, {total}." if right else f"the second may be {b + 1}, so {answer}.")
    body = re.findall(r"\s*[\w']+|\s*[^\w\s]", (thought + other) * repeats + doubt)
    tokens = ("<think>", *body, f" {hostile}", "</think>", " \\boxed{", answer, "}")
    stop = len(tokens) - 4
    n = len(tokens)
    forgets = number == 0
    late = 0.7 + 0.02 * (k % 4)
    recoverable = not right and k % 2 == 0
    early = tuple(
        EarlyAnswer(
            depth,
            1 + round(depth * (stop - 1)),
            *(
                (answer, right)
                if depth >= late
                else (None, False)
                if depth == 0 and k == 5
                else (total, True)
                if depth > 0.35 and (right or recoverable)
                else (str(c), str(c) == total)
            ),
        )
        for depth in DEPTHS
    )
    position = np.arange(n) / n
    attention = (0.04 + 0.3 * np.exp(-(3 if forgets else 0.6) * position)) * rng.uniform(0.75, 1.25, n)
    sensitivity = rng.exponential(0.12, n) + np.array([1.5 if token.strip().isdigit() else 0 for token in tokens]) * (
        np.exp(-3 * position) if forgets else 0.9
    )
    claims = ((f"The top left digit is a {a}.", True), (f"There is a {(b + 4) % 10} below {HOSTILE[1]}.", False))
    views: tuple[View, ...] = ("image", "blank", "none")
    probed = tuple(
        ProbedClaim(
            depth, 1 + round(depth * (stop - 1)), view, claim, is_true, _belief(view, is_true, depth, forgets, rng)
        )
        for view in views
        for depth in DEPTHS[::4]
        for claim, is_true in claims
    )
    truth = CATEGORIES[k % 2]
    return QuestionFindings(
        sample_id=f"row-{k}",
        digest=f"{k:08x}",
        question=f"What is the sum of row one? {hostile}",
        reference=total,
        token_texts=tokens,
        thinking=(1, stop),
        answer=answer,
        right=right,
        finished=True,
        notes=("The response has one boundary only.",) if k == 4 else (),
        early=early,
        probed=probed if k != 3 else None,
        attention=Attention(tuple(map(float, attention)), ((0.1, 0.2),)),
        sensitivity=Sensitivity(tuple(map(float, sensitivity))),
        remedied=(
            Remedied("none", answer, right, "".join(tokens), 0.12),
            Remedied("replay", total, True, f"{hostile} the sum is {total}", 0.2),
        ),
        cause=None if right else ErrorCause((truth, truth, "logical"), truth, truth),
        rows={
            "swap": (SwappedAnswer(0.5, stop // 2, "none", HOSTILE[0], False, True),),
            "looks": (*_look(stop, rng), Look("attended", 1, stop, 0.0, 0.2, 8, 8, "6")),
        },
    )


def _look(stop: int, rng: np.random.Generator, side: int = 16) -> list[Look]:
    edges = [1, *range(2, min(stop, MOST_MAPS + 1)), stop]
    return [
        Look(name, first, last, first / stop, 0.2, side, side, "".join(rng.choice(list("0123456789abcdef"), side**2)))
        for first, last in pairwise(edges)
        for name in GROUPS
    ]


def _belief(view: View, is_true: bool, depth: float, forgets: bool, rng: np.random.Generator) -> float:
    sure = 0.5 + (0.45 - (0.42 * depth if forgets else 0.05)) * (view == "image")
    p_label = float(np.clip(rng.normal(sure, 0.12), 0.01, 0.99))
    return p_label if is_true else 1 - p_label
