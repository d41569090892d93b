"""Read the fields of a response, whatever a server sends in place of one.

A missing or malformed field counts as absent: nothing in a response can raise anything but a ServerError, or become a
number or a text that a store cannot keep.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from vapo.api.redaction import redact
from vapo.api.server_errors import ServerError, find_detail

MAX_TOKENS, MAX_USD = 10**9, 1e6
"""The most that one response can report; larger numbers are errors."""


@dataclass(frozen=True, slots=True)
class Response:
    """A chat completion as it was received, and what it took.

    Attributes:
        body: byte for byte.
        seconds: from the request to the response, retries included.
        finish_reason: as the server says; "" if it does not.
        prompt_tokens, completion_tokens: as the server counts them; 0 if it does not.
        usd: what it cost, by the server's word or the user's prices; 0 if neither is known.
    """

    body: bytes
    seconds: float
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    usd: float


_CERTAIN = 0.01  # log-probability, rounding included
_ESCAPES = re.compile(rb"\\(?:u00|u[dD][89a-fA-F]|/)")


def parse_json(body: bytes) -> Any:
    """Return untrusted JSON as values; a lone surrogate becomes a question mark.

    Raises:
        ValueError: it is no JSON, or lists within lists without end.
    """
    try:
        value = json.loads(body)
        # Escaped, a key may have passed through what was looked for in the bytes.
        return _clean(value) if _ESCAPES.search(body) else value
    except RecursionError as error:
        raise ValueError("lists within lists") from error


def clean_text(text: str) -> str:
    """Return a text that was escaped in JSON as it can be kept: without keys, and with whole characters alone."""
    return redact(text.encode("utf-8", "replace").decode())


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {_clean(name): _clean(inner) for name, inner in cast("dict[str, Any]", value).items()}
    return [_clean(inner) for inner in cast("list[Any]", value)] if isinstance(value, list) else value


def take_choice(reply: Mapping[str, Any]) -> dict[str, Any]:
    """Return the only choice of a reply. Raises ServerError if there is none, as behind some proxies."""
    choices = reply.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return cast("dict[str, Any]", choices[0])
    detail = find_detail(reply)
    raise ServerError(
        f"the server answered without a choice{f': {detail}' if detail else ''}; ask again", None, detail
    )


def open_completion(body: bytes) -> dict[str, Any]:
    """Return the only choice of a chat completion as it was received. Raises ServerError if it is none."""
    try:
        return take_choice(_as_mapping(parse_json(body)))
    except ValueError as error:  # a body that is not UTF-8 raises one too
        raise ServerError("the server's answer is no JSON; ask again") from error


def take_message(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the message of a choice; nothing if it has none."""
    return _as_mapping(choice.get("message"))


def read_content(message: Mapping[str, Any]) -> str:
    """Return the text of a message, its parts joined; "" if it has none."""
    content = message.get("content")
    if isinstance(content, list):
        texts = [_as_mapping(part).get("text") for part in cast("list[object]", content)]
        return "".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""


def read_reasoning(message: Mapping[str, Any]) -> str:
    """Return the reasoning that a server reports apart from the text; "" if it has none."""
    fields = [message.get(name) for name in ("reasoning_content", "reasoning")]
    return next((text for text in fields if isinstance(text, str) and text), "")


def read_finish_reason(choice: Mapping[str, Any]) -> str:
    """Return why an answer ended; "" if the server does not say."""
    reason = choice.get("finish_reason")
    return reason if isinstance(reason, str) else ""


def count_tokens(reply: Mapping[str, Any]) -> tuple[int, int]:
    """Return the tokens that were read and written, as the server counts them; 0 where it does not."""
    usage = _as_mapping(reply.get("usage"))
    return _read_count(usage.get("prompt_tokens")), _read_count(usage.get("completion_tokens"))


def read_cost(reply: Mapping[str, Any]) -> float:
    """Return what a reply cost in US dollars, as some resellers tell; 0 where the server does not."""
    cost = _read_number(_as_mapping(reply.get("usage")).get("cost"))
    return cost if 0 <= cost <= MAX_USD else 0.0


def read_embeddings(reply: Mapping[str, Any]) -> list[list[float]]:
    """Return the vectors of a reply in the order of their texts, without what is none or has another length."""
    listed = reply.get("data")
    entries = [_as_mapping(entry) for entry in cast("list[object]", listed)] if isinstance(listed, list) else []
    entries.sort(key=lambda entry: _read_count(entry.get("index")))
    vectors = [cast("list[Any]", entry["embedding"]) for entry in entries if isinstance(entry.get("embedding"), list)]
    length = len(vectors[0]) if vectors else 0
    return [
        vector
        for vector in vectors
        if len(vector) == length and all(math.isfinite(_read_number(one)) for one in vector)
    ]


def read_ids(fields: Mapping[str, Any], name: str) -> tuple[int, ...]:
    """Return token ids that an answer holds under a name. Raises ServerError if it holds none there."""
    ids = fields.get(name)
    if isinstance(ids, list):
        listed = cast("list[Any]", ids)
        if all(type(one) is int and 0 <= one < 2**31 for one in listed):
            return tuple(listed)
    raise ServerError(f"the server's answer holds no list of token ids under {name!r}; use vLLM 0.31 or newer")


def list_tokens(choice: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what is told of each token of an answer; nothing where the server tells none."""
    content = _as_mapping(choice.get("logprobs")).get("content")
    return [_as_mapping(entry) for entry in cast("list[object]", content)] if isinstance(content, list) else []


def read_logprobs(entries: object) -> list[tuple[str, float]]:
    """Return tokens and their log-probabilities, without those whose log-probability is none."""
    listed = [_as_mapping(entry) for entry in cast("list[object]", entries)] if isinstance(entries, list) else []
    pairs = [(entry.get("token"), _read_number(entry.get("logprob"))) for entry in listed]
    return [(token, logprob) for token, logprob in pairs if isinstance(token, str) and logprob <= _CERTAIN]


def _read_count(value: object) -> int:
    number = _read_number(value)
    return int(number) if 0 <= number <= MAX_TOKENS else 0


def _read_number(value: object) -> float:
    """Return a number; NaN, which is on no side of any bound, for what is none or too large for one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def _as_mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else dict[str, Any]()


def choose_model(reply: Mapping[str, Any], model: str | None, server: str) -> Mapping[str, Any]:
    """Return what a server's list of models says of one.

    Args:
        reply: the list.
        model: its name; None takes the only one.
        server: its URL, without password.

    Raises:
        ServerError: there is no such model, or not only one.
    """
    listed = reply.get("data")
    listed = cast("list[object]", listed) if isinstance(listed, list) else []
    entries = [cast("Mapping[str, Any]", entry) for entry in listed if isinstance(_as_mapping(entry).get("id"), str)]
    names = [str(entry["id"]) for entry in entries]
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    if model is None:
        if len(entries) != 1:
            raise ServerError(
                f"the server at {server} has {len(entries)} models ({shown or 'none'}); name the one to ask"
            )
        return entries[0]
    if model not in names:
        raise ServerError(f"the server at {server} has no model {model!r}; it has {shown or 'none'}", 404)
    return entries[names.index(model)]
