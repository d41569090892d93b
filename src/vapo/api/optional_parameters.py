"""Parameters of a request that can be dropped where a server does not support them.

Some servers reject response formats, seeds, log-probabilities, or any temperature but their own, each with a 400 or
422 that names the parameter. A token limit that exceeds the model's context is rejected too; without a limit, the
response gets the room that there is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from vapo.api.server_errors import ServerError

TOKEN_LIMIT = "max_tokens"
"""The longest response. A limit that exceeds the context with one prompt may fit with another, so it is dropped from
one request and not from all."""

OPTIONAL_PARAMETERS = (
    "response_format",
    "seed",
    "temperature",
    "max_completion_tokens",
    TOKEN_LIMIT,
    "logprobs",
    "top_logprobs",
)

_NO_ROOM = "maximum context length"  # how vLLM and OpenAI tell it where they do not name the limit


def find_rejected_parameters(error: ServerError, dropped: Collection[str]) -> frozenset[str]:
    """Return the optional parameters that an error names and that were not dropped yet; else nothing."""
    if error.status not in (400, 422):
        return frozenset()
    named = {name for name in OPTIONAL_PARAMETERS if name in error.detail}
    if _NO_ROOM in error.detail:
        named.add(TOKEN_LIMIT)
    return frozenset(named.difference(dropped))


def drop_parameters(body: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Return a request without the named parameters; the token limit goes under its older name, or under none."""
    kept = {name: value for name, value in body.items() if name not in names}
    if TOKEN_LIMIT in names:
        kept.pop("max_completion_tokens", None)
    elif "max_completion_tokens" in names and "max_completion_tokens" in body:
        kept[TOKEN_LIMIT] = body["max_completion_tokens"]
    return kept
