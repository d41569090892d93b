"""Exact continuation through vLLM's endpoints for token ids: what was sampled goes back as it was sampled.

One endpoint turns a conversation into token ids and images into features, the other continues token ids that are
paired with features. Both need `vllm serve --enable-scale-out`. The chat endpoint takes text, and tokenises it anew.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from vapo.api.connection import GENERATE, RENDER, ServerConnection
from vapo.api.images import encode_lossless, make_image_parts
from vapo.api.responses import list_tokens, read_ids, take_choice
from vapo.api.responses import read_logprobs as read_pairs
from vapo.api.server_errors import ServerError
from vapo.core.image_names import name_image
from vapo.data.repeated_images import STAND_INS, find_common_end
from vapo.errors import ModelError
from vapo.models.diagnosed_model import GREEDY, Sampling
from vapo.models.questions import one_token_of
from vapo.serving.conversation import Message, count_turns, write_turn
from vapo.types import Rollout, Sample

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_KEPT_FEATURES = 32
"""Prompts whose images are kept as features: with the largest images of Qwen2.5-VL, some 60 MB each."""


@dataclass(frozen=True, slots=True)
class _RenderedImages:
    """What the server made of a prompt's images: their features, and the tokens of each."""

    features: dict[str, Any]
    tokens: tuple[tuple[int, ...], ...]


class TokenEndpoints:
    """Continue token ids.

    Args:
        connection: to a vLLM server with both endpoints.
        write_conversation: makes messages of a sample.
        never: token ids that may not be sampled, as they stand for images.
    """

    def __init__(
        self,
        connection: ServerConnection,
        write_conversation: Callable[[Sample], list[Message]],
        never: Sequence[int],
    ) -> None:
        self._connection = connection
        self._write_conversation = write_conversation
        self._never = {str(token): -100.0 for token in never}
        self._kept: OrderedDict[tuple[str, ...], _RenderedImages] = OrderedDict()
        self._brought: set[tuple[str, ...]] = set()
        self._lock = Lock()

    def find_prompt(self, sample: Sample) -> tuple[int, ...]:
        """Return a sample's prompt in tokens. Raises ServerError if the server refuses it."""
        reply = self._render(self._write_conversation(sample))
        if sample.images:
            self._keep(_name(sample.images), _read_rendered(reply))
        return read_ids(reply, "token_ids")

    def write(
        self,
        sample: Sample,
        prompt_ids: Sequence[int],
        ids: Sequence[int],
        max_tokens: int,
        sampling: Sampling = GREEDY,
    ) -> tuple[int, ...]:
        """Return what the model writes behind `ids`, with the end token.

        Args:
            sample: its images are those of the prompt.
            prompt_ids: the prompt, images expanded.
            ids: the beginning of the completion.
            max_tokens: the most to write.
            sampling: how.

        Raises:
            ModelError: the model's context is too short.
        """
        # This endpoint would stop at the end of the context, and say no more than that it stopped at a length.
        context = self._connection.find_model().get("max_model_len")
        length = len(prompt_ids) + len(ids)
        if isinstance(context, int) and length + max_tokens > context:
            raise ModelError(
                f"sample {sample.id!r}: {length} tokens (images included) and {max_tokens} new ones exceed the "
                f"server's context of {context}; ask for fewer new tokens, use smaller images, or start the server "
                "with a larger --max-model-len"
            )
        options = {
            "max_tokens": max_tokens,
            "temperature": sampling.temperature,
            "seed": sampling.seed_for(sample),
            "logit_bias": self._never,
            "detokenize": False,
        }
        choice = self._generate(sample, [*prompt_ids, *ids], options)
        return read_ids(choice, "token_ids")

    def ask(
        self,
        sample: Sample,
        prompt_ids: Sequence[int],
        ids: Sequence[int],
        token_ids: Sequence[int],
        *,
        among_all: bool = False,
    ) -> dict[int, float]:
        """Return the log-probability of each of `token_ids` behind `ids`, up to a constant that all of them share.

        `among_all` tokens of the vocabulary that constant is 0.
        """
        choice = self._generate(sample, [*prompt_ids, *ids], one_token_of(token_ids, among_all=among_all))
        return read_logprobs(choice, token_ids)

    def find_replay_prompt(self, rollout: Rollout, ids: Sequence[int], sample: Sample, words: str) -> tuple[int, ...]:
        """Return the prompt that shows a question's images again behind the first tokens of a completion.

        Those tokens stay as they are. What the chat template writes behind them is what two conversations that differ
        in their answers have in common at their ends.

        Args:
            rollout: its prompt comes first.
            ids: what is kept of its completion.
            sample: that of the new prompt, see `write_turn`.
            words: text behind the images.

        Raises:
            ModelError: the chat template cannot carry the turn.
        """
        turn = write_turn(sample, count_turns(sample), words)
        first, second = (
            read_ids(self._render([_say("user", "Look."), _say("assistant", text), turn]), "token_ids")
            for text in STAND_INS
        )
        prompt = (*rollout.prompt_ids, *ids, *find_common_end(first, second))
        place_images(self._find_rendered(_name(sample.images), sample.images), prompt, sample.id)
        return prompt

    def _render(self, messages: Sequence[Message], **options: Any) -> dict[str, Any]:
        return self._connection.post(RENDER, {"messages": list(messages), "max_tokens": 1, **options})

    def _generate(self, sample: Sample, ids: Sequence[int], sampling: Mapping[str, Any]) -> dict[str, Any]:
        body: dict[str, Any] = {"token_ids": list(ids), "sampling_params": sampling}
        if not sample.images:
            return take_choice(self._connection.post(GENERATE, body))
        names = _name(sample.images)
        features = place_images(self._find_rendered(names, sample.images), ids, sample.id)
        with self._lock:
            by_name = names in self._brought
        if by_name:
            body["features"] = {**features, "kwargs_data": None, "mm_metadata": None}
            try:
                return take_choice(self._connection.post(GENERATE, body, retry=False))
            except ServerError as error:
                if error.status != 500:
                    raise  # else: evicted, or another replica answered
        reply = self._connection.post(GENERATE, {**body, "features": features})
        with self._lock:
            self._brought.add(names)
        return take_choice(reply)

    def _find_rendered(self, names: tuple[str, ...], images: Sequence[Image]) -> _RenderedImages:
        with self._lock:
            if names in self._kept:
                self._kept.move_to_end(names)
                return self._kept[names]
        rendered = _read_rendered(
            self._render([{"role": "user", "content": make_image_parts([encode_lossless(image) for image in images])}])
        )
        self._keep(names, rendered)
        return rendered

    def _keep(self, names: tuple[str, ...], rendered: _RenderedImages) -> None:
        with self._lock:
            self._kept[names] = rendered
            self._kept.move_to_end(names)
            while len(self._kept) > MAX_KEPT_FEATURES:
                self._kept.popitem(last=False)


