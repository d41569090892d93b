"""A model's output layer, and what its own forward pass does to the logits: it scales them, caps them, or neither.

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
from vapo.models.first_device import find_first_device
from vapo.models.replaced_method import replaced_method

_SCALES = ("logit_scale", "output_multiplier", "lm_head_multiplier", "logits_scaling")
_CAP = "final_logit_softcapping"
"""Options of text models, as TRL's fused output layer reads them; not every forward pass applies them."""

LOGITS_AT_ONCE = 2**24
"""Of each of two distributions that are compared; 64 MB in float32."""

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


def find_logit_change(model: torch.nn.Module) -> LogitChange | None:
    """Return what a model's own forward pass does to its output layer's logits; None where that is something else.

    Raises:
        ModelError: the model makes no logits.
    """
    head = find_language_head(model)
    given = torch.tensor(_LOGITS)
    found = _pass_logits(head, given)
    if found is None:
        return None
    cap = getattr(head.config.get_text_config(), _CAP, None)
    for possible in (None, cap) if cap is not None else (None,):
        before = found if possible is None else possible * torch.atanh((found / possible).clamp(-1, 1))
        change = LogitChange(float(f"{float(before[-1] / given[-1]):.7g}"), possible)
        if torch.allclose(change.apply(given), found, rtol=1e-4):
            return change
    return None


@contextmanager
def naming_logit_change(model: torch.nn.Module) -> Generator[None]:
    """Make a model's configuration say what its own forward pass does to logits, and put back what it said.

    Args:
        model: whose configuration a fused output layer is about to read.

    Raises:
        ModelError: it does neither scale nor cap them, but something else.
    """
    change = find_logit_change(model)
    if change is None:
        raise ModelError(
            f"{type(model).__name__} does something to the logits of its output layer that is neither a scale nor a "
            "cap, or makes them elsewhere, so TRL's output layer would not compute its log-probabilities; use another "
            "model"
        )
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
def compare_distributions(
    model: torch.nn.Module,
    states: torch.Tensor,
    second: torch.Tensor,
    *,
    temperature: float = 1.0,
    logits_at_once: int | None = None,
) -> torch.Tensor:
    """Return KL(p || q) over the vocabulary, in nats, for the distributions that a model makes of hidden states.

    The vocabulary is reached for a few states at a time, so that logits of all of them are never made. What a family
    does to logits behind its output layer is done by its own forward pass.

    Args:
        model: whose output layer it is; its weights must be whole on this process.
        states: last hidden states that p is made of, shape (T, hidden size).
        second: those that q is made of, likewise.
        temperature: that logits are divided by.
        logits_at_once: what is made of the vocabulary at a time, at least that of one state; None is `LOGITS_AT_ONCE`.

    Returns:
        float32, shape (T,), on the device of the states; rounding below 0 is 0.
    """
    head = find_language_head(model)
    device = find_first_device(head)
    count = max(1, (logits_at_once or LOGITS_AT_ONCE) // head.config.get_text_config().vocab_size)

    def distribute(own: torch.Tensor) -> torch.Tensor:
        ids = torch.zeros(1, len(own), dtype=torch.long, device=device)
        with replaced_method(head.base_model, "forward", lambda *_, **__: _States(own[None])):
            logits = head.forward(input_ids=ids).logits[0]  # hooks are not for this
        return (logits.float() / temperature).log_softmax(-1)

    found = states.new_zeros(len(states), dtype=torch.float32)
    for start in range(0, len(states), count):
        log_p, log_q = (distribute(own[start : start + count]) for own in (states, second))
        found[start : start + count] = (log_p.exp() * (log_p - log_q)).sum(-1).clamp(min=0)
    return found


@torch.no_grad()
def _pass_logits(head: Any, logits: torch.Tensor) -> torch.Tensor | None:
    states = torch.zeros(1, 1, 1)
    with (
        replaced_method(head.base_model, "forward", lambda *_, **__: _States(states)),
        replaced_method(head.get_output_embeddings(), "forward", lambda *_, **__: logits[None, None].clone()),
    ):
        output = head.forward(input_ids=torch.zeros(1, 1, dtype=torch.long))  # hooks are not for this
    return None if output.logits is None else output.logits[0, -1].float()
