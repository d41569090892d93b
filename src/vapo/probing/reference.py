"""The reference prober: one row per probe, one forward pass per batch of rows.

A row is the sampled prompt, the sampled tokens up to the anchor, and the question: token ids from end to end, never
text that is tokenised again. It is the plainest exact way to ask, and faster backends are tested against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from vapo.models.first_device import find_first_device
from vapo.models.image_features import ImageFeatures, name_images, shared_image_features
from vapo.models.images import ImageInputs, process_images
from vapo.models.policy.inference import explaining_failures, inference
from vapo.models.positions import positions_behind_padding
from vapo.models.vision_tokens import find_image_token_id, token_types
from vapo.probing.batched_prober import BatchedProber
from vapo.types import Probe, Rollout, Verdict


@dataclass(frozen=True, slots=True)
class _Row:
    number: int  # place among the probes; -1 for a row that only keeps ranks in step
    prompt: int
    ids: tuple[int, ...]


class ReferenceProber(BatchedProber):
    """Score probes one row each, batched, each prompt's images encoded once.

    Takes what `BatchedProber` takes and raises what it raises.
    """

    def __init__(self, model: torch.nn.Module, processor: Any, **options: Any) -> None:
        super().__init__(model, processor, **options)
        self._image_token_id = find_image_token_id(self._feature_module.config)
        self._pad_token_id = processor.tokenizer.pad_token_id or 0

    def score(self, probes: Sequence[Probe], keep_in_step_with: Rollout | None = None) -> list[Verdict]:
        """Return one verdict per probe, in order; see `BatchedProber.score`."""
        rollouts = [probe.rollout for probe in probes] + ([keep_in_step_with] if keep_in_step_with else [])
        prompts: dict[tuple[int, tuple[int, ...]], int] = {}
        for rollout in rollouts:
            prompts.setdefault((id(rollout.sample), rollout.prompt_ids), len(prompts))
        inputs = self._process_prompts(rollouts, prompts)
        rows = [
            _Row(
                number,
                prompts[id(probe.rollout.sample), probe.rollout.prompt_ids],
                probe.rollout.prompt_ids
                + probe.rollout.completion_ids[: probe.anchor.index]
                + self._questions.encode(probe.claim.text),
            )
            for number, probe in enumerate(probes)
        ]
        batches = split_rows(rows, self._max_batch_tokens, one_prompt=self._collective)
        if self._agree_on_batches is not None:
            if keep_in_step_with is None:
                raise ValueError("keep_in_step_with is required where ranks must agree on the number of batches")
            idle = _Row(-1, len(prompts) - 1, keep_in_step_with.prompt_ids)
            batches += [[idle]] * self._count_idle(len(batches))
        cache: dict[int, ImageFeatures] | None = None if self._collective else {}
        p_true = [0.5] * len(probes)
        with inference(self._model), self._autocast():
            for batch in batches:
                for row, p in zip(batch, self._score_batch(batch, inputs, cache), strict=True):
                    if row.number >= 0:
                        p_true[row.number] = p
        return [Verdict(probe, p) for probe, p in zip(probes, p_true, strict=True)]

    def _process_prompts(
        self, rollouts: Sequence[Rollout], prompts: dict[tuple[int, tuple[int, ...]], int]
    ) -> list[ImageInputs]:
        device = find_first_device(self._feature_module)
        first = {prompts[id(rollout.sample), rollout.prompt_ids]: rollout for rollout in reversed(rollouts)}
        return [process_images(self._processor, first[n].sample.images).to(device) for n in range(len(prompts))]

    def _score_batch(
        self, batch: Sequence[_Row], inputs: Sequence[ImageInputs], cache: dict[int, ImageFeatures] | None
    ) -> list[float]:
        device = find_first_device(self._feature_module)
        length = max(len(row.ids) for row in batch)
        padding = [length - len(row.ids) for row in batch]
        ids = [[self._pad_token_id] * pad + list(row.ids) for row, pad in zip(batch, padding, strict=True)]
        mask = [[0] * pad + [1] * (length - pad) for pad in padding]
        model_inputs: dict[str, Any] = {
            "input_ids": torch.tensor(ids, device=device),
            "attention_mask": torch.tensor(mask, device=device),
        }
        shown = [row.prompt for row in batch if inputs[row.prompt].tensors]  # the others have no images
        model_inputs |= name_images(self._feature_module, [inputs[prompt] for prompt in shown])
        if self._token_type_name is not None:
            types = [token_types(row, self._image_token_id) for row in ids]
            model_inputs[self._token_type_name] = torch.tensor(types, device=device)
        module = self._feature_module
        with (
            positions_behind_padding(module),
            shared_image_features(module, shown, inputs, cache),
            explaining_failures(type(module).__name__),
        ):
            logits = self._model(**model_inputs, use_cache=False, logits_to_keep=1).logits[:, -1]
        return self._questions.answer_tokens.p_true(logits)


def split_rows(rows: Sequence[_Row], max_batch_tokens: int, *, one_prompt: bool) -> list[list[_Row]]:
    """Split rows into batches of at most `max_batch_tokens` padded tokens; a longer row gets a batch of its own.

    Rows of one prompt stay together, so that its images' features are asked for in one stretch, and within it rows
    of like length, so that little is padding.
    """
    batches: list[list[_Row]] = []
    for row in sorted(rows, key=lambda row: (row.prompt, len(row.ids))):
        batch = batches[-1] if batches else []
        longest = max([len(row.ids), *(len(other.ids) for other in batch)])
        fits = longest * (len(batch) + 1) <= max_batch_tokens
        if batch and fits and not (one_prompt and batch[0].prompt != row.prompt):
            batch.append(row)
        else:
            batches.append([row])
    return batches
