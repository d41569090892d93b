"""Find out what a server can do, before anything is computed with it."""

from __future__ import annotations

from typing import Any

from PIL.Image import new as new_image

from vapo.api.connection import RENDER, ServerConnection
from vapo.api.responses import take_choice
from vapo.api.server_errors import ServerError
from vapo.data.image_views import GREY
from vapo.errors import ModelError
from vapo.models.media_tokens import find_vision_token_ids
from vapo.models.plain_text import make_escaper
from vapo.models.policy.checkpoint import find_folder
from vapo.models.questions import PROBE_TEMPLATE
from vapo.serving.chat import ChatEndpoint
from vapo.serving.conversation import Message, write_conversation
from vapo.serving.server_model import Continuation, ServerModel
from vapo.serving.tokens import TokenEndpoints
from vapo.types import Sample

_TRIAL = Sample("trial", (new_image("RGB", (112, 112), GREY),), "What is it?", "")
_TEXTS = ("I see a 3, then a 5.", "So 3 + 5 = 8:\n")
_SCALE_OUT = "start it with `vllm serve --enable-scale-out`"


def connect_model(
    url: str,
    model: str | None = None,
    *,
    tokenizer: Any = None,
    name: str | None = None,
    system_prompt: str | None = None,
    probe_template: str = PROBE_TEMPLATE,
    **options: Any,
) -> ServerModel:
    """Return the model behind a server, with the abilities that the server was found to have.

    Args:
        url: for example `http://localhost:8000`.
        model: its name there; None takes the only one.
        tokenizer: the model's tokenizer, or the folder or hub name to load it from; None asks the server for that.
        name: what reports call the model; None for its name on the server.
        system_prompt: text of a system message; None for none.
        probe_template: how claims are put, see `vapo.models.questions`.
        options: of `ServerConnection`.

    Raises:
        ConfigError: an option is out of its range.
        ModelError: the server reports tokens, but their tokenizer is not to be had, or is another one.
        ServerError: there is no server, no such model, the key is wrong, or the model reads no images.
    """
    connection = ServerConnection(url, model, **options)
    obstacle = _find_obstacle(connection)
    loaded: Any = None
    continuation: Continuation | None = None
    if not obstacle:
        is_loaded = tokenizer is not None and not isinstance(tokenizer, str)
        loaded = tokenizer if is_loaded else load_tokenizer(tokenizer, connection)
        escape = make_escaper(loaded)
        never = find_vision_token_ids(None, loaded)

        def converse(sample: Sample) -> list[Message]:
            return write_conversation(sample, system_prompt, escape)

        if _has_token_endpoints(connection):
            continuation = TokenEndpoints(connection, converse, never)
            _check_tokenizer(continuation, loaded, connection)
        else:
            continuation = ChatEndpoint(connection, converse, never, lambda ids: _decode(loaded, ids))
            _check_tokenizer(continuation, loaded, connection)
            obstacle = _try_to_continue(continuation, loaded, connection)
            continuation = None if obstacle else continuation
    return ServerModel(
        connection,
        loaded,
        continuation,
        obstacle=obstacle,
        name=name,
        system_prompt=system_prompt,
        template=probe_template,
    )


def load_tokenizer(source: str | None, connection: ServerConnection) -> Any:
    """Load a model's tokenizer, by default from where the server says that it read the model.

    Raises:
        ModelError: it cannot be had.
    """
    from huggingface_hub.errors import HTTPError
    from transformers import AutoTokenizer

    where = source or str(connection.find_model().get("root") or connection.model)
    try:
        folder = find_folder(where)
        return AutoTokenizer.from_pretrained(str(folder or where))
    except (ModelError, OSError, HTTPError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"the tokenizer of {connection.model!r} cannot be loaded from {where!r} "
            f"({str(error).splitlines()[0] if str(error) else type(error).__name__}); name the folder or the hub name "
            "of the model that the server runs"
        ) from error


def _find_obstacle(connection: ServerConnection) -> str:
    """Return why it cannot be told which tokens the server reads and writes; "" if it can."""
    messages = write_conversation(_TRIAL, None, None)
    body = {"messages": messages, "max_completion_tokens": 1, "temperature": 0.0}
    try:
        reply = connection.chat({**body, "return_token_ids": True})
    except ServerError as error:
        if error.status not in (400, 422):
            raise
        reply = connection.chat(body)  # it may refuse fields that it does not know; what it says else is for the user
    if reply.get("prompt_token_ids") and take_choice(reply).get("token_ids"):
        return ""
    return (
        f"the server at {connection.url} does not report token ids (`return_token_ids`), so it cannot be known "
        "whether it continues a response exactly; serve the model with vLLM (`vllm serve --enable-scale-out`) or run "
        "the checkpoint with transformers"
    )


def _has_token_endpoints(connection: ServerConnection) -> bool:
    try:
        connection.post(RENDER, {"messages": write_conversation(_TRIAL, None, None), "max_tokens": 1})
    except ServerError as error:
        if error.status in (404, 405, 501):
            return False
        raise
    return True


def _check_tokenizer(continuation: Continuation, tokenizer: Any, connection: ServerConnection) -> None:
    prompt = continuation.find_prompt(_TRIAL)
    if _TRIAL.question not in tokenizer.decode(list(prompt)):
        raise ModelError(
            f"the tokenizer from {tokenizer.name_or_path!r} is not the one of {connection.model!r} on the server at "
            f"{connection.url}: it reads the server's tokens as another text; name the folder or the hub name of the "
            "model that the server runs"
        )


def _try_to_continue(chat: ChatEndpoint, tokenizer: Any, connection: ServerConnection) -> str:
    """Return why a chat endpoint does not continue responses exactly, tried on texts; "" if it does."""
    prompt = chat.find_prompt(_TRIAL)
    whole = "".join(_TEXTS)
    for text in (_TEXTS[0], whole):
        try:
            chat.write(_TRIAL, prompt, tokenizer.encode(text, add_special_tokens=False), 1)
        except ServerError as error:
            return f"the server at {connection.url} does not continue an assistant's turn ({error}); {_SCALE_OUT}"
        except ModelError:
            return (
                f"the server at {connection.url} does not continue an assistant's turn from the tokens it was cut "
                f"behind: its chat endpoint or the chat template changes them; {_SCALE_OUT}"
            )
    return ""


def _decode(tokenizer: Any, ids: Any) -> str:
    return tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
