"""What the store holds about an image set, and what to request next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vapo.claims.filters.claim_filter import Pool, make_pool
from vapo.claims.filters.rules import REASONS
from vapo.claims.making.counts import RowStatus
from vapo.claims.making.instruction import PROMPT_VERSION, write_instruction
from vapo.claims.making.settings import MakingSettings
from vapo.claims.store.claims import StoredClaim, read_claims
from vapo.claims.store.images import find_key
from vapo.claims.store.requests import NewRequest, StoredRequest, list_requests
from vapo.claims.store.store import Store

_MAX_TOLD = 10  # rejected claims that a model is told of


class Outcome(NamedTuple):
    """What became of an image set, and why."""

    status: RowStatus
    why: str = ""


@dataclass(frozen=True, slots=True)
class ImageSetState:
    """What the store holds about an image set.

    Attributes:
        key: of the image set.
        claims: all that were ever read, rejected ones too.
        requests: by attempt.
    """

    key: str
    claims: Sequence[StoredClaim]
    requests: Sequence[StoredRequest]

    @property
    def unread(self) -> list[StoredRequest]:
        """Requests whose answers are there but were not read, as after a crash."""
        return [request for request in self.requests if request.state == "answered"]

    @property
    def read(self) -> list[StoredRequest]:
        """Requests whose answers were read."""
        return [request for request in self.requests if request.state == "read"]

    def make_pool(self, per_image: int) -> Pool:
        """Return the claims that are kept, and the room for more."""
        kept = [(claim.claim, claim.kind) for claim in self.claims if claim.rejected_for is None]
        return make_pool(per_image, kept)

    def find_outcome(self, settings: MakingSettings) -> Outcome | None:
        """Return what has become of the image set; None if there is something to read or to ask."""
        pool = self.make_pool(settings.per_image)
        if pool.is_full:
            return Outcome("full")
        if self.unread or len(self.read) < settings.max_attempts:
            return None
        last = self.read[-1].trouble
        return Outcome("short", f"{len(pool.texts)} of {settings.per_image} claims{f'; {last}' if last else ''}")

    def write_request(self, settings: MakingSettings, num_images: int, model: str, server: str) -> NewRequest:
        """Return what to ask next: for the claims that are missing, with what was wrong before."""
        pool = self.make_pool(settings.per_image)
        order = settings.plan(pool.room, num_images)
        assert order is not None
        last = self.read[-1] if self.read else None
        rejected = [
            (claim.claim.text, REASONS[claim.rejected_for])
            for claim in self.claims
            if last is not None and claim.request == last.id and claim.rejected_for not in (None, "surplus")
        ]
        trouble = (last.trouble or "") if last is not None else ""
        return NewRequest(
            instruction=write_instruction(order, pool.texts, rejected[:_MAX_TOLD], trouble),
            prompt_version=PROMPT_VERSION,
            num_true=order.num_true,
            num_false=order.num_false,
            model=model,
            server=server,
            options=settings.make_options(self.key, len(self.read) + 1),
        )


def read_state(store: Store, image_set: int) -> ImageSetState:
    """Return what the store holds about an image set."""
    claims = read_claims(store, image_set, rejected=True)
    return ImageSetState(find_key(store, image_set), claims, list_requests(store, image_set))
