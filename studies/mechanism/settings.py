"""Settings whose gradients are compared, and the advantages that each gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vapo.algorithms.vapo import VAPO
from vapo.core.advantages import Aggregation, Scale, combined_advantages, informative_groups
from vapo.core.perception import rescale_reward
from vapo.core.rewards import PRESETS, compose_reward, relaxed_gate_weight
from vapo.types import Reward

from .measuring import Measured


@dataclass(frozen=True, slots=True)
class Setting:
    """Options of a run, as far as they decide advantages.

    Attributes:
        algorithm: weights of rewards, and what perception is worth.
        scale: `scale_rewards`.
        aggregation: `multi_objective_aggregation`.
        group_filter: `dynamic_sampling`; groups that it replaces count as absent.
        by_token: whether each token weighs as much, as with `loss_type` "dapo", instead of each response.
    """

    algorithm: VAPO
    scale: Scale = "group"
    aggregation: Aggregation = "sum_then_normalize"
    group_filter: Literal["none", "accuracy", "reward"] = "none"
    by_token: bool = False


_RELEASED = PRESETS["released"]
_AS_RELEASED = VAPO(
    accuracy_weight=_RELEASED.accuracy_weight,
    format_weight=_RELEASED.format_weight,
    perception_weight=_RELEASED.perception_weight,
    rescale_perception=_RELEASED.rescale_perception,
)


def _two_parts(weight: float) -> Setting:
    return Setting(VAPO(perception_credit="advantage", perception_weight=weight))


SETTINGS: Mapping[str, Setting] = {
    "preset: paper": Setting(VAPO()),
    "perception_weight: 0.01": Setting(VAPO(perception_weight=0.01)),
    "perception_weight: 1": Setting(VAPO(perception_weight=1.0)),
    "dynamic_sampling: accuracy": Setting(VAPO(), group_filter="accuracy"),
    "dynamic_sampling: reward": Setting(VAPO(), group_filter="reward"),
    "scale_rewards: batch": Setting(VAPO(), scale="batch"),
    "scale_rewards: none": Setting(VAPO(), scale="none"),
    "multi_objective_aggregation: normalize_then_sum": Setting(VAPO(), aggregation="normalize_then_sum"),
    "accuracy_gate: none": Setting(VAPO(accuracy_gate="none")),
    "preset: released": Setting(_AS_RELEASED, group_filter=_RELEASED.group_filter, by_token=True),
    "preset: released, dynamic_sampling: accuracy": Setting(_AS_RELEASED, group_filter="accuracy", by_token=True),
    "perception_credit: advantage, perception_weight: 0.3": _two_parts(0.3),
    "perception_credit: advantage, perception_weight: 0.5": _two_parts(0.5),
    "perception_credit: advantage, perception_weight: 1": _two_parts(1.0),
}
"""By the options that a run names."""


@dataclass(frozen=True, slots=True)
class Credit:
    """What a draw of probes gives each response; every array has shape (N,).

    Attributes:
        rewards: before normalisation.
        all: what multiplies its gradient.
        without: what would, without perception.
    """

    rewards: NDArray[np.float64]
    all: NDArray[np.float64]
    without: NDArray[np.float64]

    @property
    def perception(self) -> NDArray[np.float64]:
        """What perception added."""
        return self.all - self.without


def give_credit(setting: Setting, measured: Measured, perceptions: NDArray[np.float64]) -> Credit:
    """Return the advantages of one draw of probes.

    Args:
        setting: of the run.
        measured: answers and forms.
        perceptions: (N,) raw perception rewards, before any rescaling.
    """
    algorithm, size = setting.algorithm, measured.group_size
    unit = setting.aggregation == "normalize_then_sum"  # a weight inside a reward cancels out, so it stands outside
    rewards = [
        _earn(algorithm, float(accuracy), float(form), None if np.isnan(seen) else float(seen), unit=unit)
        for accuracy, form, seen in zip(measured.accuracies, measured.formats, perceptions, strict=True)
    ]
    table = np.array([[one.accuracy, one.format, one.bonus] for one in rewards])
    weights = np.array(
        [algorithm.accuracy_weight, algorithm.format_weight, algorithm.perception_weight if unit else 1.0]
    )
    both = [
        combined_advantages(table[:, :columns], weights[:columns], size, setting.scale, setting.aggregation)
        for columns in (3, 2)
    ]
    groups = range(0, len(rewards), size)
    both[0] = both[0] + np.concatenate([algorithm.added_advantages(rewards[at : at + size], 0.0) for at in groups])
    kept = np.ones(len(rewards))
    if setting.group_filter != "none":
        compared = measured.accuracies if setting.group_filter == "accuracy" else table @ weights
        informative = informative_groups(compared.reshape(-1, size).tolist())
        kept = np.repeat(np.isin(np.arange(len(groups)), informative), size).astype(float)
    if setting.by_token:
        kept = kept * measured.lengths / measured.lengths.mean()
    return Credit(table @ weights, both[0] * kept, both[1] * kept)


def _earn(algorithm: VAPO, accuracy: float, form: float, seen: float | None, *, unit: bool) -> Reward:
    """Return the reward of a response as it is before training; `unit` leaves out the weight of its bonus."""
    weight = 1.0 if unit else algorithm.perception_weight
    return compose_reward(
        accuracy,
        form,
        rescale_reward(seen) if seen is not None and algorithm.rescale_perception else seen,
        perception_weight=weight if algorithm.perception_credit == "reward" else 0.0,
        gate=algorithm.accuracy_gate,
        relaxed=relaxed_gate_weight(0.0),
    )
