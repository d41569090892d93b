"""What was asked of models, and what they answered, in a store.

A request is recorded before it is sent and its answer as soon as it is there, before anything is made of it. The
requests about an image set are numbered by attempt. One that was never answered, because its process died or no answer
came, is taken up again under its number and is no attempt of its own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from vapo.api.responses import Response
from vapo.claims.store.store import ForeignStoreError, Store

State = Literal["asked", "answered", "read", "failed"]


@dataclass(frozen=True, slots=True)
class NewRequest:
    """What is asked about an image set.

    Attributes:
        instruction: the text that goes with the images.
        prompt_version: of the instruction.
        num_true, num_false: claims asked for.
        model, server: who is asked.
        options: what else the answer depends on, such as temperature and seed; JSON.
    """

    instruction: str
    prompt_version: str
    num_true: int
    num_false: int
    model: str
    server: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A request about an image set."""

    id: int
    image_set: int
    attempt: int
    state: State
    model: str
    num_true: int
    num_false: int
    trouble: str | None


def open_request(store: Store, image_set: int, question: NewRequest) -> StoredRequest:
    """Record that a question is about to be asked, and return it under its number; call it while writing."""
    known = store.read_one(
        "SELECT id, attempt FROM requests WHERE subject = ? AND state IN ('asked', 'failed')", (image_set,)
    )
    asked = (
        question.model,
        question.server,
        question.prompt_version,
        question.instruction,
        json.dumps(question.options, sort_keys=True),
        question.num_true,
        question.num_false,
        time.time(),
    )
    if known is not None:
        number, attempt = int(known[0]), int(known[1])
        store.execute(
            "UPDATE requests SET state = 'asked', trouble = NULL, model = ?, server = ?, prompt_version = ?, "
            "instruction = ?, options = ?, num_true = ?, num_false = ?, asked_at = ? WHERE id = ?",
            (*asked, number),
        )
    else:
        (attempts,) = store.read_one(
            "SELECT coalesce(max(attempt), 0) FROM requests WHERE subject = ?", (image_set,)
        ) or (0,)
        attempt = int(attempts) + 1
        number = store.insert(
            "INSERT INTO requests (state, model, server, prompt_version, instruction, options, num_true, num_false, "
            "asked_at, subject, attempt) VALUES ('asked', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*asked, image_set, attempt),
        )
    return StoredRequest(
        number, image_set, attempt, "asked", question.model, question.num_true, question.num_false, None
    )


def add_answer(store: Store, request: int, answer: Response) -> bool:
    """Record an answer; return False if the request has one already, which is then kept. Call it while writing."""
    if store.read_one("SELECT 1 FROM answers WHERE request = ?", (request,)) is not None:
        return False
    store.execute("UPDATE requests SET state = 'answered', trouble = NULL WHERE id = ?", (request,))
    store.insert(
        "INSERT INTO answers (request, received_at, seconds, body, finish_reason, prompt_tokens, completion_tokens, "
        "usd) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            request,
            time.time(),
            answer.seconds,
            answer.body,
            answer.finish_reason,
            answer.prompt_tokens,
            answer.completion_tokens,
            answer.usd,
        ),
    )
    return True


def set_request_state(store: Store, request: int, state: State, trouble: str | None = None) -> None:
    """Record what became of a request."""
    store.execute("UPDATE requests SET state = ?, trouble = ? WHERE id = ?", (state, trouble, request))


def list_requests(store: Store, image_set: int) -> list[StoredRequest]:
    """Return an image set's requests by attempt."""
    found = store.read(
        "SELECT id, subject, attempt, state, model, num_true, num_false, trouble FROM requests WHERE subject = ? "
        "ORDER BY attempt",
        (image_set,),
    )
    return [
        StoredRequest(int(n), int(s), int(a), cast("State", state), str(model), int(right), int(wrong), trouble)
        for n, s, a, state, model, right, wrong, trouble in found
    ]


def read_answer(store: Store, request: int) -> Response | None:
    """Return a request's answer; None if there is none. Raises ForeignStoreError where it is not as vapo does."""
    found = store.read_one(
        "SELECT body, seconds, finish_reason, prompt_tokens, completion_tokens, usd FROM answers WHERE request = ?",
        (request,),
    )
    if found is None:
        return None
    kinds = (bytes, float, str, int, int, float)
    if not all(isinstance(value, kind) for value, kind in zip(found, kinds, strict=True)):
        raise ForeignStoreError(store.path, f"the answer to its request {request} is not as vapo writes them")
    return Response(*found)


@dataclass(frozen=True, slots=True)
class Spending:
    """Tokens read and written, and US dollars."""

    prompt_tokens: int
    completion_tokens: int
    usd: float

    @property
    def tokens(self) -> int:
        """Tokens in all."""
        return self.prompt_tokens + self.completion_tokens


def read_spending(store: Store) -> Spending:
    """Return what all answers have cost."""
    found = store.read_one("SELECT prompt_tokens, completion_tokens, usd FROM spending")
    assert found is not None
    return Spending(*found)


def read_reserved(store: Store) -> tuple[int, float]:
    """Return the tokens and US dollars that requests under way may still cost, in all processes."""
    found = store.read_one("SELECT coalesce(sum(reserved_tokens), 0), coalesce(sum(reserved_usd), 0.0) FROM workers")
    assert found is not None
    return int(found[0]), float(found[1])


def reserve(store: Store, worker: int, tokens: int, usd: float) -> None:
    """Add to what a worker's requests may still cost; negative numbers give back. Call it while writing."""
    store.execute(
        "UPDATE workers SET reserved_tokens = max(0, reserved_tokens + ?), reserved_usd = max(0, reserved_usd + ?) "
        "WHERE id = ?",
        (tokens, usd, worker),
    )
