"""What a chat endpoint alone can do: write responses, and continue one where its text comes back as the same tokens.

vLLM's chat endpoint continues an assistant's text (`continue_final_message`) but tokenises it anew. It also reports
the tokens of the prompt that it read, so each continuation is compared with what was meant, and a difference is an
error: a response continued from other tokens than its own is another response.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vapo.api.connection import ServerConnection
from vapo.api.responses import list_tokens, read_content, read_ids, take_choice, take_message
from vapo.data.prompts import PLACE
from vapo.errors import ModelError
from vapo.models.diagnosed_model import GREEDY, Sampling
from vapo.serving.conversation import Message, write_turn
from vapo.serving.tokens import read_logprobs
from vapo.types import Rollout, Sample

UNKNOWN_ID = -1
"""Stands for the id of a token whose text alone is known."""

MAX_TOP_LOGPROBS = 20  # the most that OpenAI's API and vLLM list
_LIKELIEST = {"temperature": 0.0, "top_p": 1.0, "seed": 0}
# vLLM would take these from the model's generation settings, which transformers' greedy responses leave alone.
_PLAIN = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "skip_special_tokens": False, "return_token_ids": True}


class ChatEndpoint:
    """Continue an assistant's text, and check that its tokens stay the same.

    Args:
        connection: to a server whose chat endpoint reports token ids, as vLLM's does.
        write_conversation: makes messages of a sample.
        never: token ids that may not be sampled, as they stand for images.
        decode: turns token ids into text, special tokens included.
    """

    def __init__(
        self,
        connection: ServerConnection,
        write_conversation: Callable[[Sample], list[Message]],
        never: Sequence[int],
        decode: Callable[[Sequence[int]], str],
    ) -> None:
        self._connection = connection
        self._write_conversation = write_conversation
        self._never = {str(token): -100 for token in never}
        self._decode = decode
        # By the prompts that images were shown again in: what the assistant said before each turn, and its words.
        self._turns: dict[tuple[int, ...], tuple[tuple[str, str], ...]] = {}

    def find_prompt(self, sample: Sample) -> tuple[int, ...]:
        """Return a sample's prompt in tokens. Raises ServerError if the server refuses it."""
        return self._read_prompt(self._write_conversation(sample))

    def write(
        self,
        sample: Sample,
        prompt_ids: Sequence[int],
        ids: Sequence[int],
        max_tokens: int,
        sampling: Sampling = GREEDY,
    ) -> tuple[int, ...]:
        """Return what the model writes behind `ids`; see `TokenEndpoints.write`.

        Raises:
            ModelError: the server read other tokens than these.
        """
        options = {"max_completion_tokens": max_tokens, "logit_bias": self._never, **_draw(sampling, sample)}
        return read_ids(self._continue(sample, prompt_ids, ids, options), "token_ids")

    def ask(
        self,
        sample: Sample,
        prompt_ids: Sequence[int],
        ids: Sequence[int],
        token_ids: Sequence[int],
        *,
        among_all: bool = False,
    ) -> dict[int, float]:
        """Return the log-probability of those of `token_ids` that the server tells; see `TokenEndpoints.ask`."""
        wanted = list(token_ids)
        options: dict[str, Any] = {
            "max_completion_tokens": 1,
            "logprobs": True,
            "top_logprobs": min(MAX_TOP_LOGPROBS, len(wanted)),
            **({} if among_all else {"allowed_token_ids": wanted}),
            "logprob_token_ids": wanted,
            "return_tokens_as_token_ids": True,
        }
        choice = self._continue(sample, prompt_ids, ids, options)
        logprobs = read_logprobs(choice, wanted)
        if among_all or set(read_ids(choice, "token_ids")) <= set(wanted) or len(wanted) >= MAX_TOP_LOGPROBS:
            return logprobs
        # Restrictions were ignored: what is left is to look among the likeliest.
        options = {**options, "top_logprobs": MAX_TOP_LOGPROBS}
        return read_logprobs(self._continue(sample, prompt_ids, ids, options), wanted)

    def find_replay_prompt(self, rollout: Rollout, ids: Sequence[int], sample: Sample, words: str) -> tuple[int, ...]:
        """Return the prompt that shows a question's images again behind the first tokens of a completion.

        See `TokenEndpoints.find_replay_prompt`.
        """
        before = (*rollout.prompt_ids, *ids)
        turns = (*self._turns.get(rollout.prompt_ids, ()), (self._decode(ids), words))
        prompt = self._read_prompt(self._write_messages(sample, turns))
        self._check(before, prompt[: len(before)], sample)
        self._turns[prompt] = turns
        return prompt

    def _continue(
        self, sample: Sample, prompt_ids: Sequence[int], ids: Sequence[int], options: Mapping[str, Any]
    ) -> dict[str, Any]:
        messages = self._find_messages(sample, prompt_ids)
        if ids:
            messages = [*messages, _assistant(self._decode(ids))]
        reply = self._connection.chat({**_body(messages, going_on=bool(ids)), **options})
        self._check((*prompt_ids, *ids), read_ids(reply, "prompt_token_ids"), sample)
        return take_choice(reply)

    def _find_messages(self, sample: Sample, prompt_ids: Sequence[int]) -> list[Message]:
        return self._write_messages(sample, self._turns.get(tuple(prompt_ids), ()))

    def _write_messages(self, sample: Sample, turns: Sequence[tuple[str, str]]) -> list[Message]:
        own = replace(sample, images=sample.images[: sample.question.count(PLACE)]) if turns else sample
        messages = self._write_conversation(own)
        for number, (text, words) in enumerate(turns, 1):
            messages += [_assistant(text), write_turn(sample, number, words)]
        return messages

    def _read_prompt(self, messages: list[Message]) -> tuple[int, ...]:
        reply = self._connection.chat({**_body(messages, going_on=False), "max_completion_tokens": 1})
        return read_ids(reply, "prompt_token_ids")

    def _check(self, meant: Sequence[int], seen: Sequence[int], sample: Sample) -> None:
        if tuple(meant) == tuple(seen):
            return
        same = next((n for n, pair in enumerate(zip(meant, seen, strict=False)) if len(set(pair)) > 1), len(seen))
        raise ModelError(
            f"sample {sample.id!r}: the server's chat endpoint reads a cut response as other tokens than it was "
            f"written in (token {same} of {len(meant)}), so it cannot be continued exactly; start the server with "
            "`vllm serve --enable-scale-out`"
        )


