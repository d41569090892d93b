"""A vLLM server (`vllm serve`), asked over HTTP for token ids from token ids.

TRL 1.16's own client could carry the question, but throws away how much of a prompt was in the prefix cache and sends
an image's pixels with every request. These are the same two endpoints: one turns images into features, the other
answers token ids that are paired with them. Both need `--enable-scale-out`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from vapo.api.connection import GENERATE, RENDER, ServerConnection
from vapo.api.images import encode_lossless, make_image_parts
from vapo.api.server_errors import ServerError
from vapo.errors import ModelError
from vapo.models.questions import one_token_of
from vapo.probing.vllm.pads import find_pad_runs
from vapo.probing.vllm.prober import Answer, ImagePrompt

if TYPE_CHECKING:
    from PIL.Image import Image

Result = TypeVar("Result")


class ServerEngine:
    """Answer with a vLLM server that serves one model.

    Ranks ask independently of each other. A prompt's images are sent once; questions after the first go by the
    name that the server gave them, and are sent again in full where the server no longer knows it.

    Args:
        base_url: for example `http://localhost:8000`.
        image_token_id: what stands for images in prompts.
        concurrency: requests in flight at a time.
        options: of `ServerConnection`.
    """

    def __init__(self, base_url: str, image_token_id: int, *, concurrency: int = 64, **options: Any) -> None:
        self._connection = ServerConnection(base_url, concurrency=concurrency, **options)
        self._image_token_id = image_token_id
        self._model: str | None = None
        self._lock = Lock()

    def answer(self, prompts: Sequence[ImagePrompt], token_ids: Sequence[int]) -> list[Answer]:
        """Return how likely each of `token_ids` is to come next; see `AnswerEngine`."""
        if not prompts:
            return []
        sampling = one_token_of(token_ids)
        groups = {tuple(map(id, prompt.images)): prompt for prompt in reversed(prompts)}
        firsts = list(groups.values())
        features = self._connection.map(lambda prompt: self._render(prompt.images), firsts)
        rendered = dict(zip(groups, features, strict=True))
        # The first question about each prompt's images brings them; only then do others go by their name.
        answers = self._connection.map(lambda prompt: self._ask(prompt, rendered, sampling), firsts)
        brought = dict(zip(map(id, firsts), answers, strict=True))
        rest = [prompt for prompt in prompts if id(prompt) not in brought]
        answers = self._connection.map(lambda prompt: self._ask(prompt, rendered, sampling, by_name=True), rest)
        brought |= zip(map(id, rest), answers, strict=True)
        return [brought[id(prompt)] for prompt in prompts]

    def _render(self, images: Sequence[Image]) -> dict[str, Any] | None:
        if not images:
            return None
        messages = [{"role": "user", "content": make_image_parts([encode_lossless(image) for image in images])}]
        body = {"messages": messages, "max_tokens": 1}
        return _read(lambda reply: read_features(reply, self._image_token_id), self._call(RENDER, body))

    def _ask(
        self,
        prompt: ImagePrompt,
        rendered: Mapping[tuple[int, ...], dict[str, Any] | None],
        sampling: Mapping[str, Any],
        *,
        by_name: bool = False,
    ) -> Answer:
        features = rendered[tuple(map(id, prompt.images))]
        body: dict[str, Any] = {"token_ids": prompt.ids, "sampling_params": sampling}
        if features is not None:
            placed = place_features(features, prompt.ids, self._image_token_id)
            names_only = {**placed, "kwargs_data": None, "mm_metadata": None}
            body["features"] = names_only if by_name else placed
        try:
            reply = self._call(GENERATE, body, retry=not by_name or features is None)
        except ServerError as error:
            if not by_name or features is None or error.status != 500:
                raise
            return self._ask(prompt, rendered, sampling)  # evicted, or another replica answered
        return _read(_read_answer, reply)

    def _call(self, path: str, body: Mapping[str, Any], *, retry: bool = True) -> dict[str, Any]:
        try:
            return self._connection.post(path, {"model": self._find_model(), **body}, retry=retry)
        except ServerError as error:
            if error.status == 404:
                raise ModelError(
                    f"the vLLM server at {self._connection.url} has no {path}, which questions about images need; "
                    "start it again with --enable-scale-out"
                ) from error
            raise

    def _find_model(self) -> str:
        with self._lock:
            if self._model is None:
                listed = self._connection.list_models()
                self._model = _read(lambda reply: str(reply["data"][0]["id"]), listed)
            return self._model


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


def read_features(reply: Mapping[str, Any], image_token_id: int) -> dict[str, Any]:
    """Return the features of a rendered conversation, each as long as its image has image tokens there."""
    features, ids = reply["features"], reply["token_ids"]
    ranges = [
        {**own, "length": ids[own["offset"] : own["offset"] + own["length"]].count(image_token_id)}
        for own in features["mm_placeholders"]["image"]
    ]
    return {**features, "mm_placeholders": {"image": ranges}}


def place_features(features: Mapping[str, Any], ids: Sequence[int], image_token_id: int) -> dict[str, Any]:
    """Return the features of images, pointed at the image tokens of `ids`.

    Args:
        features: as `read_features` returns them, placed in a conversation of their own.
        ids: a prompt whose image tokens are expanded.
        image_token_id: what stands for images.

    Raises:
        ModelError: the server makes another number of tokens of an image than the prompt has, or an image has other
            tokens between its own, which vLLM's server has no way to say.
    """
    runs = find_pad_runs(ids, image_token_id)
    meant, made = [run.length for run in runs], [place["length"] for place in features["mm_placeholders"]["image"]]
    if meant != made:
        raise ModelError(
            f"the vLLM server makes images of {made} tokens where the prompt has {meant} in one piece; save the "
            "processor with its settings into the model's folder, and start the server again, or use "
            "vllm_mode='colocate' where images are cut into tiles"
        )
    return {**features, "mm_placeholders": {"image": [run._asdict() for run in runs]}}
