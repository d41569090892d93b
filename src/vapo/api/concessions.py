"""What can be left out of a request where a server does not take it.

Some servers refuse forms of answers, seeds, probabilities, or any temperature but their own, each by a 400 or 422 that
names it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from vapo.api.refusals import ServerError

NEGOTIABLE = ("response_format", "seed", "temperature", "max_completion_tokens", "logprobs", "top_logprobs")


def find_refused(error: ServerError, left_out: Collection[str]) -> frozenset[str]:
    """Return what a refusal names that can be left out and was not yet; nothing if that is not its reason."""
    if error.status not in (400, 422):
        return frozenset()
    return frozenset(name for name in NEGOTIABLE if name in error.detail and name not in left_out)


def leave_out(body: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Return a request without what `names` lists; the longest answer goes under its older name."""
    kept = {name: value for name, value in body.items() if name not in names}
    if "max_completion_tokens" in names and "max_completion_tokens" in body:
        kept["max_tokens"] = body["max_completion_tokens"]
    return kept
