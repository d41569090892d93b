"""TRL's log-probabilities over rollout trees in place of rows.

TRL asks for the log-probabilities of a batch of rows in one method, for the update as for the old policy and the
reference model. Here its rows are taken apart, those that share a prompt and its images grow into one tree, and the
answer is put together again in TRL's form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from trl import GRPOTrainer

from vapo.models.image_features import find_feature_module, passing_images_per_row
from vapo.models.image_streams import AskedStreams, ImageStreams
from vapo.models.policy.inference import inference
from vapo.models.questions import AnswerTokens
from vapo.models.tree.growth import Branch, grow_trees
from vapo.models.tree.packed import Question, TokenTree
from vapo.models.tree.packed_scores import TreeScores, score_trees
from vapo.models.tree.packing_obstacles import PackingCheck
from vapo.training.batches import Row, take_apart


@dataclass(frozen=True, slots=True)
class BatchScores:
    """What TRL wants to know of B rows, padded with 0 to T completion tokens.

    Attributes:
        log_probs: shape (B, T).
        entropies: shape (B, T); None where the model gives none.
        p_true: answers to each row's questions.
        image_similarity: shape (B, T), see `TokenScores`; None where it was not asked, as below.
        image_attention: shape (B, T), likewise.
        states: by which tokens are predicted, shape (B, T, hidden size), likewise.
        divergence: shape (B, T), see `TokenScores`; None where no one asked.
    """

    log_probs: torch.Tensor
    entropies: torch.Tensor | None
    p_true: list[list[float]]
    image_similarity: torch.Tensor | None = None
    image_attention: torch.Tensor | None = None
    states: torch.Tensor | None = None
    divergence: torch.Tensor | None = None

    @classmethod
    def of_rows(cls, log_probs: torch.Tensor, entropies: torch.Tensor | None, image: ImageStreams) -> BatchScores:
        """Return what TRL found of rows, with what was measured meanwhile."""
        streams = (image.similarities, image.attentions, image.states)
        return cls(log_probs, entropies, [], *(pad_rows(own, log_probs.shape[1]) for own in streams))


class TreePacking:
    """Scores TRL's batches as trees, once a first look has shown that this changes nothing.

    Args:
        trainer: whose batches these are.
        required: raise where the model cannot be packed exactly, instead of going on row by row.
        agree_on_passes: see `score_trees`; None where there is one process.
        collective: see `score_trees`.

    Raises:
        ModelError: packing is required and cannot be had.
    """

    def __init__(
        self,
        trainer: GRPOTrainer,
        *,
        required: bool,
        agree_on_passes: Callable[[int], int] | None,
        collective: bool,
    ) -> None:
        self._trainer: Any = trainer
        self._agree_on_passes = agree_on_passes
        self._collective = collective
        say = trainer.accelerator.print
        self._check = PackingCheck(
            self._trainer.model,
            required=required,
            obstacle=_find_obstacle_in_run(trainer),
            autocast=lambda: self._trainer.accelerator.autocast(),
            agree=agree_on_passes,
            tell=lambda obstacle: say(f"packing: off, every completion is encoded as a row of its own: {obstacle}"),
        )
        if self.is_on:
            say("packing: prompts, images and responses are encoded once per group")

    @property
    def is_on(self) -> bool:
        """Whether batches are scored as trees."""
        return self._check.is_on

    def score(
        self,
        model: torch.nn.Module,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        *,
        batch_size: int | None = None,
        questions: Sequence[Sequence[Question]] = (),
        answer_tokens: AnswerTokens | None = None,
        streams: AskedStreams | None = None,
        **images: Any,
    ) -> BatchScores | None:
        """Score a batch as `GRPOTrainer._get_per_token_logps_and_entropies` would, and ask questions on the way.

        Args:
            model: the policy or the reference model, wrapped or not.
            input_ids: prompts padded on the left, completions on the right; shape (B, P + T).
            attention_mask: 0 on padding; shape (B, P + T).
            logits_to_keep: T.
            batch_size: rows that TRL would put into one pass; trees in one pass hold no more tokens than these.
            questions: for each row, what to ask along its completion; none if empty.
            answer_tokens: needed with questions.
            streams: what to measure of completions and the image.
            images: the images in TRL's form.

        Returns:
            The scores, or None if the batch is to be scored row by row.

        Raises:
            ModelError: packing is required and the model's packed outputs are not its own.
        """
        rows = take_apart(self._trainer, model, input_ids, attention_mask, logits_to_keep, **images)
        trees, members = grow_trees(find_branches(rows, questions or [()] * len(rows)))
        token_type_name = rows[0].token_type_name
        first, last = rows[members[0][0]], rows[members[0][-1]]
        if not self._check.compare_once("log-probabilities", lambda: self._compare(model, first, last)):
            return None
        budget = None if batch_size is None or torch.is_grad_enabled() else batch_size * input_ids.shape[1]
        with self._trainer.accelerator.autocast():
            scores = score_trees(
                model,
                trees,
                token_type_name=token_type_name,
                max_tokens=budget,
                answer_tokens=answer_tokens,
                # Without a budget every process runs one pass, unless a pass may hold one prompt only.
                agree_on_passes=self._agree_on_passes if self._collective or budget is not None else None,
                collective=self._collective,
                streams=streams,
            )
        places = {n: (tree, branch) for tree, own in enumerate(members) for branch, n in enumerate(own)}
        by_row = [places[number] for number in range(len(rows))]

        def sort(of_tree: Callable[[TreeScores], list[torch.Tensor]]) -> torch.Tensor | None:
            found = [(of_tree(scores[tree]), branch) for tree, branch in by_row]
            return pad_rows([values[branch] for values, branch in found if values], logits_to_keep)

        log_probs = sort(lambda own: own.log_probs)
        assert log_probs is not None
        return BatchScores(
            log_probs,
            sort(lambda own: own.entropies),
            [_answers_of(branch, trees[tree], scores[tree].p_true) for tree, branch in by_row],
            sort(lambda own: own.image.similarities),
            sort(lambda own: own.image.attentions),
            sort(lambda own: own.image.states),
        )

    def _compare(self, model: torch.nn.Module, first: Row, second: Row) -> float:
        """Return how far two packed rows, which show the same prompt, are from the same rows on their own."""
        module = find_feature_module(model)
        with inference(model), self._trainer.accelerator.autocast():  # dropout would tell any two passes apart
            (tree,), _ = grow_trees(find_branches([first, second], [(), ()]))
            (own,) = score_trees(model, [tree], token_type_name=first.token_type_name)
            differences: list[torch.Tensor] = []
            for row, packed in zip((first, second), own.log_probs, strict=True):
                with passing_images_per_row(module, [row.num_images]):
                    alone = model(**row.inputs).log_probs[0]  # of each token but the first
                differences.append((packed.float() - alone[row.completion_mask[1:]].float()).abs())
        return self._check.tolerance.measure(torch.cat(differences))


def find_branches(rows: Sequence[Row], questions: Sequence[Sequence[Question]]) -> list[Branch]:
    """Return rows as branches; rows that differ in one token of the prompt or in one pixel never share a tree."""
    seen: dict[tuple[int, ...], list[Row]] = {}
    branches: list[Branch] = []
    for row, own in zip(rows, questions, strict=True):
        others = seen.setdefault(row.prompt_ids, [])
        alike = next((other for other in others if other.shows_same(row)), row)
        if alike is row:
            others.append(row)
        branches.append(Branch(row.prompt_ids, alike.images, row.completion_ids, own))
    return branches


def _answers_of(branch: int, tree: TokenTree, p_true: Sequence[float]) -> list[float]:
    return [p for p, question in zip(p_true, tree.questions, strict=True) if question.completion == branch]


def _find_obstacle_in_run(trainer: GRPOTrainer) -> str | None:
    if trainer.aux_loss_enabled:
        return "the auxiliary loss of a mixture of experts counts the tokens of every row"
    if trainer.tools or trainer.rollout_func is not None:
        return "tools and rollout functions may write images into completions"
    if trainer.args.torch_compile:
        return "torch_compile fixes the attention function"
    return None


def pad_rows(values: Sequence[torch.Tensor], length: int) -> torch.Tensor | None:
    """Return values of rows, each of shape (own length, ...), with 0 behind, shape (B, length, ...); None if there are
    none."""
    if not values:
        return None
    padded = pad_sequence(list(values), batch_first=True)
    return torch.nn.functional.pad(padded, (*(0, 0) * (padded.dim() - 2), 0, length - padded.shape[1]))
