"""A vLLM engine in this process, as TRL's `vllm_mode="colocate"` makes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from vapo.models.questions import one_token_of
from vapo.probing.vllm.pads import check_same_prompt, make_vllm_prompt
from vapo.probing.vllm.prober import Answer, ImagePrompt


@dataclass(frozen=True, slots=True)
class EngineRanks:
    """The ranks over which one engine is spread (tensor parallelism).

    Attributes:
        gather: returns what every one of them passed, in order; a collective call.
        own: place of this one among them.
    """

    gather: Callable[[list[ImagePrompt]], list[list[ImagePrompt]]]
    own: int


class LocalEngine:
    """Answer with a `vllm.LLM`.

    Args:
        llm: made with `logprobs_mode="processed_logprobs"`, as TRL does.
        image_token_id: what stands for images in prompts.
        ranks: where several ranks share the engine: all of them must then put the same prompts to it.
        awake: makes the context in which the engine holds its weights and its cache, for one that sleeps in between.
    """

    def __init__(
        self,
        llm: Any,
        image_token_id: int,
        *,
        ranks: EngineRanks | None = None,
        awake: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self._llm = llm
        self._image_token_id = image_token_id
        self._ranks = ranks
        self._awake = awake

    def answer(self, prompts: Sequence[ImagePrompt], token_ids: Sequence[int]) -> list[Answer]:
        """Return how likely each of `token_ids` is to come next; see `AnswerEngine`."""
        shares = [list(prompts)] if self._ranks is None else self._ranks.gather(list(prompts))
        everyones = [prompt for share in shares for prompt in share]
        # Waking may be a collective call, so an engine with nothing to do is woken too.
        with self._awake():
            answers = self._ask(everyones, token_ids) if everyones else []
        own = 0 if self._ranks is None else self._ranks.own
        first = sum(len(share) for share in shares[:own])
        return answers[first : first + len(prompts)]

    def _ask(self, prompts: Sequence[ImagePrompt], token_ids: Sequence[int]) -> list[Answer]:
        # Where vLLM is not installed, pyright takes the file beside this one for it.
        from vllm import SamplingParams  # pyright: ignore[reportMissingImports]

        sampling = SamplingParams(**one_token_of(token_ids))
        sent = [make_vllm_prompt(prompt.ids, prompt.images, self._image_token_id) for prompt in prompts]
        outputs = self._llm.generate(sent, sampling_params=sampling, use_tqdm=False)
        answers: list[Answer] = []
        for prompt, output in zip(prompts, outputs, strict=True):
            check_same_prompt(prompt.ids, output.prompt_token_ids, self._image_token_id)
            logprobs = {token: entry.logprob for token, entry in output.outputs[0].logprobs[0].items()}
            answers.append(Answer(logprobs, output.num_cached_tokens))
        return answers
