"""What a chat completion holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from vapo.api.refusals import ServerError, find_detail


def take_choice(reply: Mapping[str, Any]) -> dict[str, Any]:
    """Return the only choice of a reply. Raises ServerError if there is none, as behind some proxies."""
    choices = reply.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return cast("dict[str, Any]", choices[0])
    detail = find_detail(reply)
    raise ServerError(
        f"the server answered without a choice{f': {detail}' if detail else ''}; ask again", None, detail
    )


def count_tokens(reply: Mapping[str, Any]) -> tuple[int, int]:
    """Return the tokens that were read and written, as the server counts them; 0 where it does not."""
    usage = take_usage(reply)
    return int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)


def take_usage(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a server says that a reply took; nothing if it does not say."""
    usage = reply.get("usage")
    return cast("Mapping[str, Any]", usage) if isinstance(usage, Mapping) else dict[str, Any]()


def choose_model(reply: Mapping[str, Any], model: str | None, server: str) -> Mapping[str, Any]:
    """Return what a server's list of models says of one.

    Args:
        reply: the list.
        model: its name; None takes the only one.
        server: its URL, without password.

    Raises:
        ServerError: there is no such model, or not only one.
    """
    listed = cast("Sequence[object]", reply.get("data") or ())
    entries = [cast("Mapping[str, Any]", entry) for entry in listed if isinstance(entry, Mapping) and "id" in entry]
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
