"""A rival of probes: pay a right answer for the attention that its response gave to the image.

R = weight * 1[R_acc = 1] * mean over the response's tokens, layers and heads of the attention on image tokens
(arXiv 2509.25848, Section A.4 for the ratio; the paper compares this reward with its own).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from vapo.core.grading import grade_sample
from vapo.diagnosis.transformers.attention_ratio import attention_on_image
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.prompt_writer import PromptWriter
from vapo.models.policy.response_texts import spell_tokens
from vapo.training.rewards import completion_text
from vapo.training.rows import SampleReader
from vapo.types import Rollout, Sample

if TYPE_CHECKING:
    from vapo.models.image_features import ImageFeatures


class AttentionReward(TrainerCallback):
    """A reward function that is also given to the trainer as a callback, by which it learns whose attention to read.

    Args:
        weight: what all attention on the image would be worth.
    """

    __name__ = "attention_reward"

    def __init__(self, weight: float) -> None:
        self._weight = weight
        self._policy: Policy | None = None
        self._reader = SampleReader(require_claims=False)

    def on_train_begin(self, *_: Any, model: Any, processing_class: Any, **__: Any) -> None:
        """Remember the policy."""
        self._policy = Policy(model, processing_class)

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]],
        answer: Sequence[str],
        images: Sequence[Sequence[Any]],
        **_: Any,
    ) -> list[float]:
        """Return the reward of each completion."""
        assert self._policy is not None, "give the reward to the trainer as a callback too"
        model, processor = self._policy.model, self._policy.processor
        writer = PromptWriter(self._policy, None)
        rewards: list[float] = []
        features: dict[int, ImageFeatures] = {}
        before: Sample | None = None
        for number, (completion, ids) in enumerate(zip(completions, completion_ids, strict=True)):
            row = {"prompt": prompts[number], "images": images[number], "answer": answer[number]}
            sample = self._reader.read(row, str(number))
            if grade_sample(completion_text(completion), sample) != 1:
                rewards.append(0.0)
                continue
            if before is None or sample.images != before.images:
                features, before = {}, sample
            texts = spell_tokens(processor.tokenizer, ids)
            rollout = Rollout(sample, writer.write(sample).ids, tuple(ids), texts)
            share = attention_on_image(model, processor, rollout, features).mean()
            rewards.append(self._weight * float(share))
        return rewards
