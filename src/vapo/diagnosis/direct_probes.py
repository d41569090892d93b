"""Claims asked before the response begins: what the policy sees when it has not thought yet."""

from __future__ import annotations

from collections.abc import Iterable

from vapo.types import Anchor, Claim, Probe, Rollout

BEFORE_RESPONSE = Anchor(index=0, depth=0.0)
"""No completion token is kept. Not an anchor of the method, whose depths begin behind the first thought: it is never
drawn, carries no reward, and serves as the point that a response is compared with."""


def probe_directly(rollout: Rollout, claims: Iterable[Claim]) -> list[Probe]:
    """Ask claims right behind the prompt of `rollout`, with nothing of its completion kept."""
    return [Probe(rollout, BEFORE_RESPONSE, claim) for claim in claims]
