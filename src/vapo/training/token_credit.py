"""What an algorithm says of single tokens: weights of their advantages, and what is added to their loss."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from trl import GRPOTrainer
from trl.models.utils import disable_gradient_checkpointing

from vapo.algorithms.algorithm import Algorithm
from vapo.training.aggregation import Batch, aggregate, check_loss_type
from vapo.training.other_images import show_second
from vapo.training.packing import BatchScores
from vapo.types import TokenScores

SCORING_INPUTS = tuple(inspect.signature(GRPOTrainer._get_per_token_logps_and_entropies).parameters)


class TokenCredit:
    """Asks an algorithm about tokens, and puts the answers into TRL's batches.

    Args:
        trainer: scores batches.
        algorithm: is asked where it needs it.

    Raises:
        ConfigError: it adds to the loss, and how TRL averages this run's loss is not known.
    """

    def __init__(self, trainer: GRPOTrainer, algorithm: Algorithm) -> None:
        self._trainer: Any = trainer
        self._algorithm = algorithm
        self._needs = algorithm.needs
        if self._needs.token_loss:
            check_loss_type(str(self._trainer.args.loss_type))

    def weigh_advantages(self, output: dict[str, Any]) -> None:
        """Turn the advantages of a rollout, shape (B,), into those of its tokens, shape (B, T), if the method asks."""
        if not self._needs.token_weights:
            return
        args = self._trainer.args
        with (
            torch.no_grad(),
            disable_gradient_checkpointing(self._trainer.model, args.gradient_checkpointing_kwargs),
        ):  # as TRL does where it scores
            size = args.per_device_train_batch_size
            scores = self._score(self._trainer.model, output, size)
            second = self._score_second(self._trainer.model, output, size)
        weights_BT = ask_tokens(self._algorithm.token_weights, (scores, second), output["completion_mask"], 1.0)
        output["advantages"] = output["advantages"].unsqueeze(1) * weights_BT

    def add_to_loss(
        self, loss: torch.Tensor, model: torch.nn.Module, scores: BatchScores | None, inputs: dict[str, Any]
    ) -> torch.Tensor:
        """Return TRL's loss of a micro-batch and what the method adds to it.

        Args:
            loss: TRL's.
            model: the policy, as TRL calls it.
            scores: of the forward pass that it comes from, with gradients.
            inputs: the micro-batch.
        """
        if not self._needs.token_loss:
            return loss
        assert scores is not None
        trainer, training = self._trainer, self._trainer.model.training
        mask_BT = inputs["completion_mask"] * inputs.get("tool_mask", 1)
        steps = trainer.current_gradient_accumulation_steps if training else 1.0
        num_tokens = inputs["num_items_in_batch"].clamp(min=1.0) / trainer.accelerator.num_processes
        if training:  # TRL counts the tokens of a whole rollout, which serves several updates
            num_tokens = num_tokens * steps / trainer.args.steps_per_generation
        batch = Batch(int(trainer.args.max_completion_length), steps, num_tokens)
        second = self._score_second(model, inputs)
        values_BT = ask_tokens(self._algorithm.token_loss, (scores, second), inputs["completion_mask"], 0.0)
        return loss + aggregate(values_BT, mask_BT, trainer.loss_type, batch)

    def _score(self, model: torch.nn.Module, batch: dict[str, Any], batch_size: int | None = None) -> BatchScores:
        """Return the scores of a batch's responses."""
        log_probs, entropies, _ = self._trainer._get_per_token_logps_and_entropies(
            model,
            torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
            torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
            batch["completion_mask"].shape[1],
            batch_size=batch_size,
            compute_entropy=True,
            **{name: batch[name] for name in SCORING_INPUTS if name in batch},
        )
        return BatchScores(log_probs, entropies, [])

    def _score_second(
        self, model: torch.nn.Module, batch: dict[str, Any], batch_size: int | None = None
    ) -> BatchScores | None:
        """Return the scores behind the second view of the images; None if the method needs none."""
        return None if self._needs.second_view is None else self._score(model, show_second(batch), batch_size)


def ask_tokens(
    ask: Callable[[TokenScores], torch.Tensor | None],
    scores: tuple[BatchScores, BatchScores | None],
    mask_BT: torch.Tensor,
    otherwise: float,
) -> torch.Tensor:
    """Return what an algorithm says of each token; shape (B, T).

    Args:
        ask: its method, which is given one response at a time.
        scores: of B responses, and the same behind the second view of the images.
        mask_BT: 1 where a response has a token; responses begin on the left.
        otherwise: stands on padding, and where it says nothing.
    """
    first, second = scores
    rows: list[torch.Tensor] = []
    for row, length in enumerate(mask_BT.sum(1).tolist()):
        values = None
        if length:
            behind_second = None if second is None else _take_row(second, row, length)
            values = ask(replace(_take_row(first, row, length), second=behind_second))
        kept = torch.full_like(first.log_probs[row], otherwise)
        rows.append(kept if values is None else torch.cat([values, kept[length:]]))
    return torch.stack(rows)


def _take_row(scores: BatchScores, row: int, length: int) -> TokenScores:
    entropies = None if scores.entropies is None else scores.entropies[row, :length]
    return TokenScores(scores.log_probs[row, :length], entropies)
