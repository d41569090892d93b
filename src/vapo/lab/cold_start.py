"""The cold start: from random weights to a model that reads, judges and reasons a little.

Everything that happens at a step is a function of the seed and the step's number, so a run that was stopped and
started again ends with the same weights as one that was not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from vapo.drafts import drafting
from vapo.errors import DataError

from .curriculum import Mixture, Teacher
from .lessons import JUDGING, SAYING, TELLING, Batch, pack_lessons
from .model import LabModel, LabTokenizer
from .sight import scale_pixels, see_pictures, teach_sight
from .world import GRIDS

Report = Callable[[str, int, int, float], None]
"""Called as report(stage, step, steps, loss) after each step."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a course: up to which share of the steps it lasts, how many lessons a step has and what they hold."""

    until: float
    lessons: int
    mixture: Mixture


@dataclass(frozen=True, slots=True)
class Course:
    """So many steps with an optimizer of their own, at a learning rate that rises, stays and falls."""

    steps: int
    learning_rate: float
    stages: tuple[Stage, ...]
    warmup_steps: int = 40

    def stage_at(self, step: int) -> Stage:
        """Return the stage that a step belongs to."""
        return next(stage for stage in self.stages if step < stage.until * self.steps)

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step: a linear rise, half the steps level, then a linear fall to 2 percent."""
        fall = min(1.0, 2 * (1 - step / self.steps))
        return self.learning_rate * min((step + 1) / self.warmup_steps, 0.02 + 0.98 * fall)


SEEING = (
    Stage(0.06, 16, Mixture(chains=0, dictations=2, readings=0, probes=0)),
    Stage(0.24, 16, Mixture(chains=0, probes=8, recalls=1)),
    Stage(0.65, 8, Mixture(readings=0, recalls=1, probes=8, looks=(1, 1, 1, 3))),
    Stage(1.0, 8, Mixture(readings=0, additions=1, judgements=1, writings=1, probes=10, looks=(3, 1, 1, 2))),
)
REASONING = (
    Stage(
        1.0,
        8,
        Mixture(
            chains=3,
            readings=0,
            additions=1,
            judgements=1,
            writings=1,
            probes=4,
            guesses=0.2,
            looks=(3, 1, 1, 1),
            stress=5.0,
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and on what the cold start trains: first to see, then to reason. The defaults made the shipped
    checkpoint."""

    sight_steps: int = 600
    courses: tuple[Course, ...] = (Course(3400, 1.5e-3, SEEING), Course(800, 1e-3, REASONING))
    telling: float = 0.4
    grids: tuple[tuple[int, int], ...] = GRIDS

    @property
    def steps(self) -> int:
        """Steps of all courses."""
        return sum(course.steps for course in self.courses)


def run_cold_start(
    model: LabModel,
    tokenizer: LabTokenizer,
    *,
    canvas: int,
    seed: int,
    plan: Plan,
    state_path: Path | None = None,
    save_every_seconds: float = 60.0,
    report: Report = lambda stage, step, steps, loss: None,
) -> None:
    """Train a freshly built model in place.

    With `state_path` the training state is saved there every so often, whole or not at all, and read from there
    at the start. Raises DataError if the state there belongs to another seed or plan.
    """
    teacher = Teacher(tokenizer, canvas=canvas, grids=plan.grids)
    made_for = repr((seed, canvas, plan, len(tokenizer)))
    state = _load_state(state_path, made_for)
    if state is None:
        teach_sight(
            model,
            tokenizer,
            canvas=canvas,
            grids=plan.grids,
            seed=seed,
            steps=plan.sight_steps,
            report=lambda step, loss: report("sight", step, plan.sight_steps, loss),
        )
    first = 0
    if state is not None:
        model.load_state_dict(state["model"])
        first = state["step"]
    model.train()
    saved = time.monotonic()
    begin = 0
    for course in plan.courses:
        taught = list(_text_parameters(model))
        optimizer = torch.optim.AdamW(_group_parameters(taught), lr=course.learning_rate, betas=(0.9, 0.98))
        if state is not None and begin < first < begin + course.steps:
            optimizer.load_state_dict(state["optimizer"])
        for step in range(max(first, begin), begin + course.steps):
            rng = np.random.default_rng([seed, 3, step])
            stage = course.stage_at(step - begin)
            lessons = [teacher.write_lesson(rng, stage.mixture) for _ in range(stage.lessons)]
            batch = pack_lessons(lessons, pad_id=teacher.pad_id, window=model.config.text_config.sliding_window)
            loss = weigh_losses(model, batch, telling=plan.telling)
            for group in optimizer.param_groups:
                group["lr"] = course.rate_at(step - begin)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_([parameter for _, parameter in taught], 1.0)
            optimizer.step()
            report("cold start", step + 1, plan.steps, float(loss.detach()))
            if state_path is not None and (time.monotonic() - saved > save_every_seconds or step + 1 == plan.steps):
                _save_state(
                    state_path,
                    {
                        "made_for": made_for,
                        "step": step + 1,
                        "model": model.state_dict(),
                        "optimizer": optimizer.state_dict(),
                    },
                )
                saved = time.monotonic()
        begin += course.steps
    model.eval()


def read_lessons(model: LabModel, batch: Batch) -> torch.Tensor:
    """Return the logits [N, vocabulary] from which each wanted word of a batch is predicted."""
    device = model.device
    ids = torch.from_numpy(batch.ids).to(device)
    embedded = model.get_input_embeddings()(ids)
    with torch.no_grad():
        pictures = see_pictures(model, scale_pixels(batch.pixels, device))
    embedded = embedded.masked_scatter((ids == model.config.image_token_id)[..., None], pictures)
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


def _load_state(path: Path | None, made_for: str) -> dict[str, Any] | None:
    if path is None or not path.exists():
        return None
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state["made_for"] != made_for:
        raise DataError(f"{path} belongs to a cold start of another seed or plan; remove it or choose another folder")
    return state


def _save_state(path: Path, state: dict[str, Any]) -> None:
    with drafting(path) as draft:
        torch.save(state, draft)
