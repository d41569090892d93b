"""A model used as transformers documents it: one prompt, made whole by its processor, and `generate`.

What is faster (batches, shared images, packed trees) has to give the same numbers. `FirstLook` compares the two on the
user's own data, before anything is concluded from what the faster way gave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from vapo.models.first_device import find_first_device
from vapo.models.policy.generation import find_generator, own_settings
from vapo.models.policy.inference import inference
from vapo.models.vision_tokens import TOKEN_TYPE_INPUTS

NUM_COMPARED = 32
"""Tokens of a completion that are compared with a plain pass, which writes them one by one."""


class PlainPass:
    """Reads one prompt and tokens behind it, with nothing of a prompt's inputs left out, renamed or shared.

    Args:
        model: the policy, wrapped or not.
        processor: its processor.
        autocast: makes the context in which the model is called.
        collective: whether a forward pass is a collective call, as with FSDP and ZeRO-3. Then it is one pass over the
            whole row, in which what tells image tokens from text says text of all that is behind the prompt.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        processor: Any,
        *,
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
        collective: bool = False,
    ) -> None:
        self._model = model
        self._processor = processor
        self._autocast = autocast
        self._collective = collective

    def read(self, encoded: Mapping[str, Any], ids: Sequence[int]) -> torch.Tensor:
        """Return the logits of the token after the prompt, and after each of `ids` behind it, one by one.

        Args:
            encoded: all that the processor makes of the prompt; tensors of one row.
            ids: of n tokens.

        Returns:
            float32, shape (n + 1, vocabulary).
        """
        device = find_first_device(self._model)
        inputs = {
            name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in encoded.items()
        }
        with inference(self._model), self._autocast():
            return self._read_row(inputs, ids) if self._collective else self._write(inputs, ids)

    def _write(self, inputs: dict[str, Any], ids: Sequence[int]) -> torch.Tensor:
        generator = find_generator(self._model)
        settings = GenerationConfig(
            max_new_tokens=len(ids) + 1,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
            pad_token_id=self._processor.tokenizer.pad_token_id,
        )
        forced = LogitsProcessorList([_Forced(ids)])
        with own_settings(generator, settings):
            written = generator.generate(**inputs, generation_config=settings, logits_processor=forced)
        return torch.cat(written.logits).float()

    def _read_row(self, inputs: dict[str, Any], ids: Sequence[int]) -> torch.Tensor:
        behind = inputs["input_ids"].new_tensor([list(ids)])
        inputs["input_ids"] = torch.cat([inputs["input_ids"], behind], dim=1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        for name in TOKEN_TYPE_INPUTS:
            if name in inputs:
                inputs[name] = torch.cat([inputs[name], torch.zeros_like(behind)], dim=1)
        return self._model(**inputs, use_cache=False, logits_to_keep=len(ids) + 1).logits[0].float()


class _Forced(LogitsProcessor):
    """Let `generate` write given tokens, and anything behind them."""

    def __init__(self, ids: Sequence[int]) -> None:
        self._ids = list(ids)

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        chosen = self._ids.pop(0) if self._ids else 0
        return torch.full_like(scores, -torch.inf).index_fill(1, torch.tensor([chosen], device=scores.device), 0.0)
