"""The cold start: from random weights to a model that reads, judges and reasons a little.

Everything that happens at a step is a function of the seed and the step's number, so a run that was stopped and
started again ends with the same weights as one that was not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vapo.lab.questions import LATE, LINES
from vapo.lab.world import GRIDS

from .bookmark import Bookmark
from .curriculum import Mixture, Teacher
from .model import LabModel, LabTokenizer
from .study import Report, Study, rate_at
from .vision import teach_vision
from .writing import WRITING, WritingPlan


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
        """Return the learning rate of a step."""
        return rate_at(step, self.steps, self.learning_rate, self.warmup_steps)


SEEING = (
    Stage(0.06, 16, Mixture(responses=0, dictations=2, readings=0, probes=0)),
    Stage(0.24, 16, Mixture(responses=0, probes=8, recalls=1)),
    Stage(0.65, 8, Mixture(readings=0, recalls=1, probes=8, kinds=LINES + LATE, looks=(1, 1, 1, 3))),
    Stage(
        1.0,
        8,
        Mixture(readings=0, judgements=1, writings=1, probes=10, kinds=LINES + LATE, looks=(3, 1, 1, 2)),
    ),
)
_ANSWERS = Mixture(responses=2, readings=0, judgements=1, writings=1, probes=4, stress=3.0)
REASONING = (
    Stage(0.5, 12, replace(_ANSWERS, guesses=0.2, looks=(1, 1, 2, 4))),
    Stage(1.0, 12, replace(_ANSWERS, guesses=0.65, looks=(3, 1, 1, 1))),
)
"""First to work out and to look, by which a digit is found late; then to do so no more often than leaves reinforcement
learning something to find out."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and on what the cold start trains: first to see, then to reason; then, as a copy of its own, to write
    claims. The defaults made the shipped checkpoints."""

    vision_steps: int = 900
    courses: tuple[Course, ...] = (Course(3000, 1.5e-3, SEEING), Course(900, 1e-3, REASONING))
    telling: float = 0.4
    grids: tuple[tuple[int, int], ...] = GRIDS
    writing: WritingPlan | None = WRITING

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
    bookmark = Bookmark(state_path, repr((seed, canvas, plan, len(tokenizer))), save_every_seconds)
    state = bookmark.open()
    if state is None:
        teach_vision(
            model,
            tokenizer,
            canvas=canvas,
            grids=plan.grids,
            seed=seed,
            steps=plan.vision_steps,
            report=lambda step, loss: report("vision", step, plan.vision_steps, loss),
        )
    first = 0
    if state is not None:
        model.load_state_dict(state["model"])
        first = state["step"]
    model.train()
    begin = 0
    for course in plan.courses:
        study = Study(model, learning_rate=course.learning_rate, pad_id=teacher.pad_id, telling=plan.telling)
        if state is not None and begin < first < begin + course.steps:
            study.optimizer.load_state_dict(state["optimizer"])
        for step in range(max(first, begin), begin + course.steps):
            rng = np.random.default_rng([seed, 3, step])
            stage = course.stage_at(step - begin)
            lessons = [teacher.write_lesson(rng, stage.mixture) for _ in range(stage.lessons)]
            loss = study.learn(lessons, course.rate_at(step - begin))
            report("cold start", step + 1, plan.steps, loss)
            bookmark.keep(step + 1, model, study.optimizer, at_once=step + 1 == plan.steps)
        begin += course.steps
    model.eval()
