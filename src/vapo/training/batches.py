"""TRL's batches: taken apart into rows without padding, and shuffled so that groups stay together."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from trl import GRPOTrainer
from trl.trainer import grpo_trainer

from vapo.models.image_features import find_feature_module, passing_image_count
from vapo.models.images import ImageInputs, take_image_inputs
from vapo.models.replaced_method import replaced_method
from vapo.models.vision_tokens import TOKEN_TYPE_INPUTS


@dataclass(frozen=True, slots=True)
class Row:
    """One completion with its prompt.

    Attributes:
        prompt_ids: without padding.
        completion_ids: without padding.
        images: the prompt's images; None if it has none.
        num_images: how many they are.
        inputs: what TRL would call the model on for this row alone.
        completion_mask: which of the row's positions hold the completion; shape (P + T,).
        token_type_name: the input that tells image tokens from text, if there is one.
    """

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    images: ImageInputs | None
    num_images: int
    inputs: Mapping[str, Any]
    completion_mask: torch.Tensor
    token_type_name: str | None

    def shows_same(self, other: Row) -> bool:
        """Return whether both rows show the same images, to the last bit."""
        own = self.images.tensors if self.images is not None else {}
        others = other.images.tensors if other.images is not None else {}
        return own.keys() == others.keys() and all(torch.equal(own[name], others[name]) for name in own)


def take_apart(
    trainer: GRPOTrainer,
    model: torch.nn.Module,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    logits_to_keep: int,
    num_images: list[int] | None = None,
    **images: Any,
) -> list[Row]:
    """Return the rows of a batch as TRL itself would hand them to the model, one by one.

    How images are divided among rows differs from family to family, and TRL knows; so it is TRL that divides them,
    with a recorder in the model's place.

    Args:
        trainer: whose method divides the batch.
        model: tells how a prompt of several images is marked as such.
        input_ids: prompts padded on the left, completions on the right; shape (B, P + T).
        attention_mask: 0 on padding; shape (B, P + T).
        logits_to_keep: T.
        num_images: images of each row.
        images: the images in TRL's form.
    """
    module = find_feature_module(model)
    rows: list[Row] = []

    def record(**inputs: Any) -> Any:
        ids, mask = inputs["input_ids"][0], inputs["attention_mask"][0].bool()
        is_completion = mask.clone()
        is_completion[:-logits_to_keep] = False
        count = num_images[len(rows)] if num_images is not None else 1
        taken = take_image_inputs({name: value for name, value in inputs.items() if name != "labels"})
        names = [name for name in TOKEN_TYPE_INPUTS if name in inputs]
        rows.append(
            Row(
                tuple(ids[mask & ~is_completion].tolist()),
                tuple(ids[is_completion].tolist()),
                passing_image_count(module, taken, count) if taken.tensors else None,
                count,
                inputs,
                is_completion,
                names[0] if names else None,
            )
        )
        return SimpleNamespace(log_probs=torch.zeros(1, logits_to_keep))

    GRPOTrainer._get_per_token_logps_and_entropies(
        trainer, record, input_ids, attention_mask, logits_to_keep, batch_size=1, num_images=num_images, **images
    )
    return rows


@contextmanager
def groups_kept_together(group_size: int) -> Generator[None]:
    """Make TRL shuffle a generation batch by groups, so that rows of a prompt meet in one micro-batch.

    TRL draws one permutation of all rows. Rows are still put in its order, but a group's rows are drawn up to the
    first of them. Which rows share an update is as random as before between groups; the loss of an update, a mean
    over its rows or tokens, is the same function of the rows in it. One number is drawn from the generator as in
    TRL, so a run samples the same completions with and without packing.
    """
    with replaced_method(grpo_trainer, "shuffle_sequence_dict", lambda batch: shuffle_groups(batch, group_size)):
        yield


def shuffle_groups(batch: Mapping[str, Any], group_size: int) -> dict[str, Any]:
    """Return the batch with its groups in random order, and the rows within each.

    Args:
        batch: tensors and lists of B rows, groups one after the other; None and tensors without axes stay.
        group_size: rows of a group; the last one may be cut off at the end of a process's share.
    """
    size = len(next(value for value in batch.values() if value is not None))
    permutation = torch.randperm(size).tolist()
    first_seen: dict[int, int] = {}
    for place, row in enumerate(permutation):
        first_seen.setdefault(row // group_size, place)
    order = sorted(permutation, key=lambda row: first_seen[row // group_size])  # stable: the draw decides within

    def reorder(value: Any) -> Any:
        if value is None or (isinstance(value, torch.Tensor) and value.ndim == 0):
            return value
        return value[order] if isinstance(value, torch.Tensor) else _pick(value, order)

    return {name: reorder(value) for name, value in batch.items()}


def _pick(values: Sequence[Any], order: Sequence[int]) -> list[Any]:
    return [values[row] for row in order]
