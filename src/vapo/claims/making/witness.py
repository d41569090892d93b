"""Who is shown pictures and makes claims: a model behind a server, or a checkpoint in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

from vapo.api.prices import Prices
from vapo.api.rate_limiter import RateLimiter
from vapo.api.responses import Response
from vapo.claims.store.subjects import StoredImage


class Witness(Protocol):
    """Answers instructions about pictures, several at a time; used as a context manager inside one event loop."""

    limiter: RateLimiter
    prices: Prices | None
    server: str

    @property
    def model(self) -> str:
        """What it is called; known once `connect` was awaited."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def connect(self) -> object:
        """Check that it can be asked. Raises VapoError."""
        ...

    async def ask(self, instruction: str, images: Sequence[StoredImage], options: Mapping[str, Any]) -> Response:
        """Return the answer to an instruction about pictures, in the form of a chat completion.

        Raises:
            ServerError: there is none; `may_pass` tells whether others may fare better.
        """
        ...
