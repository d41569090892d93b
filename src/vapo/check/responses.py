"""Responses of a small rollout: do they have what the run rewards, and places for probes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vapo.check.section import Section
from vapo.core.boundaries import find_boundaries
from vapo.core.grading import compare_with_reference, extract_answer, grade_format, grade_sample
from vapo.training.trial import Trial

EXAMPLE_CHARACTERS = 300


def look_at_responses(options: Any, trial: Trial, eos_ids: Sequence[int], *, max_tokens: int) -> Section:
    """Grade responses as the built-in rewards do.

    Args:
        options: of the run (`vapo.training.options.RunOptions`).
        trial: a rollout.
        eos_ids: tokens that end a response.
        max_tokens: longest response of the rollout.
    """
    training, rollouts, think_opened = options.training, trial.rollouts, trial.think_opened
    anchors = training.num_anchors if training.make_algorithm().needs.claims else 0
    answers = [extract_answer(rollout.answer_text) for rollout in rollouts]
    read = [
        answer is not None and compare_with_reference(answer, rollout.sample.answer).answer_read
        for answer, rollout in zip(answers, rollouts, strict=True)
    ]
    boundaries = [len(find_boundaries(rollout.token_texts, rollout.think_tags)) for rollout in rollouts]
    shares = {
        "format": _share(
            [grade_format(own.text, think_opened=think_opened, tags=own.think_tags) == 1 for own in rollouts]
        ),
        "boxed answer": _share([answer is not None for answer in answers]),
        "understood": _share(read),
        "right": _share([grade_sample(own.answer_text, own.sample) == 1 for own in rollouts]),
        "finished": _share([own.completion_ids[-1] in eos_ids for own in rollouts]),
        f"{anchors} boundaries": _share([count >= anchors for count in boundaries]),
    }
    warnings: list[str] = []
    if shares["format"] == 0 and training.format_weight > 0 and not training.reward_funcs:
        warnings.append("no response has the format that is rewarded; see the example, the prompt and the think tags")
    if shares["boxed answer"] == 0 and not training.reward_funcs:
        warnings.append("no response has an answer in a box, so none can be right")
    elif shares["right"] in (0, 1) and not training.reward_funcs:
        warnings.append("all answers are alike, so these groups would have no advantage from answers")
    if anchors and not any(boundaries):
        warnings.append("no response has a place for a probe")
    if shares["finished"] < 0.5:
        limited = max_tokens < training.max_completion_length
        warnings.append(
            f"most responses are cut off at {max_tokens} tokens"
            + ("; look at longer ones with --max-completion-tokens" if limited else "; raise max_completion_length")
        )
    lengths = sorted(len(own.completion_ids) for own in rollouts)
    prompts = len({id(rollout.sample) for rollout in rollouts})
    text = " ".join(rollouts[0].text.split())
    facts = {
        "sampled": f"{len(rollouts)} to {prompts} prompts, {lengths[0]} to {lengths[-1]} tokens long",
        "share with": ", ".join(f"{name} {share:.2f}" for name, share in shares.items()),
        "example": text if len(text) <= EXAMPLE_CHARACTERS else f"{text[:EXAMPLE_CHARACTERS]} ...",
    }
    numbers = {"responses": len(rollouts), "shares": shares, "boundaries": boundaries, "tokens": lengths}
    return Section("responses", facts, numbers, warnings=warnings)


def _share(holds: Sequence[bool]) -> float:
    return sum(holds) / len(holds)
