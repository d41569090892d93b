"""How far several observers, or several measurements, agree beyond chance."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray


def nominal_alpha(ratings: Sequence[Sequence[Hashable]]) -> float | None:
    """Measure agreement on categories by Krippendorff's alpha.

    alpha = 1 - D_o / D_e: the share of unlike pairs within units over the share among all labels drawn at random. 1 is
    perfect agreement, 0 what chance gives, below 0 is worse. For two observers who judged everything it is nearly
    Cohen's kappa; it also takes more observers, and units that not all of them judged.

    Args:
        ratings: per unit, the labels that it got; units with fewer than two say nothing and are passed over.

    Returns:
        At most 1; None where no unit has two labels, or all labels are the same, so that agreeing would be no merit.

    Source: Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), nominal data.
    """
    return _alpha(_count_pairs(ratings).sum(axis=0))


def bootstrap_alpha_interval(
    ratings: Sequence[Sequence[Hashable]],
    groups: Sequence[Hashable],
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> tuple[float, float] | None:
    """Bound `nominal_alpha` by the percentile bootstrap over groups of units, such as claims about one image.

    Args:
        ratings: as for `nominal_alpha`.
        groups: per unit, the group it belongs to; groups must be independent.
        rng: the generator that the draws come from.
        confidence: in (0, 1).
        resamples: at least 1.

    Returns:
        Lower and upper bound; None where there is no alpha, fewer than two groups, or no unit was judged differently,
        as a bootstrap would then claim certainty.

    Raises:
        ValueError: there is not one group per unit.
    """
    if len(ratings) != len(groups):
        raise ValueError(f"there are {len(ratings)} units but {len(groups)} groups; name one group per unit")
    pairs_UCC = _count_pairs(ratings)
    names = {name: number for number, name in enumerate(dict.fromkeys(groups))}
    pairs_GCC = np.zeros((len(names), *pairs_UCC.shape[1:]))
    np.add.at(pairs_GCC, [names[name] for name in groups], pairs_UCC)
    alpha = _alpha(pairs_GCC.sum(axis=0))
    if alpha is None or alpha == 1 or len(names) < 2:
        return None
    drawn: list[float] = []
    for _ in range(resamples):
        times_G = rng.multinomial(len(names), np.full(len(names), 1 / len(names)))
        again = _alpha(np.tensordot(times_G, pairs_GCC, axes=1))
        if again is not None:  # a draw in which all labels are the same tells nothing
            drawn.append(again)
    if not drawn:
        return None
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def centred_correlation(pairs: Sequence[tuple[float, float]], groups: Sequence[Hashable]) -> float | None:
    """Correlate two measurements of the same things within groups, such as two halves of a test.

    Both are centred within each group first, so that what a group has in common counts for nothing.

    Args:
        pairs: of measurements.
        groups: per pair, the group it belongs to.

    Returns:
        Pearson's r, in [-1, 1]; None where either measurement is the same throughout each group.

    Raises:
        ValueError: there is not one group per pair.
    """
    if len(pairs) != len(groups):
        raise ValueError(f"there are {len(pairs)} pairs but {len(groups)} groups; name one group per pair")
    members: dict[Hashable, list[tuple[float, float]]] = {}
    for pair, group in zip(pairs, groups, strict=True):
        members.setdefault(group, []).append(pair)
    centred = [np.asarray(own) - np.mean(own, axis=0) for own in members.values()]
    first, second = np.concatenate(centred).T if centred else np.zeros((2, 0))
    spread = np.sqrt((first**2).sum() * (second**2).sum())
    return float(first @ second / spread) if spread > 1e-12 else None


def _count_pairs(ratings: Sequence[Sequence[Hashable]]) -> NDArray[np.float64]:
    """Count ordered pairs of labels within each unit, each unit weighing as many as it has labels."""
    labels = {label: number for number, label in enumerate(dict.fromkeys(one for unit in ratings for one in unit))}
    pairs_UCC = np.zeros((len(ratings), len(labels), len(labels)))
    for unit, given in enumerate(ratings):
        if len(given) < 2:
            continue
        counts = np.bincount([labels[label] for label in given], minlength=len(labels))
        pairs_UCC[unit] = (np.outer(counts, counts) - np.diag(counts)) / (len(given) - 1)
    return pairs_UCC


def _alpha(pairs_CC: NDArray[np.float64]) -> float | None:
    totals_C = pairs_CC.sum(axis=1)
    number = totals_C.sum()
    unlike_by_chance = (number**2 - (totals_C**2).sum()) / (number - 1) if number > 1 else 0.0
    if unlike_by_chance <= 0:
        return None
    return float(1 - (number - np.trace(pairs_CC)) / unlike_by_chance)
