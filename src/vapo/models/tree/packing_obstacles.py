"""Whether a model may be packed: what is known against it, and whether its first packed outputs are its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from vapo.errors import ModelError
from vapo.models.image_features import find_feature_module
from vapo.models.output_layer import LogitChange, find_logit_change
from vapo.models.tolerance import Tolerance

EXACT_LAYERS = {"full_attention", "sliding_attention"}


def find_packing_obstacle(model: torch.nn.Module) -> str | None:
    """Return why `model` cannot read a rollout tree exactly, or None if it can."""
    module = find_feature_module(model)
    name = type(module).__name__
    decoder = module.get_decoder()
    config = decoder.config
    foreign = set(getattr(config, "layer_types", None) or ()) - EXACT_LAYERS
    if foreign:
        return f"{type(decoder).__name__} has layers of the kind {', '.join(sorted(foreign))}"
    if not getattr(decoder, "_supports_attention_backend", False):
        return f"{type(decoder).__name__} does not take its attention from transformers' AttentionInterface"
    if getattr(config, "attn_logit_softcapping", None):
        return f"{type(decoder).__name__} caps its attention scores"
    if getattr(config, "attention_dropout", 0.0):
        return f"{type(decoder).__name__} drops attention weights at random (attention_dropout)"
    if find_logit_change(model) != LogitChange():
        return f"{name} changes the logits of its output layer"
    return None


class PackingCheck:
    """Decide whether a model's passes are packed: nothing is known against it, and a first look finds no difference.

    Args:
        model: the model.
        required: raise where it cannot be packed exactly, instead of leaving packing off.
        obstacle: what else is known against it.
        autocast: makes the context in which the model is called.
        agree: given a number, returns the greatest that any process gave; None where there is one process.
        tell: is told in a sentence why packing is off.

    Raises:
        ModelError: packing is required and cannot be had.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        *,
        required: bool,
        obstacle: str | None = None,
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
        agree: Callable[[int], int] | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.is_on = True
        self._model = model
        self._required = required
        self._autocast = autocast
        self._agree = agree
        self._report = tell
        self._compared = False
        obstacle = find_packing_obstacle(model) or obstacle
        if obstacle is not None:
            self._turn_off(obstacle)

    def compare_once(self, what: str, compare: Callable[[], float]) -> bool:
        """Compare at the first call, and return whether packing is on; processes call it together.

        Args:
            what: is compared, for the message.
            compare: returns how far packed outputs are from those of plain rows.

        Raises:
            ModelError: they differ or cannot be computed, and packing is required.
        """
        if self.is_on and not self._compared:
            self._compared = True
            obstacle = self._look(what, compare)
            if obstacle is not None if self._agree is None else self._agree(int(obstacle is not None)):
                self._turn_off(obstacle or f"packed {what} differ from the model's own in another process")
        return self.is_on

    def _look(self, what: str, compare: Callable[[], float]) -> str | None:
        try:
            difference = compare()
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # a family's layers raise what they like where they are given another form
            said = next(iter(str(error).strip().splitlines()), type(error).__name__)
            return f"packed {what} cannot be computed ({said})"
        if self.tolerance.allows(difference):
            return None
        return f"packed {what} differ from the model's own by {difference:.2g}"

    @property
    def tolerance(self) -> Tolerance:
        """What may lie between a packed output and a plain one."""
        return Tolerance.of(self._model, self._autocast)

    def _turn_off(self, obstacle: str) -> None:
        if self._required:
            raise ModelError(f"packing='require' cannot be had: {obstacle}; use packing='off'")
        self.is_on = False
        if self._report is not None:
            self._report(obstacle)
