"""Probes put to vLLM: the rollout's tokens and a question, and one token of answer.

The engine still holds the keys and values of the rollout in its prefix cache, so a probe costs little more than its
question. Token ids go in and log-probabilities come out; text is at no point tokenised again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from vapo.errors import ModelError
from vapo.models.questions import PROBE_TEMPLATE, ClaimQuestions, share_of_yes
from vapo.types import Probe, Rollout, Verdict

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class ImagePrompt:
    """What is put to an engine: token ids, the images' expanded to one per feature, and the images."""

    ids: tuple[int, ...]
    images: tuple[Image, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine thinks comes next.

    Attributes:
        logprobs: log-probability of each token asked about, up to a constant that all of them share.
        cached_tokens: tokens of the prompt that were found in the prefix cache; None where the engine does not say.
    """

    logprobs: Mapping[int, float]
    cached_tokens: int | None


class AnswerEngine(Protocol):
    """A vLLM engine, in this process or behind HTTP."""

    def answer(self, prompts: Sequence[ImagePrompt], token_ids: Sequence[int]) -> list[Answer]:
        """Return, for each prompt in order, how likely each of `token_ids` is to come next.

        Every rank must call it equally often, with as many prompts as it has, none included: where ranks share an
        engine, it makes all of them ask the same.

        Raises:
            ModelError: the engine saw another prompt, or cannot answer.
        """
        ...


class VLLMProber:
    """Score probes with the engine that made the rollouts.

    Args:
        engine: holds the same weights as the policy.
        tokenizer: the policy's.
        image_token_id: what stands for images in prompts.
        template: the question, see `vapo.models.questions`.
        on_cache_share: called after each scoring with the share of the prompts' tokens, in [0, 1], that the engine
            had in its prefix cache.

    Raises:
        ModelError: the tokenizer cannot tell "yes" from "no".
    """

    def __init__(
        self,
        engine: AnswerEngine,
        tokenizer: Any,
        image_token_id: int,
        *,
        template: str = PROBE_TEMPLATE,
        on_cache_share: Callable[[float], None] | None = None,
    ) -> None:
        self._engine = engine
        self._image_token_id = image_token_id
        self._questions = ClaimQuestions(tokenizer, template)
        self._on_cache_share = on_cache_share

    def score(self, probes: Sequence[Probe], keep_in_step_with: Rollout | None = None) -> list[Verdict]:
        """Return one verdict per probe, in order.

        Args:
            probes: any number, of any rollouts.
            keep_in_step_with: not needed here: engines keep the ranks that share them in step.

        Raises:
            ModelError: a completion holds image tokens, which vLLM would take for images.
        """
        answers = self._questions.answer_tokens
        prompts = [self._write(probe) for probe in probes]
        replies = self._engine.answer(prompts, [*answers.yes, *answers.no])
        known = [(reply.cached_tokens, len(prompt.ids)) for reply, prompt in zip(replies, prompts, strict=True)]
        cached = [tokens for tokens, _ in known if tokens is not None]
        if cached and self._on_cache_share is not None:
            self._on_cache_share(sum(cached) / sum(length for tokens, length in known if tokens is not None))
        return [
            Verdict(probe, share_of_yes(reply.logprobs, answers.yes, answers.no))
            for probe, reply in zip(probes, replies, strict=True)
        ]

    def _write(self, probe: Probe) -> ImagePrompt:
        prefix = probe.rollout.completion_ids[: probe.anchor.index]
        if self._image_token_id in prefix:
            raise ModelError(
                f"a completion of {probe.rollout.sample.id!r} holds an image token, so vLLM cannot be asked about it; "
                "keep the policy from sampling tokens that stand for images"
            )
        ids = probe.rollout.prompt_ids + prefix + self._questions.encode(probe.claim.text)
        return ImagePrompt(ids, probe.rollout.sample.images)
