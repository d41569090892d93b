"""One step of learning: lessons are read as one batch, and the text model is moved by what it got wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch.nn import functional

from .lessons import JUDGING, SAYING, TELLING, Batch, Lesson, pack_lessons
from .model import LabModel
from .vision import scale_pixels, see_images

Report = Callable[[str, int, int, float], None]
"""Called as report(stage, step, steps, loss) after each step."""


class Study:
    """Learning with an optimizer of its own.

    Args:
        model: trained in place; its eyes stay as they are.
        learning_rate: the highest.
        pad_id: token that fills rows up.
        telling: weight of the loss of claims' words; see `weigh_losses`.
    """

    def __init__(self, model: LabModel, *, learning_rate: float, pad_id: int, telling: float) -> None:
        self._model = model
        self._pad_id = pad_id
        self._telling = telling
        named = list(_text_parameters(model))
        self._taught = [parameter for _, parameter in named]
        self.optimizer = torch.optim.AdamW(_group_parameters(named), lr=learning_rate, betas=(0.9, 0.98))

    def learn(self, lessons: Sequence[Lesson], rate: float) -> float:
        """Take one step at a learning rate, and return the loss before it."""
        batch = pack_lessons(lessons, pad_id=self._pad_id, window=self._model.config.text_config.sliding_window)
        loss = weigh_losses(self._model, batch, telling=self._telling)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._taught, 1.0)
        self.optimizer.step()
        return float(loss.detach())


def rate_at(step: int, steps: int, highest: float, warmup_steps: int) -> float:
    """Return the learning rate of a step: a linear rise, half the steps level, then a linear fall to 2 percent."""
    fall = min(1.0, 2 * (1 - step / steps))
    return highest * min((step + 1) / warmup_steps, 0.02 + 0.98 * fall)


def read_lessons(model: LabModel, batch: Batch) -> torch.Tensor:
    """Return the logits [N, vocabulary] from which each wanted word of a batch is predicted."""
    device = model.device
    ids = torch.from_numpy(batch.ids).to(device)
    embedded = model.get_input_embeddings()(ids)
    with torch.no_grad():
        images = see_images(model, scale_pixels(batch.pixels, device))
    embedded = embedded.masked_scatter((ids == model.config.image_token_id)[..., None], images.to(embedded.dtype))
    states = model.model.language_model(
        inputs_embeds=embedded,
        attention_mask=dict.fromkeys(
            ("full_attention", "sliding_attention"), torch.from_numpy(batch.allowed).to(device)
        ),
        position_ids=torch.from_numpy(batch.positions).to(device),
        use_cache=False,
    ).last_hidden_state
    return model.lm_head(states.flatten(0, 1)[torch.from_numpy(batch.source).to(device)])


def weigh_losses(model: LabModel, batch: Batch, *, telling: float) -> torch.Tensor:
    """Return the loss: the mean over words said, plus twice that over verdicts, plus `telling` times over claims."""
    device = model.device
    losses = functional.cross_entropy(
        read_lessons(model, batch), torch.from_numpy(batch.wanted).to(device), reduction="none"
    )
    weights = torch.from_numpy(batch.weight).to(device)
    groups = torch.from_numpy(batch.group).to(device)
    total = losses.new_zeros(())
    for group, share in ((SAYING, 1.0), (JUDGING, 2.0), (TELLING, telling)):
        counted = weights * (groups == group)
        if counted.any():
            total = total + share * (losses * counted).sum() / counted.sum()
    return total


def _text_parameters(model: LabModel) -> Iterator[tuple[str, torch.nn.Parameter]]:
    """Yield what the lessons train. Eyes stay as they are: trained along, they lost in the first hundred steps what
    they had learned, and reading a cell took more than five times as long to come."""
    for name, parameter in model.named_parameters():
        if "vision_tower" not in name and "multi_modal_projector" not in name:
            yield name, parameter


def _group_parameters(named: Iterable[tuple[str, torch.nn.Parameter]]) -> list[dict[str, Any]]:
    matrices: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, parameter in named:
        (matrices if parameter.ndim >= 2 and "embed" not in name else others).append(parameter)
    return [{"params": matrices, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
