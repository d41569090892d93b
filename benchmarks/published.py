"""Probing as the published VAPO code does it, on a transformers engine instead of its fork of vLLM."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch

from benchmarks.rollouts import text_part
from vapo.models.policy.inference import inference
from vapo.models.questions import PROBE_TEMPLATE, ClaimQuestions
from vapo.types import Probe, Rollout, Verdict


class RepromptingProber:
    """Ask every probe with a prompt of its own: image, question, response and claim from the beginning.

    Assumed of the published code: a probe's prompt is text (the chat prompt, the decoded response up to the anchor,
    the claim), which the processor tokenises together with the image; the K prompts of a response are handed over
    together, each with the image, which is resized, normalised and encoded for each of them; nothing is kept from
    one prompt to the next. Prompts are batched with as many tokens as the other probers get, and only the last
    token's logits are computed, so the engine itself is not what differs.

    Args:
        model: the policy.
        processor: its processor, whose tokenizer pads on the left.
        max_batch_tokens: tokens in one forward pass, padding included.
    """

    def __init__(self, model: Any, processor: Any, max_batch_tokens: int = 8192) -> None:
        self._model = model
        self._processor = processor
        self._max_batch_tokens = max_batch_tokens
        self._answer_tokens = ClaimQuestions(processor.tokenizer).answer_tokens

    def score(self, probes: Sequence[Probe], keep_in_step_with: Rollout | None = None) -> list[Verdict]:
        """Return one verdict per probe, in order; the probes of a rollout follow each other."""
        verdicts: list[Verdict] = []
        with inference(self._model):
            for _, group in groupby(probes, key=lambda probe: id(probe.rollout)):
                verdicts += self._score_response(list(group))
        return verdicts

    def find_retokenised(self, probes: Sequence[Probe]) -> list[bool]:
        """Return for each probe whether its prompt's tokens are others than those that were sampled."""
        questions = ClaimQuestions(self._processor.tokenizer)
        changed: list[bool] = []
        for probe in probes:
            sampled = (
                probe.rollout.prompt_ids
                + probe.rollout.completion_ids[: probe.anchor.index]
                + questions.encode(probe.claim.text)
            )
            written = self._processor(text=[self._write(probe)], images=[list(probe.rollout.sample.images)])
            changed.append(tuple(written["input_ids"][0]) != sampled)
        return changed

    def _score_response(self, probes: Sequence[Probe]) -> list[Verdict]:
        encoded = self._processor(
            text=[self._write(probe) for probe in probes],
            images=[list(probe.rollout.sample.images) for probe in probes],
        )
        ids: list[list[int]] = [list(row) for row in encoded["input_ids"]]
        images = _split_images(encoded, [len(probe.rollout.sample.images) for probe in probes])
        verdicts: list[Verdict] = []
        for batch in self._split(ids):
            padded = self._processor.tokenizer.pad({"input_ids": [ids[n] for n in batch]}, return_tensors="pt")
            inputs = {**padded, **{name: torch.cat([images[n][name] for n in batch]) for name in images[0]}}
            inputs["mm_token_type_ids"] = (inputs["input_ids"] == self._model.config.image_token_id).long()
            on_device = {name: tensor.to(self._model.device) for name, tensor in inputs.items()}
            logits = self._model(**on_device, use_cache=False, logits_to_keep=1).logits[:, -1]
            answers = self._answer_tokens.p_true(logits)
            verdicts += [Verdict(probes[n], p) for n, p in zip(batch, answers, strict=True)]
        return verdicts

    def _write(self, probe: Probe) -> str:
        rollout = probe.rollout
        images = [{"type": "image", "image": image} for image in rollout.sample.images]
        messages = [{"role": "user", "content": [*images, text_part(rollout.sample.question)]}]
        prompt = self._processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        response = self._processor.tokenizer.decode(list(rollout.completion_ids[: probe.anchor.index]))
        return prompt + response + PROBE_TEMPLATE.replace("{claim}", probe.claim.text)

    def _split(self, rows: Sequence[Sequence[int]]) -> list[list[int]]:
        batches: list[list[int]] = [[]]
        longest = 0
        for number, row in enumerate(rows):
            longest = max(longest, len(row))
            if batches[-1] and longest * (len(batches[-1]) + 1) > self._max_batch_tokens:
                batches.append([])
                longest = len(row)
            batches[-1].append(number)
        return batches


def _split_images(encoded: Any, images_per_row: Sequence[int]) -> list[dict[str, torch.Tensor]]:
    grids = torch.as_tensor(encoded["image_grid_thw"])
    patches = torch.as_tensor(encoded["pixel_values"])
    rows: list[dict[str, torch.Tensor]] = []
    for own in grids.split(list(images_per_row)):
        taken = sum(len(row["pixel_values"]) for row in rows)
        rows.append({"image_grid_thw": own, "pixel_values": patches[taken : taken + int(own.prod(-1).sum())]})
    return rows
