"""A vLLM engine in this process, as TRL's `vllm_mode="colocate"` makes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from vapo.core.image_names import name_image
from vapo.models.questions import one_token_of
from vapo.probing.vllm.pads import Expansion, find_images
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
        outputs = generate_as_given(self._llm, prompts, sampling, self._image_token_id)
        answers: list[Answer] = []
        for output in outputs:
            logprobs = {token: entry.logprob for token, entry in output.outputs[0].logprobs[0].items()}
            answers.append(Answer(logprobs, output.num_cached_tokens))
        return answers


def generate_as_given(llm: Any, prompts: Sequence[ImagePrompt], sampling: Any, image_token_id: int) -> list[Any]:
    """Return an engine's outputs for prompts that are shown to it token by token as they are.

    Args:
        llm: a `vllm.LLM`.
        prompts: what to go on from.
        sampling: its `SamplingParams`.
        image_token_id: what stands for images in prompts.

    Raises:
        ModelError: the engine makes other tokens of an image than a prompt has.
    """
    from vllm.sampling_params import RequestOutputKind  # pyright: ignore[reportMissingImports]

    sampling = sampling.clone()
    sampling.output_kind = RequestOutputKind.FINAL_ONLY
    engine, added, outputs = llm.llm_engine, [], []
    try:
        for prompt in prompts:
            request = render(llm, prompt, image_token_id)
            added.append(engine.add_request(str(next(llm.request_counter)), request, sampling))
    except Exception:
        engine.abort_request(added, internal=True)
        raise
    while engine.has_unfinished_requests():
        outputs += [output for output in engine.step() if output.finished]
    return sorted(outputs, key=lambda output: int(output.request_id))


def render(llm: Any, prompt: ImagePrompt, image_token_id: int) -> Any:
    """Return a prompt as vLLM's engine takes it, with the features of its images at their tokens.

    Images go by names made of their pixels: one that was seen before is neither processed nor encoded again, and
    what follows it is found in the prefix cache, whether a rollout or a probe brought it first.
    """
    if not prompt.images:
        find_images(prompt.ids, image_token_id, [])
        return llm.renderer.render_cmpl([{"prompt_token_ids": list(prompt.ids)}])[0]
    plain = [image if image.mode == "RGB" else image.convert("RGB") for image in prompt.images]
    own = {
        "prompt": llm.renderer.get_mm_processor().dummy_inputs.get_dummy_text({"image": len(plain)}),
        "multi_modal_data": {"image": plain},
        "multi_modal_uuids": {"image": [name_image(image) for image in plain]},
    }
    (request,) = llm.renderer.render_cmpl([own])
    ranges = request["mm_placeholders"]["image"]
    made = [_read_expansion(request["prompt_token_ids"], own_range) for own_range in ranges]
    begins = find_images(prompt.ids, image_token_id, made)
    moved = [replace(own_range, offset=begin) for own_range, begin in zip(ranges, begins, strict=True)]
    request.pop("prompt", None)
    return {**request, "prompt_token_ids": list(prompt.ids), "mm_placeholders": {"image": moved}}


def _read_expansion(ids: Sequence[int], own_range: Any) -> Expansion:
    tokens = tuple(ids[own_range.offset : own_range.offset + own_range.length])
    is_feature = own_range.is_embed.tolist() if own_range.is_embed is not None else [True] * own_range.length
    return Expansion(tokens, tuple(is_feature))
