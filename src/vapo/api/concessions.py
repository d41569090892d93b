"""What can be left out of a request where a server does not take it.

Some servers refuse forms of answers, seeds, probabilities, or any temperature but their own, each by a 400 or 422 that
names it. An answer that may be longer than the model's context has room for is refused too; without a limit, it gets
the room that there is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from vapo.api.refusals import ServerError

LIMIT = "max_tokens"
"""The longest answer. What has no room beside one prompt may have it beside another, so that it is left out of one
request and not of all."""

NEGOTIABLE = ("response_format", "seed", "temperature", "max_completion_tokens", LIMIT, "logprobs", "top_logprobs")

_NO_ROOM = "maximum context length"  # how vLLM and OpenAI tell it where they do not name the limit


def find_refused(error: ServerError, left_out: Collection[str]) -> frozenset[str]:
    """Return what a refusal names that can be left out and was not yet; nothing if that is not its reason."""
    if error.status not in (400, 422):
        return frozenset()
    named = {name for name in NEGOTIABLE if name in error.detail}
    if _NO_ROOM in error.detail:
        named.add(LIMIT)
    return frozenset(named.difference(left_out))


def leave_out(body: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Return a request without what `names` lists; the longest answer goes under its older name, or under none."""
    kept = {name: value for name, value in body.items() if name not in names}
    if LIMIT in names:
        kept.pop("max_completion_tokens", None)
    elif "max_completion_tokens" in names and "max_completion_tokens" in body:
        kept[LIMIT] = body["max_completion_tokens"]
    return kept
