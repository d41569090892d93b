r"""Where the perception reward varies, and how much of that is noise.

Let R_gi be the perception reward of completion i of group g (G completions each), mu_gi its mean over draws of anchors
and claims. A group's baseline takes the group's mean away, so what trains is

    a_gi = R_gi - mean_i R_gi

Its part that is worth learning, the signal, is the spread of mu_gi within groups; its noise is the rest. With draws
made for each completion, R_gi = mu_gi + e_gi and the noise of a_gi is (1 - 1/G) Var(e). With draws that a group
shares, e_gi = c_g + d_gi, where c_g (which claims, how deep) is common and falls out with the mean: (1 - 1/G) Var(d).

Everything is measured on the same responses with repeated draws of equally many probes:

    signal   = mean_g var_i(mean_r R_gir)  -  noise / draws
    noise    = mean_gi var_r(a_gir)
    share within groups = mean_g var_i(mu_gi) / (var over all responses of mu_gi)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Spread:
    """Variances of the perception reward, for one way of drawing and judging.

    Attributes:
        signal: within groups, of responses' own means: what can be learned.
        noise: of a centred reward over draws: noise.
        between: of groups' means: what a baseline takes away.
    """

    signal: float
    noise: float
    between: float

    @property
    def share_within(self) -> float:
        """Share of the variance of responses' own means that lies within groups; 0 teaches nothing."""
        total = self.signal + self.between
        return self.signal / total if total > 0 else 0.0

    @property
    def signal_share(self) -> float:
        """Share of a centred reward's variance that is signal."""
        total = self.signal + self.noise
        return self.signal / total if total > 0 else 0.0


def decompose(rewards_GIR: NDArray[np.float64]) -> Spread:
    """Take the variance of perception rewards apart.

    Args:
        rewards_GIR: reward of each response under each draw, shape (groups, completions, draws), at least two of each.

    Returns:
        Unbiased estimates; a signal that is below its own noise is reported as 0.

    Raises:
        ValueError: the shape is another.
    """
    if rewards_GIR.ndim != 3 or min(rewards_GIR.shape) < 2:
        raise ValueError(f"rewards have shape {rewards_GIR.shape}; give (groups, completions, draws), each at least 2")
    _, completions, draws = rewards_GIR.shape
    centred = rewards_GIR - rewards_GIR.mean(axis=1, keepdims=True)
    noise = float(centred.var(axis=2, ddof=1).mean())
    # The variance within a group of means over draws holds the draws' noise once more, divided by their number;
    # centred noise is (completions - 1) / completions of a completion's own.
    own = noise * completions / (completions - 1)
    means = rewards_GIR.mean(axis=2)
    signal = max(float(means.var(axis=1, ddof=1).mean()) - own / draws, 0.0)
    group_noise = float(rewards_GIR.mean(axis=1).var(axis=1, ddof=1).mean()) / draws
    between = max(float(means.mean(axis=1).var(ddof=1)) - signal / completions - group_noise, 0.0)
    return Spread(signal, noise, between)
