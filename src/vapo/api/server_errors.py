"""Errors of servers, in sentences that never hold a key, whatever the server quotes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from vapo.api.address import CHAT, KEY, read_key
from vapo.api.redaction import redact
from vapo.errors import ModelError


class ServerError(ModelError):
    """A server could not be reached, or rejected a request.

    Attributes:
        status: of its response; None if there was none, or not in JSON.
        detail: what it said.
        is_final: whether other requests would fare no better.
    """

    def __init__(self, message: str, status: int | None = None, detail: str = "", *, is_final: bool = False) -> None:
        super().__init__(redact(message))
        self.status = status
        self.detail = redact(detail)
        self.is_final = is_final

    @property
    def may_pass(self) -> bool:
        """Whether another request may succeed all the same: it was late, busy, broken, or did not like this one."""
        return not self.is_final and self.status not in (401, 402, 403, 404)


def make_status_error(
    status: int, body: object, *, server: str, path: str, model: str | None, attempts: int
) -> ServerError:
    """Return the error for a response with a status of 300 or more.

    Args:
        status: of the response.
        body: of the response.
        server: its URL, without password.
        path: what was asked for.
        model: the name of the model asked; None if the server chose it.
        attempts: how often it was asked.
    """
    detail, who = find_detail(body), f"the server at {server}"
    if status in (401, 403):
        remedy = f"check {KEY}" if read_key() else f"put the key into the environment variable {KEY}"
        return ServerError(f"{who} refuses the key ({status}); {remedy}", status)
    said = f": {detail}" if detail else ""
    if status == 402 or _is_quota_used_up(body):
        message = f"{who} takes no more requests on this account ({status}){said}; add credit to it, then go on"
        return ServerError(message, status, detail, is_final=True)
    if 300 <= status < 400:
        return ServerError(
            f"{who} redirects {path} ({status}), and what is meant for it is sent nowhere else; give the URL that "
            "answers itself",
            status,
        )
    if status == 404 and model is not None and path == CHAT:
        return ServerError(f"{who} has no {path} for the model {model!r}{said}", status, detail)
    if status == 429:
        return ServerError(
            f"{who} takes no more requests (429 after {attempts} attempts){said}; check the account's limits, or ask "
            "less at a time",
            status,
            detail,
        )
    return ServerError(f"{who} answered {path} with {status}{said}", status, detail)


def make_timeout_error(server: str, path: str, timeout_s: float, attempts: int) -> ServerError:
    """Return the error for a request that timed out."""
    return ServerError(
        f"the server at {server} did not answer {path} within {timeout_s:g} s ({attempts} attempts); raise the "
        "time-out, or ask less at a time"
    )


def make_connection_error(server: str, error: BaseException) -> ServerError:
    """Return the error for a failed connection."""
    return ServerError(
        f"the server at {server} cannot be reached ({error.__cause__ or error}); check the URL, and that the server "
        "is running"
    )


def make_format_error(server: str, path: str) -> ServerError:
    """Return the error for a response that is not JSON."""
    return ServerError(
        f"what answers {path} at {server} does not speak JSON; check that the URL is that of an OpenAI-compatible "
        "server, such as http://localhost:8000"
    )


def _is_quota_used_up(body: object) -> bool:
    """Return whether an account has nothing left, which waiting does not change."""
    return "insufficient_quota" in _write(body)


def find_detail(body: object) -> str:
    """Return what an error's body says; OpenAI, vLLM and FastAPI nest it differently."""
    while isinstance(body, Mapping):
        fields = cast("Mapping[str, object]", body)
        body = next((fields[key] for key in ("error", "message", "detail") if fields.get(key)), "")
    return " ".join(_write(body or "").split())[:500]


def _write(body: object) -> str:
    try:
        return str(body).encode("utf-8", "replace").decode()
    except RecursionError:
        return "lists within lists"
