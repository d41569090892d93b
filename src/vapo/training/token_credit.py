"""What an algorithm says of single tokens: weights of their advantages, and what is added to their loss."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from accelerate.utils import gather
from trl import GRPOTrainer
from trl.models.utils import disable_gradient_checkpointing

from vapo.algorithms.algorithm import Algorithm
from vapo.errors import ConfigError
from vapo.models.image_attention import TokenPath
from vapo.models.image_features import find_feature_module
from vapo.models.image_streams import AskedStreams, ImageStreams, choose_layers, measuring_streams
from vapo.models.output_layer import compare_distributions
from vapo.models.vision_tokens import find_image_token_id
from vapo.training.aggregation import Batch, aggregate, check_loss_type
from vapo.training.other_images import show_second
from vapo.training.packing import BatchScores
from vapo.training.rollout_batch import RolloutBatch
from vapo.types import TokenScores

SCORING_INPUTS = tuple(inspect.signature(GRPOTrainer._get_per_token_logps_and_entropies).parameters)


class TokenCredit:
    """Asks an algorithm about tokens, and puts the answers into TRL's batches.

    Args:
        trainer: scores batches.
        algorithm: is asked where it needs it.

    Raises:
        ConfigError: it adds to the loss, and how TRL averages this run's loss is not known; it needs attention on the
            image in layers that there are not, or that do not say what they attend to; or it needs divergences, and
            weights are sharded.
        ModelError: it needs attention on the image, and the model's cannot be measured.

    Attributes:
        streams: what the pass that runs now is to measure of tokens and the image; None for nothing.
        awaits_scores: whether the next pass is over a rollout whose scores the method asks for.
    """

    streams: AskedStreams | None = None
    awaits_scores: bool = False
    _rollout_scores: BatchScores | None = None

    def __init__(self, trainer: GRPOTrainer, algorithm: Algorithm) -> None:
        self._trainer: Any = trainer
        self._algorithm = algorithm
        self._needs = algorithm.needs
        if self._needs.token_loss:
            check_loss_type(str(self._trainer.args.loss_type))
        if self._needs.divergence and self._trainer._forward_is_collective():
            raise ConfigError(
                "the algorithm compares distributions over the vocabulary, for which the weights of the output layer "
                "must be whole on each process, and here they are sharded; leave that out (for VPPO: set "
                "dependence='sampled'), or train with multi_gpu"
            )
        self._asked = self._choose_streams()

    @contextmanager
    def keeping_scores(self, scores_old_policy: bool) -> Generator[None]:
        """Keep what TRL's pass over a rollout finds, so that the method's scores take no pass of their own.

        Args:
            scores_old_policy: whether TRL makes such a pass, before any others.
        """
        self._rollout_scores = None
        self.awaits_scores = scores_old_policy and (self._needs.token_weights or self._needs.summary)
        with self._measuring(self._asked if self.awaits_scores else None):
            yield

    def take_scores(self, scores: BatchScores) -> None:
        """Take what a pass found, if it is the awaited one."""
        if self.awaits_scores:
            self._rollout_scores, self.awaits_scores, self.streams = scores, False, None

    @contextmanager
    def weighing_advantages(self, output: dict[str, Any], batch: RolloutBatch) -> Generator[None]:
        """Sum up a rollout's responses before the context, and weigh their advantages behind it, if the method asks.

        Args:
            output: of TRL; advantages of shape (B,) become those of tokens, shape (B, T), if tokens are weighed.
            batch: that the output was made of; gets the summaries.
        """
        needs, mask_BT, weights_B = self._needs, output["completion_mask"], None
        scores = self._score_rollout(output) if needs.token_weights or needs.summary else None
        if scores is not None and needs.summary:
            weights_B = self._weigh_responses(list_token_scores(*scores, mask_BT), batch)
        yield
        if weights_B is not None:
            output["advantages"] = output["advantages"] * weights_B.to(output["advantages"])
        self._weigh_by_verdicts(output, batch)
        if scores is not None and needs.token_weights:
            with torch.no_grad():
                weights_BT = ask_tokens(self._algorithm.token_weights, scores, mask_BT, 1.0)
            output["advantages"] = spread(output["advantages"], weights_BT)

    def _weigh_by_verdicts(self, output: dict[str, Any], batch: RolloutBatch) -> None:
        """Weigh the advantages of tokens by the verdicts along their responses, if the method does."""
        if not self._needs.verdict_weights or batch.scored is None:
            return
        weights_BT = torch.ones_like(output["completion_ids"], dtype=output["advantages"].dtype)
        for row, (one, advantage) in enumerate(zip(batch.scored, output["advantages"].tolist(), strict=True)):
            length = len(one.rollout.completion_ids)
            weights = self._algorithm.verdict_weights(one.verdicts, length, advantage)
            if weights is not None:
                weights_BT[row, :length] = torch.tensor(weights)
        output["advantages"] = spread(output["advantages"], weights_BT)

    def _score_rollout(self, output: dict[str, Any]) -> tuple[BatchScores, BatchScores | None]:
        args = self._trainer.args
        with (
            torch.no_grad(),
            disable_gradient_checkpointing(self._trainer.model, args.gradient_checkpointing_kwargs),
        ):  # as TRL does where it scores
            size = args.per_device_train_batch_size
            scores, self._rollout_scores = self._rollout_scores, None
            if scores is None:
                scores = self._score(self._trainer.model, output, size)
            second = self._score_second(self._trainer.model, output, size)
            return self._compare_views(scores, second, output["completion_mask"]), second

    def _compare_views(self, scores: BatchScores, second: BatchScores | None, mask_BT: torch.Tensor) -> BatchScores:
        """Return the scores with the divergence of each token's distribution between the views, if the method asks."""
        if not self._needs.divergence or second is None:
            return scores
        assert scores.states is not None and second.states is not None
        trainer, kept = self._trainer, mask_BT.bool()
        found = torch.zeros_like(scores.log_probs)
        with trainer.accelerator.autocast():
            found[kept] = compare_distributions(
                trainer.accelerator.unwrap_model(trainer.model),
                scores.states[kept],
                second.states[kept],
                temperature=trainer.temperature,
            ).to(found)
        return replace(scores, divergence=found)

    def _weigh_responses(self, responses: Sequence[TokenScores | None], batch: RolloutBatch) -> torch.Tensor:
        """Return what the method makes of the summaries of all processes' responses, for this one's; shape (B,)."""
        kept = batch.kept or [True] * len(responses)
        own = [
            self._algorithm.summarize(one) if one is not None and used else None
            for one, used in zip(responses, kept, strict=True)
        ]
        batch.summaries = [math.nan if one is None else one for one in own]
        device, size, first = self._trainer.accelerator.device, batch.place.group_size, batch.place.first
        gathered: Any = gather(torch.tensor(batch.summaries, dtype=torch.float64, device=device))
        everyone: list[float] = gathered.tolist()
        groups = [
            [one for one in everyone[start : start + size] if not math.isnan(one)]
            for start in range(0, len(everyone), size)
        ]
        weights = chain.from_iterable(self._algorithm.response_weights(groups))
        weights_N = [1.0 if math.isnan(one) else next(weights) for one in everyone]
        return torch.tensor(weights_N[first : first + len(own)])

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

    @contextmanager
    def measuring_update(self) -> Generator[None]:
        """Make the passes of an update measure what `token_loss` is given."""
        with self._measuring(self._asked if self._needs.token_loss else None):
            yield

    @contextmanager
    def reading_streams(self, model: torch.nn.Module, logits_to_keep: int) -> Generator[ImageStreams]:
        """Measure what is asked now in TRL's passes over rows of prompts and completions.

        Args:
            model: the model that TRL calls.
            logits_to_keep: tokens of a row, at its end, that hold the completion and padding.
        """
        image_token_id = find_image_token_id(find_feature_module(model).config)

        def find_paths(inputs: dict[str, Any]) -> list[TokenPath]:
            ids_BN, mask_BN = inputs["input_ids"].cpu(), inputs["attention_mask"].cpu().bool()
            lengths = mask_BN[:, -logits_to_keep:].sum(1).tolist()
            places = [torch.nonzero(mask).flatten() for mask in mask_BN]
            return [
                TokenPath(row, own, ids_BN[row, own] == image_token_id, length)
                for row, (own, length) in enumerate(zip(places, lengths, strict=True))
            ]

        with measuring_streams(model, find_paths, self.streams) as streams:
            yield streams

    @contextmanager
    def _measuring(self, asked: AskedStreams | None) -> Generator[None]:
        self.streams = asked
        try:
            yield
        finally:
            self.streams = None

    def _choose_streams(self) -> AskedStreams | None:
        needs, attention = self._needs, self._needs.image_attention
        layers = None if attention is None else choose_layers(self._trainer.model, attention)
        asked = AskedStreams(needs.image_similarity, layers, needs.divergence)
        return None if asked == AskedStreams() else asked

    def _score(self, model: torch.nn.Module, batch: dict[str, Any], batch_size: int | None = None) -> BatchScores:
        """Return the scores of a batch's responses, with what the method asks of the image."""
        with self._measuring(self._asked):
            return score_batch(self._trainer, model, batch, batch_size)

    def _score_second(
        self, model: torch.nn.Module, batch: dict[str, Any], batch_size: int | None = None
    ) -> BatchScores | None:
        """Return the scores behind the second view of the images; None if the method needs none."""
        return None if self._needs.second_view is None else self._score(model, show_second(batch), batch_size)


