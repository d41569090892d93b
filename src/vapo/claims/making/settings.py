"""What claims are to be made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from vapo.api.images import MAX_PIXELS
from vapo.claims.filters.rules import FilterSettings
from vapo.claims.making.budget import Budget
from vapo.claims.making.instruction import Order
from vapo.errors import ConfigError


@dataclass(frozen=True, slots=True)
class MakingSettings:
    """What claims are to be made, and how.

    Attributes:
        per_image: claims of an image, half of them true; an odd one is true.
        per_request: claims asked for at a time; None asks for all at once.
        tries: further requests for an image whose claims were rejected or could not be read.
        temperature: of the model.
        seed: of the model, where it takes one; each request has its own, made of this, the image and the attempt.
        max_tokens: of an answer, thoughts included.
        max_pixels: width x height of an image as it is sent.
        structured: ask the server to hold the model to the form of the answer; left out where it cannot.
        filters: what claims must be like.
        budget: the most that all answers in the store may cost; None for no limit.
        max_failures: images in a row without an answer after which the server counts as broken.
    """

    per_image: int = 20
    per_request: int | None = None
    tries: int = 4
    temperature: float = 0.0
    seed: int = 0
    max_tokens: int = 4096
    max_pixels: int = MAX_PIXELS
    structured: bool = True
    filters: FilterSettings = field(default_factory=FilterSettings)
    budget: Budget | None = None
    max_failures: int = 20

    def __post_init__(self) -> None:
        least = {"per_image": 1, "tries": 0, "max_tokens": 1, "max_pixels": 1, "seed": 0, "max_failures": 1}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least {bound}")
        if self.per_request is not None and (self.per_request < 2 or self.per_request % 2):
            raise ConfigError(f"per_request is {self.per_request}; it must be even, as half of the claims are true")
        if not 0 <= self.temperature <= 2:
            raise ConfigError(f"temperature is {self.temperature}; it must be in [0, 2]")

    @property
    def max_attempts(self) -> int:
        """Requests for an image, at most."""
        return math.ceil(self.per_image / (self.per_request or self.per_image)) + self.tries

    def plan(self, room: Mapping[bool, int], num_images: int) -> Order | None:
        """Return what to ask for next; None if there is no room for more claims.

        Args:
            room: how many more of each label an image may have.
            num_images: images of the image set.
        """
        share = math.inf if self.per_request is None else self.per_request // 2
        num_true, num_false = int(min(max(room[True], 0), share)), int(min(max(room[False], 0), share))
        total = num_true + num_false
        if not total:
            return None
        return Order(
            num_true,
            num_false,
            max_words=self.filters.max_words,
            max_colour=min(total, max(1, math.floor(self.filters.max_colour * self.per_image))),
            max_counting=min(total, max(1, math.floor(self.filters.max_counting * self.per_image))),
            language=self.filters.language,
            num_images=num_images,
        )

    @property
    def form(self) -> dict[str, Any]:
        """What of a request asks for the form of the answer."""
        return {"response_format": ANSWER_SCHEMA} if self.structured else {}

    def make_options(self, key: str, attempt: int) -> dict[str, Any]:
        """Return what goes with a request besides its message.

        Args:
            key: of the image set.
            attempt: from 1.
        """
        return {
            "temperature": self.temperature,
            "seed": crc32(f"{self.seed} {key} {attempt}".encode()) & 0x7FFFFFFF,
            "max_completion_tokens": self.max_tokens,
        }


_CLAIM = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "is_true": {"type": "boolean"}},
    "required": ["text", "is_true"],
    "additionalProperties": False,
}
ANSWER_SCHEMA: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {
        "name": "claims",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"claims": {"type": "array", "items": _CLAIM}},
            "required": ["claims"],
            "additionalProperties": False,
        },
    },
}
"""The answer's form, for servers that can hold a model to one."""
