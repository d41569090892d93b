"""What a model's own forward pass does to the logits of its output layer: it scales them, caps them, or neither.

Configurations do not tell. That of Cohere 2 names a `logit_scale`, which its text model applies, and which Aya Vision,
built around the same layers, does not. So the forward pass itself is asked, with chosen numbers in the place of the
output layer's logits, and nothing before that layer. No weight is read.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from transformers import PreTrainedModel

from vapo.errors import ModelError
from vapo.models.replaced_method import replaced_method

_SCALES = ("logit_scale", "output_multiplier", "lm_head_multiplier", "logits_scaling")
_CAP = "final_logit_softcapping"
"""Options of text models, as TRL's fused output layer reads them; not every forward pass applies them."""

_LOGITS = (-20.0, -3.0, -0.5, 0.0, 0.25, 2.0, 10.0)


@dataclass(frozen=True, slots=True)
class LogitChange:
    """Logits become `cap * tanh(scale * logits / cap)`, or `scale * logits` without a cap."""

    scale: float = 1.0
    cap: float | None = None

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Return what becomes of logits of any shape."""
        scaled = self.scale * logits
        return scaled if self.cap is None else self.cap * torch.tanh(scaled / self.cap)


class _States:
    """An output that has states, and None for whatever else it is asked."""

    def __init__(self, states: torch.Tensor) -> None:
        self.last_hidden_state = states

    def __getitem__(self, _: Any) -> torch.Tensor:
        return self.last_hidden_state

    def __getattr__(self, _: str) -> None:
        return None


def find_language_head(model: torch.nn.Module) -> Any:
    """Return the module that makes logits, below any wrapper. Raises ModelError if there is none."""
    for module in model.modules():
        if isinstance(module, PreTrainedModel) and module.get_output_embeddings() is not None:
            return module
    raise ModelError(f"{type(model).__name__} makes no logits; load it with a language head")


def find_logit_change(model: torch.nn.Module) -> LogitChange:
    """Return what a model's own forward pass does to the logits of its output layer.

    Raises:
        ModelError: it does something else than to scale and to cap them.
    """
    head = find_language_head(model)
    given = torch.tensor(_LOGITS)
    found = _pass_logits(head, given)
    cap = getattr(head.config.get_text_config(), _CAP, None)
    for possible in (None, cap) if cap is not None else (None,):
        before = found if possible is None else possible * torch.atanh((found / possible).clamp(-1, 1))
        change = LogitChange(float(f"{float(before[-1] / given[-1]):.7g}"), possible)
        if torch.allclose(change.apply(given), found, rtol=1e-4):
            return change
    raise ModelError(
        f"{type(head).__name__} does something to its logits that is neither a scale nor a cap, so log-probabilities "
        "cannot be computed in chunks as TRL does; use another model"
    )


@contextmanager
def naming_logit_change(model: torch.nn.Module) -> Generator[None]:
    """Make a model's configuration say what its own forward pass does to logits, and put back what it said.

    Args:
        model: whose configuration a fused output layer is about to read.

    Raises:
        ModelError: as `find_logit_change`.
    """
    change = find_logit_change(model)
    # Not by assignment: configurations check types, and None is none.
    said = cast("dict[str, Any]", vars(find_language_head(model).config.get_text_config()))
    before = dict(said)
    said.update({name: None for name in _SCALES if name in said})
    said.update({_SCALES[0]: change.scale, _CAP: change.cap})
    try:
        yield
    finally:
        said.clear()
        said.update(before)


@torch.no_grad()
def _pass_logits(head: Any, logits: torch.Tensor) -> torch.Tensor:
    states = torch.zeros(1, 1, 1)
    with (
        replaced_method(head.base_model, "forward", lambda *_, **__: _States(states)),
        replaced_method(head.get_output_embeddings(), "forward", lambda *_, **__: logits[None, None].clone()),
    ):
        output = head(input_ids=torch.zeros(1, 1, dtype=torch.long))
    return output.logits[0, -1].float()