def score_batch(
    trainer: Any, model: torch.nn.Module, batch: Mapping[str, Any], batch_size: int | None = None
) -> BatchScores:
    """Return the scores of a batch's responses, as in an update.

    Args:
        trainer: scores them.
        model: the policy or another.
        batch: TRL's.
        batch_size: rows that TRL would put into one pass; None for all.
    """
    trainer._get_per_token_logps_and_entropies(
        model,
        torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
        torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
        batch["completion_mask"].shape[1],
        batch_size=batch_size,
        compute_entropy=True,
        **{name: batch[name] for name in SCORING_INPUTS if name in batch},
    )
    scores = trainer.take_scores()
    assert scores is not None
    return scores


def spread(advantages: torch.Tensor, weights_BT: torch.Tensor) -> torch.Tensor:
    """Return the advantages of tokens; shape (B, T), from those of responses, (B,), or of tokens, (B, T)."""
    return advantages.reshape(len(weights_BT), -1) * weights_BT


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
    rows: list[torch.Tensor] = []
    for row, own in enumerate(list_token_scores(*scores, mask_BT)):
        values = None if own is None else ask(own)
        kept = torch.full_like(scores[0].log_probs[row], otherwise)
        rows.append(kept if values is None else torch.cat([values, kept[len(values) :]]))
    return torch.stack(rows)


def list_token_scores(
    first: BatchScores, second: BatchScores | None, mask_BT: torch.Tensor
) -> list[TokenScores | None]:
    """Return the scores of each response as an algorithm sees them; None for one without tokens to train on.

    Args:
        first: of B responses.
        second: the same behind the second view of the images, if there is one.
        mask_BT: 1 where a response has a token; responses begin on the left.
    """
    return [
        replace(_take_row(first, row, length), second=None if second is None else _take_row(second, row, length))
        if length
        else None
        for row, length in enumerate(mask_BT.sum(1).tolist())
    ]


def _take_row(scores: BatchScores, row: int, length: int) -> TokenScores:
    def take(values_BT: torch.Tensor | None) -> torch.Tensor | None:
        return None if values_BT is None else values_BT[row, :length]

    return TokenScores(
        scores.log_probs[row, :length],
        take(scores.entropies),
        image_similarity=take(scores.image_similarity),
        image_attention=take(scores.image_attention),
        divergence=take(scores.divergence),
    )
