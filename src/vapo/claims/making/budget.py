"""Stop before more is spent than the user allows, not after."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vapo.api.prices import Prices
from vapo.api.responses import Response
from vapo.claims.store.images import StoredImage
from vapo.claims.store.requests import read_reserved, read_spending, reserve
from vapo.claims.store.store import Store
from vapo.errors import ConfigError

_AMOUNT = re.compile(
    r"\s*\$?\s*(\d+(?:\.\d+)?)\s*(usd|dollars?|k ?tok(?:ens)?|m ?tok(?:ens)?|tok(?:ens)?)\s*", re.IGNORECASE
)
_UNITS = {"k": 1_000, "m": 1_000_000}
_LEAST_IMAGE_TOKENS = 3_000  # LLaVA-1.6 makes 2,880 tokens of any image
_PIXELS_PER_TOKEN = 196  # a patch of 14 x 14, which most models merge further
_CHARACTERS_PER_TOKEN = 2  # at least; later prompts are longer, as they tell what is there already


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that a store's answers may cost in all: US dollars, or tokens; None where it does not matter."""

    usd: float | None = None
    tokens: int | None = None

    def __str__(self) -> str:
        return f"{self.usd:g} usd" if self.usd is not None else f"{self.tokens} tokens"


def parse_budget(text: str) -> Budget:
    """Return the budget that is meant, such as `25usd`, `500ktok` or `2mtok`. Raises ConfigError."""
    match = _AMOUNT.fullmatch(text)
    if match is None or float(match[1]) <= 0:
        raise ConfigError(f"the budget {text!r} cannot be read; write it as 25usd, 500ktok or 2mtok")
    unit = match[2].lower()
    if unit in ("usd", "dollar", "dollars"):
        return Budget(usd=float(match[1]))
    return Budget(tokens=math.floor(float(match[1]) * _UNITS.get(unit[0], 1)))


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a request may cost at most."""

    tokens: int
    usd: float


class BudgetTracker:
    """Keep a worker's requests within a budget.

    The longest answer is known from `max_tokens`. How many tokens a model makes of an image is learned from the
    answers so far; before the first, it is set high.

    Args:
        store: holds what was spent.
        worker: this process.
        budget: the limit; None for none.
        prices: of the model's tokens.
        max_tokens: of an answer.
        max_pixels: of an image as it is sent.

    Raises:
        ConfigError: the budget is in US dollars, and prices are not known.
    """

    def __init__(
        self,
        store: Store,
        worker: int,
        budget: Budget | None,
        prices: Prices | None,
        *,
        max_tokens: int,
        max_pixels: int,
    ) -> None:
        if budget is not None and budget.usd is not None and prices is None:
            raise ConfigError(
                "a budget in US dollars needs to know what a million tokens cost, read and written (--prices READ "
                "WRITTEN); or give it in tokens (--budget 500ktok)"
            )
        self._store = store
        self._worker = worker
        self._budget = budget
        self._prices = prices or Prices(0.0, 0.0)
        self._max_tokens = max_tokens
        self._max_pixels = max_pixels
        self._prompt_tokens = 0.0  # of the largest prompt so far, per image

    def reserve(self, instruction: str, images: Sequence[StoredImage]) -> Reservation | None:
        """Reserve what a request may cost; None if the budget does not allow it now. Call it while writing."""
        if self._budget is None:
            return Reservation(0, 0.0)
        prompt = self._estimate(instruction, images)
        wanted = Reservation(prompt + self._max_tokens, self._prices.cost(prompt, self._max_tokens))
        spent, (tokens, usd) = read_spending(self._store), read_reserved(self._store)
        if self._budget.tokens is not None and spent.tokens + tokens + wanted.tokens > self._budget.tokens:
            return None
        if self._budget.usd is not None and spent.usd + usd + wanted.usd > self._budget.usd:
            return None
        reserve(self._store, self._worker, wanted.tokens, wanted.usd)
        return wanted

    def give_back(self, reservation: Reservation) -> None:
        """Give back what was reserved, as the request is over; call it while writing."""
        if reservation.tokens:
            reserve(self._store, self._worker, -reservation.tokens, -reservation.usd)

    def learn(self, prompt_tokens: int, num_images: int) -> None:
        """Note how many tokens a prompt took, as the server counts them.

        Raises:
            ConfigError: it has not counted any yet, so that no budget can be kept.
        """
        if self._budget is not None and prompt_tokens <= 0 and not self._prompt_tokens:
            raise ConfigError(
                "the server does not say how many tokens it read, so no budget can be kept; leave it out"
            )
        self._prompt_tokens = max(self._prompt_tokens, prompt_tokens / num_images)

    def charge(self, answer: Response, reservation: Reservation) -> Response:
        """Return an answer as it counts: one whose tokens the server forgot to count cost as much as it could."""
        if not reservation.tokens or answer.prompt_tokens > 0:
            return answer
        prompt = reservation.tokens - self._max_tokens
        return replace(answer, prompt_tokens=prompt, completion_tokens=self._max_tokens, usd=reservation.usd)

    @property
    def waits(self) -> bool:
        """Whether requests are under way whose end may leave room for another one."""
        return read_reserved(self._store) != (0, 0.0)

    def _estimate(self, instruction: str, images: Sequence[StoredImage]) -> int:
        if self._prompt_tokens:
            return math.ceil(self._prompt_tokens * len(images)) + len(instruction) // _CHARACTERS_PER_TOKEN
        sizes = [min(image.width * image.height, self._max_pixels) // _PIXELS_PER_TOKEN for image in images]
        return len(instruction) + sum(max(_LEAST_IMAGE_TOKENS, size) for size in sizes)
