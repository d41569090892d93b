"""From gradients to numbers: what share perception gets, through which groups, and how much of it is luck."""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from vapo.core.advantages import Outcome, group_outcome

from .measuring import PAPER, WAYS, Measured
from .settings import SETTINGS, Setting, give_credit

GRADIENT, ADVANTAGE = "of the squared gradient", "of the squared advantage"
Numbers = dict[str, float]


def count_shares(measured: Measured, setting: Setting) -> Numbers:
    """Return perception's share of the squared gradient and of the squared advantage, over all draws.

    The squared gradient is the sum over groups of the squared length of the group's gradient; perception's part of it
    is the gradient that its part of the advantages makes.
    """
    credits = [give_credit(setting, measured, one) for one in measured.perceptions[PAPER]]
    whole = sum(_squares(measured, credit.all).sum() for credit in credits)
    flat = sum((credit.all**2).sum() for credit in credits)
    return {
        GRADIENT: _divide(sum(_squares(measured, credit.perception).sum() for credit in credits), whole),
        ADVANTAGE: _divide(sum((credit.perception**2).sum() for credit in credits), flat),
    }


def describe_groups(measured: Measured) -> dict[Outcome, Numbers]:
    """Return, by how the answers of a group came out, what the paper's setting makes of such groups."""
    outcomes = list_outcomes(measured)
    credits = [give_credit(SETTINGS["preset: paper"], measured, one) for one in measured.perceptions[PAPER]]
    squares = np.mean([_squares(measured, credit.all) for credit in credits], axis=0)
    gained = np.mean([_squares(measured, credit.perception) for credit in credits], axis=0)
    rewards = np.stack([credit.rewards for credit in credits]).reshape(len(credits), -1, measured.group_size)
    spreads = rewards.std(axis=2, ddof=1).mean(axis=0)
    found: dict[Outcome, Numbers] = {}
    for outcome in get_args(Outcome):
        own = np.array([one == outcome for one in outcomes])
        inside = squares[own].sum()
        found[outcome] = {
            "groups": float(own.mean()),
            "standard deviation of the reward": float(spreads[own].mean()) if own.any() else float("nan"),
            GRADIENT: _divide(inside, squares.sum()),
            "perception's part of that": _divide(gained[own].sum(), inside),
        }
    return found


def correlate_draws(measured: Measured, way: str) -> float:
    """Return how far two draws of probes agree on the advantages of all-right groups: Pearson's r over all pairs."""
    right = np.repeat([one == "all_right" for one in list_outcomes(measured)], measured.group_size)
    paper = SETTINGS["preset: paper"]
    drawn = [give_credit(paper, measured, one).all[right] for one in measured.perceptions[way]]
    pairs = [(a, b) for number, a in enumerate(drawn) for b in drawn[number + 1 :]]
    return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs])) if right.any() else float("nan")


def find_directions(measured: Measured) -> Numbers:
    """Return cosines: between the gradients of different groups, and between the whole gradients with and without.

    Perception's gradient is taken where nearly all of it is, in all-right groups; draws are averaged for both.
    """
    credits = [give_credit(SETTINGS["preset: paper"], measured, one) for one in measured.perceptions[PAPER]]
    right = np.repeat([one == "all_right" for one in list_outcomes(measured)], measured.group_size)
    without, perception = (
        np.mean([getattr(credit, part) for credit in credits], axis=0) for part in ("without", "perception")
    )
    return {
        "answers and form": _mean_cosine(measured, without),
        "perception, all-right groups": _mean_cosine(measured, perception * right),
        "with and without perception": float(
            np.mean([_cosine(measured.products, credit.all, credit.without) for credit in credits])
        ),
    }


def list_outcomes(measured: Measured) -> list[Outcome]:
    """Return how the answers of each group came out."""
    return [group_outcome(own) for own in measured.accuracies.reshape(-1, measured.group_size).tolist()]


def count_all(measured: Measured) -> dict[str, dict[str, Numbers]]:
    """Return every number of a seed, by table and row."""
    return {
        "groups": {str(outcome): numbers for outcome, numbers in describe_groups(measured).items()},
        "settings": {name: count_shares(measured, setting) for name, setting in SETTINGS.items()},
        "draws": {way: {"correlation": correlate_draws(measured, way)} for way in WAYS},
        "directions": {name: {"cosine": value} for name, value in find_directions(measured).items()},
    }


def _divide(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")


def _squares(measured: Measured, credit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the squared length of each group's gradient."""
    size = measured.group_size
    return np.array(
        [
            credit[start : start + size]
            @ measured.products[start : start + size, start : start + size]
            @ credit[start : start + size]
            for start in range(0, len(credit), size)
        ]
    )


def _mean_cosine(measured: Measured, credit: NDArray[np.float64]) -> float:
    """Return the mean cosine between the gradients of two groups, over all pairs of groups that have one."""
    size = measured.group_size
    spread = np.zeros((len(credit) // size, len(credit)))
    for group in range(len(spread)):
        own = slice(group * size, (group + 1) * size)
        spread[group, own] = credit[own]
    products = spread @ measured.products @ spread.T
    lengths = np.sqrt(np.diag(products))
    has_one = lengths > 1e-9 * max(lengths.max(), 1e-30)
    cosines = products[np.ix_(has_one, has_one)] / np.outer(lengths[has_one], lengths[has_one])
    number = int(has_one.sum())
    return float((cosines.sum() - number) / (number * (number - 1))) if number > 1 else float("nan")


def _cosine(products: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    lengths = np.sqrt((first @ products @ first) * (second @ products @ second))
    return _divide(float(first @ products @ second), float(lengths))
