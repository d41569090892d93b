"""What a model answers behind cuts: the step that early decision and all interventions share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vapo.core.grading import grade_sample
from vapo.diagnosis.responses import grade_text
from vapo.models.diagnosed_model import Cut, DiagnosedModel
from vapo.types import Rollout, Sample


def answer_cuts(
    diagnosed_model: DiagnosedModel, cuts: Sequence[Cut], max_new_tokens: int, closing_tag: str
) -> list[tuple[str | None, bool]]:
    """Let a model write on behind each cut; return each answer, None where there is none, and whether it is right."""
    texts = diagnosed_model.continue_cuts(cuts, max_new_tokens) if cuts else []
    return [grade_text(text, cut.rollout.sample, closing_tag) for cut, text in zip(cuts, texts, strict=True)]


def same_answer(answer: str | None, other: str | None, sample: Sample) -> bool:
    """Return whether two answers to a question are the same as grading compares them; no answer is only like none."""
    if answer is None or other is None:
        return answer is other
    return answer == other or grade_sample(f"\\boxed{{{answer}}}", replace(sample, answer=other)) == 1


def space_text(rollout: Rollout, index: int, text: str, start: int) -> str:
    """Return text to be written behind a cut, set off by a space unless it begins the thinking part at `start`."""
    before = "".join(rollout.token_texts[:index])
    return text if index == start or before[-1:].isspace() else f" {text}"