def place_images(rendered: _RenderedImages, ids: Sequence[int], sample_id: str) -> dict[str, Any]:
    """Return the features of images, pointed at their tokens in `ids`.

    Raises:
        ModelError: `ids` was not written for these images, or for another processor.
    """
    places: list[dict[str, int]] = []
    start = 0
    for tokens in rendered.tokens:
        place = _find(tokens, ids, start)
        if place is None:
            break
        places.append({"offset": place, "length": len(tokens)})
        start = place + len(tokens)
    kinds = {tokens[len(tokens) // 2] for tokens in rendered.tokens}
    meant = sum(token in kinds for token in ids)
    if len(places) < len(rendered.tokens) or meant != sum(t in kinds for tokens in rendered.tokens for t in tokens):
        raise ModelError(
            f"sample {sample_id!r}: the server makes other tokens of its images than the response was written with; "
            "let the server write the response, or save the processor with its settings into the model's folder"
        )
    return {**rendered.features, "mm_placeholders": {"image": places}}


def read_logprobs(choice: Mapping[str, Any], token_ids: Sequence[int]) -> dict[int, float]:
    """Return the log-probabilities of `token_ids` for the first token of an answer; those not told are missing."""
    logprobs: dict[int, float] = {}
    for entry in list_tokens(choice)[:1]:
        for token, logprob in (*read_pairs(entry.get("top_logprobs")), *read_pairs([entry])):
            kind, _, number = token.partition(":")
            if kind == "token_id" and number.isdigit():
                logprobs[int(number)] = logprob
    return {token: logprobs[token] for token in token_ids if token in logprobs}


def _say(role: str, text: str) -> Message:
    return {"role": role, "content": [{"type": "text", "text": text}]}


def _read_rendered(reply: Mapping[str, Any]) -> _RenderedImages:
    ids = read_ids(reply, "token_ids")
    try:
        features = dict(reply["features"])
        places = [slice(p["offset"], p["offset"] + p["length"]) for p in features["mm_placeholders"]["image"]]
        tokens = tuple(ids[place] for place in places)
    except (KeyError, TypeError, ValueError) as error:
        raise ServerError("the server makes no features of images; use vLLM 0.31 or newer") from error
    if not all(tokens):
        raise ServerError("the server makes no tokens of an image; use vLLM 0.31 or newer")
    return _RenderedImages(features, tokens)


def _find(tokens: tuple[int, ...], ids: Sequence[int], start: int) -> int | None:
    for place in range(start, len(ids) - len(tokens) + 1):
        if ids[place] == tokens[0] and tuple(ids[place : place + len(tokens)]) == tokens:
            return place
    return None


def _name(images: Sequence[Image]) -> tuple[str, ...]:
    return tuple(map(name_image, images))