def write_text_only(
    connection: ServerConnection, messages: list[Message], max_tokens: int, sample: Sample, sampling: Sampling = GREEDY
) -> tuple[str, ...]:
    """Return a response, token by token, from a server that reports texts of tokens but not their ids.

    Raises:
        ModelError: it does not report tokens at all.
    """
    options = {"max_completion_tokens": max_tokens, "logprobs": True, **_draw(sampling, sample)}
    reply = connection.chat({"messages": messages, **options})
    choice = take_choice(reply)
    content, entries = read_content(take_message(choice)), list_tokens(choice)
    if content and not entries:
        raise ModelError(
            f"the server at {connection.url} does not say which tokens its answer to sample {sample.id!r} has "
            "(logprobs), so a response of it cannot be measured; use a server that does, such as vLLM"
        )
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    texts: list[str] = []
    left = content
    for entry in entries:
        text = decoder.decode(spelled) if (spelled := _read_bytes(entry)) is not None else str(entry.get("token"))
        # An end token is listed but is no part of the content.
        texts.append(text if left.startswith(text) else "")
        left = left[len(texts[-1]) :]
    if left:
        raise ModelError(
            f"the server at {connection.url} lists tokens that do not spell its answer to sample {sample.id!r}; start "
            "it without a parser of reasoning or tools"
        )
    return tuple(texts)


def _read_bytes(entry: Mapping[str, Any]) -> bytes | None:
    try:
        return bytes(entry["bytes"]) if isinstance(entry.get("bytes"), list) else None
    except (ValueError, TypeError):  # numbers that are no bytes: the token's text is all there is
        return None


def _assistant(text: str) -> Message:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def _body(messages: list[Message], *, going_on: bool) -> dict[str, Any]:
    turn = {"continue_final_message": going_on, "add_generation_prompt": not going_on}
    return {"messages": messages, **_LIKELIEST, **_PLAIN, **turn}


def _draw(sampling: Sampling, sample: Sample) -> dict[str, Any]:
    return {**_LIKELIEST, "temperature": sampling.temperature, "seed": sampling.seed_for(sample)}
