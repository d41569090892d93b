"""What all rollouts of one worker process share: the tokenizer's questions, and whether probes get answered at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from vapo.errors import ModelError
from vapo.models.media_tokens import find_vision_token_ids
from vapo.models.plain_text import make_escaper
from vapo.models.policy.checkpoint_embeddings import opened_embeddings
from vapo.models.questions import ClaimQuestions
from vapo.models.think_tags import adopt_think_tags, check_think_tags, decide_think_tags, opens_thinking
from vapo.training.rows import SampleReader
from vapo.verl.settings import LoopSettings

MAX_FAILURES = 64
"""Probes that may fail one after the other before the run is stopped; a server that is merely slow answers some."""


class Worker:
    """Holds what is made once per process.

    Args:
        processor: the policy's processor.
        model: the policy's name or folder; its configuration names the tokens that stand for images.
        settings: of the agent loop.
        trust_remote_code: whether code that comes with the model may run.

    Raises:
        ModelError: the model cannot be probed.
    """

    def __init__(self, processor: Any, model: str, settings: LoopSettings, trust_remote_code: bool) -> None:
        from transformers import AutoConfig

        self.tokenizer: Any = processor.tokenizer
        option = decide_think_tags(
            settings.think_tags, self.tokenizer, lambda: opened_embeddings(model, trust_remote_code)
        )
        self.think_tags = adopt_think_tags(option, self.tokenizer)
        check_think_tags(self.tokenizer, self.think_tags)
        config = AutoConfig.from_pretrained(model, trust_remote_code=trust_remote_code)
        self.algorithm = settings.make_algorithm()
        self.reader = SampleReader(require_claims=self.algorithm.needs.claims)
        self.questions = ClaimQuestions(self.tokenizer, settings.probe_template)
        self.never_sampled = find_vision_token_ids(config, processor)
        self.escape: Callable[[str], str] = make_escaper(processor)
        self._failures = 0
        self._anything_answered = False

    def opens_thinking(self, prompt_ids: Sequence[int]) -> bool:
        """Return whether a prompt ends by opening `<think>`, so that its completion begins inside."""
        return opens_thinking(self.tokenizer, prompt_ids, self.think_tags)

    def note_answers(self, count: int) -> None:
        """Count probes that were answered."""
        self._failures = 0 if count else self._failures
        self._anything_answered = self._anything_answered or count > 0

    def note_failure(self, error: Exception) -> None:
        """Count a probe that failed.

        Raises:
            ModelError: none was ever answered, so that a run would train without perception and not know it.
        """
        self._failures += 1
        if self._failures >= MAX_FAILURES and not self._anything_answered:
            error = getattr(error, "cause", None) or error  # Ray wraps what a server raised in its traceback
            raise ModelError(
                f"the server answered none of the first {self._failures} probes; the last one failed with "
                f"{type(error).__name__}: {error or 'no message'}"
            ) from error


@lru_cache(maxsize=2)
def open_worker(processor: Any, model: str, settings: LoopSettings, trust_remote_code: bool = False) -> Worker:
    """Return the process's worker for these settings."""
    return Worker(processor, model, settings, trust_remote_code)
