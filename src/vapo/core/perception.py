"""How well a response still sees its image: claims judged right, in all or by depth, and the perception reward."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

NUM_QUARTERS = 4


def depth_quarter(depth: float) -> int:
    """Return which quarter of the response a depth in (0, 1] lies in, 1 to 4; each quarter includes its end."""
    return next(quarter for quarter in range(1, NUM_QUARTERS + 1) if depth <= quarter / NUM_QUARTERS)


def share_right(judged: Iterable[tuple[float, float]], quarter: int | None = None) -> float | None:
    """Return the share of claims that are judged right.

    Args:
        judged: per claim the depth it is asked at, in (0, 1], or 0 before the response, and whether it is judged
        right.
        quarter: of the response, 1 to 4, to which claims before it do not belong; None for all claims.

    Returns:
        A share in [0, 1]; None where no claim is asked.
    """
    right = [
        float(correct)
        for depth, correct in judged
        if quarter is None or (depth > 0 and depth_quarter(depth) == quarter)
    ]
    return sum(right) / len(right) if right else None


def perception_reward(
    correct: Sequence[float], depth: Sequence[float], late_emphasis: float = 1.5, rescale: bool = False
) -> float:
    """Average the verdicts of one completion's probes, weighted towards the end of the response.

    R = sum_k w_k s_k / sum_k w_k, with w_k = exp(late_emphasis * depth_k); rescaled: max((R - 0.5) / 0.5, 0).
    The order of the probes does not change the result, not even in the last bit.

    Args:
        correct: s_k, one per probe: True or False, or the probability given to the claim's own label, in [0, 1].
        depth: one per probe: kept completion tokens / completion length, in (0, 1].
        late_emphasis: beta of the paper, at least 0; 0 weighs all depths alike.
        rescale: map guessing (0.5) and worse to 0, as the paper's published code does and the paper does not.

    Returns:
        The reward, in [0, 1].

    Raises:
        ValueError: nothing was probed, the lengths differ, or a value is out of its range.

    Source: arXiv 2509.25848, Section 4, Eq. 4.
    """
    if len(correct) != len(depth):
        raise ValueError(f"there are {len(correct)} verdicts but {len(depth)} depths; give one depth per verdict")
    if len(correct) == 0:
        raise ValueError("no verdicts: a completion that was not probed has no perception reward; pass on None")
    if not (math.isfinite(late_emphasis) and late_emphasis >= 0):
        raise ValueError(f"late_emphasis is {late_emphasis}; it must be a finite number, 0 or more")
    for k, (verdict, position) in enumerate(zip(correct, depth, strict=True)):
        if not 0 <= verdict <= 1:
            raise ValueError(f"verdict {k} is {verdict}; it must be a truth value or a probability in [0, 1]")
        if not 0 < position <= 1:
            raise ValueError(f"depth {k} is {position}; it must be in (0, 1], kept tokens over completion length")
    # Only differences of depth matter, so the deepest probe can have weight 1 and nothing overflows.
    deepest = max(depth)
    weights = [math.exp(late_emphasis * (float(position) - float(deepest))) for position in depth]
    seen = math.fsum(weight * float(verdict) for weight, verdict in zip(weights, correct, strict=True))
    reward = min(seen / math.fsum(weights), 1.0)
    return rescale_reward(reward) if rescale else reward


def rescale_reward(reward: float) -> float:
    """Map a perception reward to max((reward - 0.5) / 0.5, 0): guessing and worse earn nothing."""
    return max((reward - 0.5) / 0.5, 0.0)
