"""The reward functions of a run: the user's, one of which tells accuracy, and behind them the algorithm's bonus."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from accelerate.utils import gather
from trl import GRPOTrainer

from vapo.core.boundaries import THINK_TAGS
from vapo.core.grading import ends_in_open_thinking
from vapo.errors import ConfigError
from vapo.models.policy.checkpoint_embeddings import opened_embeddings
from vapo.models.think_tags import adopt_think_tags, check_think_tags, decide_think_tags
from vapo.models.untrained_tokens import list_embeddings
from vapo.probing.perception_scorer import ScoredRollout
from vapo.training.rewards import accuracy_reward, format_reward

ANSWERS_BEFORE_WARNING = 64
"""Answers after which a reward that has opened no gate is warned of."""


class RewardColumns:
    """Reads accuracies from TRL's table of rewards, and puts bonuses into it.

    TRL's options are counted before: weights and processing classes are those of the user's functions. The bonus comes
    behind them as TRL does with an environment's.

    Args:
        trainer: whose reward functions these are; it gets one more for the bonus.
        gate: name of the function that tells accuracy; None takes the first.
        bonus_weight: what the bonus is multiplied by; None adds no column for it.

    Attributes:
        gate: number of the column that tells accuracy.
        bonus: number of the column of bonuses; None if there is none.

    Raises:
        ConfigError: no function has the name.
    """

    def __init__(self, trainer: GRPOTrainer, *, gate: str | None, bonus_weight: float | None) -> None:
        names: list[str] = trainer.reward_func_names
        if gate is not None and gate not in names:
            raise ConfigError(f"gate_reward={gate!r} is none of the reward functions ({', '.join(names)})")
        self.gate = names.index(gate) if gate is not None else 0
        self._gate_name = names[self.gate] if names else ""
        self._threshold: float = trainer.args.gate_threshold  # pyright: ignore[reportAttributeAccessIssue]
        self._gate_matters = False
        self._below: list[float] | None = []  # accuracies, until one opens the gate or a warning says that none does
        self.bonus: int | None = None
        if bonus_weight is not None:
            self.bonus = len(names)
            trainer.reward_funcs = [*trainer.reward_funcs, perception_bonus]
            trainer.reward_func_names = [*names, perception_bonus.__name__]
            classes: Any = trainer.reward_processing_classes
            trainer.reward_processing_classes = [*classes, None]
            trainer.reward_weights = torch.cat([trainer.reward_weights, torch.tensor([bonus_weight])])

    def read_accuracies(self, rewards_BF: torch.Tensor, *, required: bool) -> list[float]:
        """Return the accuracy of each row; see `read_accuracy`."""
        self._gate_matters = required
        return [read_accuracy(own, self._gate_name, required=required) for own in rewards_BF[:, self.gate].tolist()]

    def put_bonuses(self, rewards_NF: torch.Tensor, scored: Sequence[ScoredRollout]) -> None:
        """Put this process's bonuses and those of all others into the table of all rows, if it has a column for them.

        Where no function of the user's scored a completion, TRL leaves it out of its group.
        """
        self._watch_gate(scored)
        if self.bonus is not None:
            bonuses_N: Any = gather(torch.tensor([one.reward.bonus for one in scored], device=rewards_NF.device))
            rewards_NF[:, self.bonus] = bonuses_N.masked_fill(rewards_NF.isnan().all(dim=1), torch.nan)

    def _watch_gate(self, scored: Sequence[ScoredRollout]) -> None:
        """Warn once where a reward that grades answers in between never opens the gate."""
        if not self._gate_matters or self._below is None:
            return
        self._below += [one.reward.accuracy for one in scored]
        if any(one.gate_open for one in scored):
            self._below = None
        elif len(self._below) >= ANSWERS_BEFORE_WARNING and 0 < max(self._below) < self._threshold:
            logging.getLogger(__name__).warning(
                "the reward function %r opens the accuracy gate at gate_threshold=%s, and the best of %d answers got "
                "%.4g: none earns a perception reward, so the run trains plain GRPO. Lower gate_threshold to what a "
                "right answer gets, or set accuracy_gate='graded'",
                self._gate_name,
                self._threshold,
                len(self._below),
                max(self._below),
            )
            self._below = None


def read_accuracy(accuracy: float, name: str, *, required: bool) -> float:
    """Return what the gate reads of a reward: an accuracy in [0, 1].

    Args:
        accuracy: what the reward function that opens the gate returned; NaN (it returned None) counts as wrong.
        name: of that function.
        required: whether rewards depend on it. Where they do not, a number outside [0, 1] counts as wrong.

    Raises:
        ConfigError: it is required and not in [0, 1].
    """
    if 0.0 <= accuracy <= 1.0:
        return accuracy
    if required and not math.isnan(accuracy):
        raise ConfigError(
            f"the reward function {name!r} opens the accuracy gate and returned {accuracy}; it must return a number "
            "in [0, 1]; name another one with gate_reward, or let perception count without a gate: "
            "accuracy_gate='none'"
        )
    return 0.0


def adopt_think_format(trainer: GRPOTrainer, tokenizer: Any, model: Any) -> tuple[str, str]:
    """Let prompts and rewards have the tags of a run's `think_tags`, and return what opens and what closes thinking.

    The format reward is also made to fit a chat template whose generation prompt already opens the thinking.

    Args:
        trainer: of the run, whose option `think_tags` is decided here if it is "auto".
        tokenizer: of its policy, changed if tags become plain text.
        model: as it was given to the trainer: a name, whose files are looked at, or a model.
    """

    def embeddings() -> AbstractContextManager[Any]:
        if isinstance(model, str):
            return opened_embeddings(model, args.trust_remote_code)
        return nullcontext(list_embeddings(trainer.model))

    args: Any = trainer.args
    args.think_tags = decide_think_tags(args.think_tags, tokenizer, embeddings)
    tags = adopt_think_tags(args.think_tags, tokenizer)
    if format_reward in trainer.reward_funcs:
        check_think_tags(tokenizer, tags, otherwise=", or pass reward functions of your own")
    probe = [{"role": "user", "content": [{"type": "text", "text": "?"}]}]
    options: Any = trainer.chat_template_kwargs
    processor: Any = trainer.processing_class
    rendered = processor.apply_chat_template(probe, add_generation_prompt=True, tokenize=False, **options)
    opened = ends_in_open_thinking(rendered, tags)
    own = {
        accuracy_reward: partial(accuracy_reward, think_tags=tags),
        format_reward: partial(format_reward, think_tags=tags, think_opened=opened),
    }
    if opened or tags != THINK_TAGS:
        trainer.reward_funcs = [own.get(function, function) for function in trainer.reward_funcs]
    return tags


def perception_bonus(completions: Sequence[Any], **_: Any) -> list[None]:
    """Hold the place of the perception reward; the trainer fills it in once accuracies are known."""
    return [None] * len(completions)
