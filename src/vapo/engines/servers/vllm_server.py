"""A vLLM server (`vllm serve`), asked over HTTP for token ids from token ids.

TRL 1.16's own client could carry the question, but throws away how much of a prompt was in the prefix cache and sends
a picture's pixels with every request. These are the same two endpoints: one turns pictures into features, the other
answers token ids that are paired with them. Both need `--enable-scale-out`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import Request

from vapo.api.address import hide_password
from vapo.api.bounds import MAX_FEATURES_BYTES, AnswerTooLargeError
from vapo.api.redaction import redact
from vapo.api.replies import parse_json
from vapo.api.web import fetch
from vapo.engines.servers.conversation import show_pictures
from vapo.engines.vllm.local import one_token_of
from vapo.engines.vllm.pads import find_pad_runs
from vapo.engines.vllm.prober import Answer, ImagePrompt
from vapo.errors import ModelError

if TYPE_CHECKING:
    from PIL.Image import Image

Result = TypeVar("Result")

RENDER, GENERATE, MODELS = "/v1/chat/completions/render", "/inference/v1/generate", "/v1/models"


class ServerEngine:
    """Answer with a vLLM server that serves one model.

    Ranks ask independently of each other. A prompt's pictures are sent once; questions after the first go by the
    name that the server gave them, and are sent again in full where the server no longer knows it.

    Args:
        base_url: for example `http://localhost:8000`.
        image_token_id: what stands for pictures in prompts.
        timeout_s: longest wait for one answer, in seconds.
        max_concurrent: requests under way at a time.
    """

    def __init__(
        self, base_url: str, image_token_id: int, *, timeout_s: float = 600.0, max_concurrent: int = 64
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._shown_url = hide_password(self._base_url)
        self._image_token_id = image_token_id
        self._timeout_s = timeout_s
        self._max_concurrent = max_concurrent
        self._model: str | None = None

    def answer(self, prompts: Sequence[ImagePrompt], token_ids: Sequence[int]) -> list[Answer]:
        """Return how likely each of `token_ids` is to come next; see `AnswerEngine`."""
        if not prompts:
            return []
        if self._model is None:
            self._model = _read(lambda reply: str(reply["data"][0]["id"]), self._call(MODELS))
        sampling = one_token_of(token_ids)
        pictures = {tuple(map(id, prompt.images)): prompt for prompt in reversed(prompts)}
        firsts = list(pictures.values())
        with ThreadPoolExecutor(self._max_concurrent) as pool:
            features = pool.map(lambda prompt: self._render(prompt.images), firsts)
            rendered = dict(zip(pictures, features, strict=True))
            # The first question about each prompt's pictures brings them; only then do others go by their name.
            answers = pool.map(lambda prompt: self._ask(prompt, rendered, sampling), firsts)
            brought = dict(zip(map(id, firsts), answers, strict=True))
            rest = [prompt for prompt in prompts if id(prompt) not in brought]
            answers = pool.map(lambda prompt: self._ask(prompt, rendered, sampling, by_name=True), rest)
            brought |= zip(map(id, rest), answers, strict=True)
        return [brought[id(prompt)] for prompt in prompts]

    def _render(self, images: Sequence[Image]) -> dict[str, Any] | None:
        if not images:
            return None
        messages = [{"role": "user", "content": show_pictures(images)}]
        body = {"model": self._model, "messages": messages, "max_tokens": 1}
        return _read(lambda reply: dict(reply["features"]), self._call(RENDER, body))

    def _ask(
        self,
        prompt: ImagePrompt,
        rendered: Mapping[tuple[int, ...], dict[str, Any] | None],
        sampling: Mapping[str, Any],
        *,
        by_name: bool = False,
    ) -> Answer:
        features = rendered[tuple(map(id, prompt.images))]
        body: dict[str, Any] = {"model": self._model, "token_ids": prompt.ids, "sampling_params": sampling}
        if features is not None:
            placed = place_features(features, prompt.ids, self._image_token_id)
            names_only = {**placed, "kwargs_data": None, "mm_metadata": None}
            body["features"] = names_only if by_name else placed
        try:
            reply = self._call(GENERATE, body)
        except _ServerError:
            if not by_name or features is None:
                raise
            return self._ask(prompt, rendered, sampling)  # evicted, or another replica answered
        return _read(_read_answer, reply)

    def _call(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = Request(self._base_url + path, data, {"Content-Type": "application/json"})
        who = f"the vLLM server at {self._shown_url}"
        try:
            content = fetch(request, max_bytes=MAX_FEATURES_BYTES, seconds=self._timeout_s)
            if len(content) > MAX_FEATURES_BYTES:
                raise AnswerTooLargeError(MAX_FEATURES_BYTES)
            return dict(parse_json(content))
        except HTTPError as error:
            if error.code == 404 and path in (RENDER, GENERATE):
                raise ModelError(
                    f"{who} has no {path}, which questions about pictures need; start it again with --enable-scale-out"
                ) from error
            message = redact(error.read().decode(errors="replace"))
            kind = _ServerError if error.code == 500 else ModelError
            raise kind(f"{who} answered {path} with {error.code}: {message}") from error
        except (OSError, HTTPException) as error:
            reason = error.reason if isinstance(error, URLError) else str(error) or type(error).__name__
            raise ModelError(f"{who} cannot be reached ({reason}); is `vllm serve` running?") from error
        except (ValueError, TypeError) as error:
            raise ModelError(f"{who} answered {path} with what is no JSON object; is it `vllm serve`?") from error


def _read(read: Callable[[Mapping[str, Any]], Result], reply: Mapping[str, Any]) -> Result:
    try:
        return read(reply)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"the vLLM server's answer has another form than vLLM 0.31's ({type(error).__name__}: {error}); serve the "
            "model with that version"
        ) from error


def _read_answer(reply: Mapping[str, Any]) -> Answer:
    (entry,) = reply["choices"][0]["logprobs"]["content"]
    logprobs = {int(top["token"].removeprefix("token_id:")): float(top["logprob"]) for top in entry["top_logprobs"]}
    details = reply["usage"].get("prompt_tokens_details") or {}  # absent without --enable-prompt-tokens-details
    return Answer(logprobs, details.get("cached_tokens"))


class _ServerError(ModelError):
    """The server failed at a request that may succeed in another form."""


def place_features(features: Mapping[str, Any], ids: Sequence[int], image_token_id: int) -> dict[str, Any]:
    """Return the features of pictures, pointed at the image tokens of `ids`.

    Args:
        features: as the server made them, placed in a conversation of its own.
        ids: a prompt whose image tokens are expanded.
        image_token_id: what stands for pictures.

    Raises:
        ModelError: the server makes another number of tokens of a picture than the prompt has.
    """
    runs = find_pad_runs(ids, image_token_id)
    meant, made = [run.length for run in runs], [place["length"] for place in features["mm_placeholders"]["image"]]
    if meant != made:
        raise ModelError(
            f"the vLLM server makes pictures of {made} tokens where the prompt has {meant}; save the processor with "
            "its settings into the model's folder, and start the server again"
        )
    return {**features, "mm_placeholders": {"image": [run._asdict() for run in runs]}}
