"""What an algorithm adds to the advantages of a group, and whose advantages move the policy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather
from numpy.typing import NDArray
from trl import GRPOTrainer

from vapo.algorithms.algorithm import Algorithm
from vapo.core.advantages import combined_advantages, squared_shares
from vapo.training.reward_columns import RewardColumns
from vapo.training.rollout_batch import RolloutBatch, find_progress
from vapo.types import Reward


class GroupCredit:
    """Adds what a method earns to TRL's advantages, and logs where the squared advantage comes from.

    Args:
        trainer: normalises rewards.
        algorithm: is asked about groups where it needs it.
        columns: of the trainer's rewards.
    """

    def __init__(self, trainer: GRPOTrainer, algorithm: Algorithm, columns: RewardColumns) -> None:
        self._trainer: Any = trainer
        self._algorithm = algorithm
        self._columns = columns

    def add_to_advantages(self, output: dict[str, Any], batch: RolloutBatch) -> None:
        """Add to the advantages of a rollout, shape (B,), in place, and log their shares.

        Args:
            output: of TRL, for this process.
            batch: with its rewards; one that was not rewarded is passed over.
        """
        if batch.rewards_NF is None:
            return
        own = output["advantages"]
        first = batch.place.first
        before = _gather(own)
        after = before
        if self._algorithm.needs.advantages:
            after = before + self._ask(batch)
            output["advantages"] = torch.as_tensor(after[first : first + len(own)], dtype=own.dtype, device=own.device)
            logged = self._trainer._logs["advantages"]  # TRL's table of completions
            for _ in after:
                logged.pop()
            logged.extend(after.tolist())
        self._log_shares(before, after, batch)

    def _ask(self, batch: RolloutBatch) -> NDArray[np.float64]:
        """Return what the algorithm adds to the advantage of each response of all processes."""
        assert batch.scored is not None and batch.rewards_NF is not None
        summaries = batch.summaries or [math.nan] * len(batch.scored)
        own = [
            [one.reward.accuracy, _or_nan(one.reward.perception), one.reward.bonus, one.reward.total, summary]
            for one, summary in zip(batch.scored, summaries, strict=True)
        ]
        table = _gather(torch.tensor(own, dtype=torch.float64, device=batch.rewards_NF.device))
        unscored = _to_numpy(batch.rewards_NF.isnan().all(dim=1)) > 0
        rewards = [
            Reward(accuracy, 0.0, _or_none(perception, left_out), bonus, total, _or_none(summary, left_out))
            for (accuracy, perception, bonus, total, summary), left_out in zip(table.tolist(), unscored, strict=True)
        ]
        progress, size = find_progress(self._trainer), batch.place.group_size
        return np.concatenate(
            [
                np.asarray(self._algorithm.added_advantages(rewards[start : start + size], progress), dtype=np.float64)
                for start in range(0, len(rewards), size)
            ]
        )

    def _log_shares(self, before: NDArray[np.float64], after: NDArray[np.float64], batch: RolloutBatch) -> None:
        assert batch.rewards_NF is not None
        rewards_NF = _to_numpy(batch.rewards_NF)
        accuracies: list[float] = rewards_NF[:, self._columns.gate].tolist()
        if any(accuracy < 0 or accuracy > 1 for accuracy in accuracies):
            return  # rewards of the user's, which tell no accuracy
        kept = np.ones(len(after))
        if batch.kept is not None:
            kept = _gather(torch.tensor(batch.kept, device=batch.rewards_NF.device))
        shares = squared_shares(after * kept, accuracies, batch.place.group_size, self._trainer.args.gate_threshold)
        if shares is None:
            return
        metrics = self._trainer._metrics["train" if batch.place.training else "eval"]
        for outcome, share in shares.items():
            metrics[f"advantage/{outcome}_share"].append(share)
        without = before
        if self._columns.bonus is not None:
            others = [column for column in range(rewards_NF.shape[1]) if column != self._columns.bonus]
            without = combined_advantages(
                rewards_NF[:, others],
                _to_numpy(self._trainer.reward_weights)[others],
                batch.place.group_size,
                self._trainer.scale_rewards,
                self._trainer.multi_objective_aggregation,
            )
        gained = ((after - without) * kept) ** 2
        metrics["advantage/perception_share"].append(float(gained.sum() / ((after * kept) ** 2).sum()))


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _or_none(value: float, left_out: bool) -> float | None:
    return None if left_out or math.isnan(value) else value


def _gather(values: torch.Tensor) -> NDArray[np.float64]:
    everyone: Any = gather(values)
    return _to_numpy(everyone)


def _to_numpy(values: torch.Tensor) -> NDArray[np.float64]:
    return values.detach().double().cpu().numpy()
