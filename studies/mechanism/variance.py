r"""Where the perception reward varies, and how much of that is noise.

Let R_gi be the perception reward of completion i of group g (G completions each), mu_gi its mean over draws of anchors
and claims. A group's baseline takes the group's mean away, so what trains is

    a_gi = R_gi - mean_i R_gi

Its part that is worth learning, the signal, is the spread of mu_gi within groups; its noise is the rest. With draws
made for each completion, R_gi = mu_gi + e_gi and the noise of a_gi is (1 - 1/G) Var(e). With draws that a group
shares, e_gi = c_g + d_gi, where c_g (which claims, how deep) is common and falls out with the mean: (1 - 1/G) Var(d).
The mean takes as much from the signal: both are given as they are left in a_gi, (1 - 1/G) of a response's own.

Everything is measured on the same responses with repeated draws of equally many probes:

    noise    = mean_gi var_r(a_gir)
    signal   = mean_gi (mean_r a_gir)^2  -  noise / draws
    within   = signal / (1 - 1/G),  share within groups = within / (within + between)

Intervals are over groups, which are questions: Student's, with the standard error of the jackknife, of the logarithm
where a ratio is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vapo.core.intervals import t_interval

Bounds = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Spread:
    """Variances of the perception reward, for one way of drawing and judging.

    Attributes:
        signal: of a centred reward over responses of a group, each at its own mean: what can be learned.
        noise: of a centred reward over draws.
        between: of groups' means: what a baseline takes away.
        within: of responses' own means within groups, not centred, which `between` is like.
        signal_bounds, noise_bounds, ratio_bounds: 95 % intervals over groups, of signal, noise, and signal to noise;
            None where nothing bounds it: the ratio of a signal that is not above 0 whatever group is left out.
    """

    signal: float
    noise: float
    between: float
    within: float
    signal_bounds: Bounds | None = None
    noise_bounds: Bounds | None = None
    ratio_bounds: Bounds | None = None

    @property
    def share_within(self) -> float:
        """Share of the variance of responses' own means that lies within groups; 0 teaches nothing."""
        within, between = max(self.within, 0.0), max(self.between, 0.0)
        return within / (within + between) if within + between > 0 else 0.0

    @property
    def signal_share(self) -> float:
        """Share of a centred reward's variance that is signal."""
        signal = max(self.signal, 0.0)
        return signal / (signal + self.noise) if signal + self.noise > 0 else 0.0


def decompose(rewards_GIR: NDArray[np.float64]) -> Spread:
    """Take the variance of perception rewards apart.

    Args:
        rewards_GIR: reward of each response under each draw, shape (groups, completions, draws), at least two of each.

    Returns:
        Unbiased estimates; a signal that is hidden by its own noise may come out below 0.

    Raises:
        ValueError: the shape is another.
    """
    if rewards_GIR.ndim != 3 or min(rewards_GIR.shape) < 2:
        raise ValueError(f"rewards have shape {rewards_GIR.shape}; give (groups, completions, draws), each at least 2")
    _, completions, draws = rewards_GIR.shape
    centred_GIR = rewards_GIR - rewards_GIR.mean(axis=1, keepdims=True)
    noise_G = centred_GIR.var(axis=2, ddof=1).mean(axis=1)
    # The mean over draws still holds the draws' noise, divided by their number.
    signal_G = (centred_GIR.mean(axis=2) ** 2).mean(axis=1) - noise_G / draws
    signal, noise = float(signal_G.mean()), float(noise_G.mean())
    within = signal * completions / (completions - 1)
    group_GR = rewards_GIR.mean(axis=1)
    group_noise = float(group_GR.var(axis=1, ddof=1).mean()) / draws
    between = float(group_GR.mean(axis=1).var(ddof=1)) - within / completions - group_noise
    return Spread(
        signal,
        noise,
        between,
        within,
        t_interval(signal_G),
        t_interval(noise_G),
        _bound_ratio(signal_G, noise_G),
    )


def _bound_ratio(above_G: NDArray[np.float64], below_G: NDArray[np.float64]) -> Bounds | None:
    """Bound mean(above) / mean(below) by the jackknife over groups."""
    above_G, below_G = (values.sum() - values for values in (above_G, below_G))
    if not ((above_G > 0).all() and (below_G > 0).all()):
        return None
    groups = len(above_G)
    ratio = np.log(above_G.sum() / below_G.sum())
    # Pseudo-values, whose mean is the estimate less its bias and whose scatter is the estimate's own.
    low, high = t_interval(groups * ratio - (groups - 1) * np.log(above_G / below_G))
    return float(np.exp(low)), float(np.exp(high))
