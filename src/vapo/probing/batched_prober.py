"""What probers of a transformers model share: the model, the question, and how their forward passes are bounded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from vapo.models.image_features import find_feature_module
from vapo.models.policy.checkpoint import adopt_chat_template
from vapo.models.questions import PROBE_TEMPLATE, ClaimQuestions
from vapo.models.vision_tokens import find_token_type_name
from vapo.types import Probe, Rollout, Verdict


class BatchedProber(ABC):
    """Score probes with a transformers model in forward passes of bounded size.

    Args:
        model: the policy, as the trainer calls it (wrapped or not).
        processor: its processor.
        template: the question, see `vapo.models.questions`.
        max_batch_tokens: tokens in one forward pass, padding included.
        autocast: makes the context in which the model is called.
        agree_on_batches: given this process's number of passes, returns how many every process must run; None where
            there is one process.
        collective: whether a forward pass is a collective call, as with FSDP and ZeRO-3. Every pass then holds one
            prompt and encodes its images itself, so that all ranks make the same calls inside a pass too.

    Raises:
        ModelError: the model or tokenizer cannot be probed, or there is no chat template.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        processor: Any,
        *,
        template: str = PROBE_TEMPLATE,
        max_batch_tokens: int = 8192,
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
        agree_on_batches: Callable[[int], int] | None = None,
        collective: bool = False,
    ) -> None:
        adopt_chat_template(processor, f"this {type(processor).__name__}")
        self._model = model
        self._processor = processor
        self._questions = ClaimQuestions(processor.tokenizer, template)
        self._max_batch_tokens = max_batch_tokens
        self._autocast = autocast
        self._agree_on_batches = agree_on_batches
        self._collective = collective
        self._feature_module = find_feature_module(model)
        self._token_type_name = find_token_type_name(self._feature_module, processor)

    @abstractmethod
    def score(self, probes: Sequence[Probe], keep_in_step_with: Rollout | None = None) -> list[Verdict]:
        """Return one verdict per probe, in order.

        Args:
            probes: any number, of any rollouts.
            keep_in_step_with: a rollout to run when other ranks have probes and this one has none left; required
                where `agree_on_batches` is given.
        """

    def _count_idle(self, own: int) -> int:
        """Return how many passes this process must run without probes of its own, after `own` with them."""
        return self._agree_on_batches(own) - own if self._agree_on_batches is not None else 0
