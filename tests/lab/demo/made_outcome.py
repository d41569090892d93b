"""An outcome made up by hand: three models on a few questions, of which GRPO's forgets the image."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from diagnosis.made_diagnosis import HOSTILE, make_diagnosis

from vapo.diagnosis.findings import ModelFindings
from vapo.lab.demo.conclusion import phrase_demo
from vapo.lab.demo.learning import Group, draw_learning
from vapo.lab.demo.outcome import GRPO, VAPO, Outcome
from vapo.lab.demo.paired import compare

NUM_STEPS = 30


def make_outcome(num_questions: int = 12, num_repeats: int = 1) -> Outcome:
    """Return the outcome; `num_repeats` makes the responses longer."""
    made = make_diagnosis(num_questions, num_repeats, num_models=3).models
    names = ("before", "GRPO", "VAPO")
    before, grpo, vapo = (
        _show_the_image_alone(replace(model, name=name))
        for model, name in zip((made[1], made[0], made[2]), names, strict=True)
    )
    rows = compare(before, grpo, vapo, seed=0)
    runs = {number: [_make_step(step, number) for step in range(NUM_STEPS)] for number in (GRPO, VAPO)}
    settings: dict[str, Any] = {"steps": NUM_STEPS, "seed": 0, "per_device_train_batch_size": 8, "closing": HOSTILE[0]}
    learning = draw_learning(runs, temperature=0.8, seed=0)
    return Outcome((before, grpo, vapo), learning, rows, phrase_demo(rows), settings)


def _show_the_image_alone(model: ModelFindings) -> ModelFindings:
    """Leave out what the demo does not measure."""
    assert model.perception is not None
    look = "Again " if model.name == "VAPO" else ""
    questions = tuple(
        replace(
            question,
            question=f"Start at {question.question}" if number % 2 else question.question,  # every other one is late
            token_texts=(look + question.token_texts[0], *question.token_texts[1:]),
            probed=question.probed and tuple(claim for claim in question.probed if claim.view == "image"),
            attention=None,
            sensitivity=None,
            remedied=None,
            cause=None,
        )
        for number, question in enumerate(model.questions)
    )
    return replace(
        model,
        perception={"image": model.perception["image"]},
        attention_by_depth=None,
        attention_by_step=None,
        sensitivity=None,
        questions=questions,
    )


def _make_step(step: int, model: int) -> list[Group]:
    """Return two groups: answers get better, GRPO's faster, and GRPO's perception gets worse."""
    progress = step / NUM_STEPS
    rise, fall = (0.4 * progress, 0.4 * progress) if model == GRPO else (0.3 * progress, 0.02)
    return [
        Group(right=0.3 + rise + off, seen=0.9 - fall / 2 + off, seen_late=0.85 - fall - off, num_tokens=40)
        for off in (-0.05, 0.05)
    ]
