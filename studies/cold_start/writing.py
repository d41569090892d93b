"""The third course: a copy of the lab's model learns to write claims in the form in which models are asked for them.

An answer stands behind an instruction of seven hundred tokens and the image. The text layers reach back no further
than `layers * (window - 1)` tokens, so lessons begin in the middle of the instruction, where an answer's first word
no longer reaches, and are exact all the same. The writer never sees how many claims are wanted: it writes two, and the
making of claims asks again for what is missing.

Whether a claim is true the model can judge already. What it has to learn is to say so in this form, about a sentence
of its own. So most of a lesson are sentences about which one word is to be said, first ones of an answer and second
ones; whole answers, from which the form is learned within a few hundred steps, are few. Claims of one answer are true
or false independently of each other: were the second always the other kind, the model would look at the first one's
label, and no more at the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vapo.claims.filters.rules import REASONS
from vapo.claims.making.instruction import Order, write_instruction
from vapo.lab.claims import CLAIM_KINDS, make_claims, write_claims
from vapo.lab.world import GRIDS, Grid, draw_scene, paint
from vapo.models.questions import PROBE_TEMPLATE
from vapo.types import Claim

from .bookmark import Bookmark
from .curriculum import Teacher
from .lessons import JUDGING, SAYING, TELLING, Branch, Lesson, Target
from .model import LabModel, LabTokenizer
from .study import Report, Study, rate_at

_OPENING = '{"claims": [{"text": "'
_NEXT = ', {"text": "'
_FAULT = REASONS["duplicate"]
_TROUBLE = "it held no JSON of the asked form"
_MOST_TELLING = 2.0


@dataclass(frozen=True, slots=True)
class WritingStage:
    """A part of the course, and what a lesson holds in it.

    Attributes:
        until: up to which share of the steps it lasts.
        first: sentences that stand first in an answer.
        second: of these, those that also stand second, behind each of two others.
        bridges: claims put as probes are, with the end of an answer's sentence.
        hints: tokens of a probe's end that stand between a sentence and its verdict, at most; how many is drawn.
        answers: whole ones, of two claims.
        probes: in the form that the model knows.
        kinds: of the claims in answers.
        lies: weight of the wrong digits in false claims, where those in true ones have 1.
        context: tokens before the image; None takes as many as an answer depends on.
    """

    until: float
    first: int
    second: int = 0
    bridges: int = 0
    hints: int = 0
    answers: int = 1
    probes: int = 2
    kinds: tuple[str, ...] = CLAIM_KINDS
    lies: float = 0.0
    context: int | None = None


STAGES = (
    WritingStage(0.2, first=8, bridges=8, hints=6, kinds=("cell",), context=24),
    WritingStage(0.5, first=16, bridges=4, hints=3, context=24),
    WritingStage(0.8, first=10, second=6, lies=0.5, context=24),
    WritingStage(1.0, first=8, second=6, answers=2, lies=1.0),
)
"""First the form, about cells alone, whose sentences begin as they do elsewhere; then any sentence, then a second one,
then to write false ones, behind the whole instruction."""


@dataclass(frozen=True, slots=True)
class WritingPlan:
    """How long and on what the writer is trained; the defaults made the shipped one.

    Attributes:
        steps: of the course.
        lessons: of a step.
        learning_rate: the highest.
        warmup_steps: until it is reached.
        stages: what lessons hold.
    """

    steps: int = 1000
    lessons: int = 6
    learning_rate: float = 1e-3
    warmup_steps: int = 30
    stages: tuple[WritingStage, ...] = STAGES

    def stage_at(self, step: int) -> WritingStage:
        """Return the stage that a step belongs to."""
        return next(stage for stage in self.stages if step < stage.until * self.steps)


WRITING = WritingPlan()


class WritingTeacher(Teacher):
    """Writes lessons in writing claims.

    Args:
        tokenizer: the lab's tokenizer.
        canvas: side of the images in pixels.
        grids: (rows, columns) pairs to draw from in equal parts.
        reach: tokens that the last layer's states depend on, besides their own.

    `asked` are the tokens between the image and an answer.
    """

    def __init__(
        self,
        tokenizer: LabTokenizer,
        *,
        canvas: int,
        grids: tuple[tuple[int, int], ...] = GRIDS,
        reach: int,
    ) -> None:
        super().__init__(tokenizer, canvas=canvas, grids=grids)
        self._turn = list(self._encode("<|im_start|>user\n")[0])
        self._image = self._trunk[len(self._turn) :]
        self.asked = list(self._encode("<|im_end|>\n<|im_start|>assistant\n")[0])
        self._reach = max(0, reach + 1 - len(self._image) - len(self.asked))
        self._hint = list(self._encode(PROBE_TEMPLATE.partition("}")[2])[0])
        self._verdicts = {is_true: self._encode(f" {str(is_true).lower()}")[0][0] for is_true in (True, False)}

    def write_writing_lesson(self, rng: np.random.Generator, stage: WritingStage) -> Lesson:
        """Write one lesson about a newly drawn image of the training digits."""
        scene = draw_scene(rng, *self.grids[rng.integers(len(self.grids))], "practice")
        number = int(rng.integers(1, 7)) if rng.random() < 0.5 else 0
        known = [claim.text for claim in _draw_claims(rng, scene.grid, number)]
        trunk = self.write_trunk(_write_order(rng, known), stage.context)
        branches = [Branch(trunk, None, 0), Branch(self.asked, 0, len(trunk))]
        for _ in range(stage.answers):
            self._add_answer(branches, _draw_claims(rng, scene.grid, 2, known, stage.kinds), stage.lies)
        one, other, *sentences = _draw_claims(rng, scene.grid, stage.first + 2, kinds=stage.kinds)
        self._add_sentences(rng, stage, branches, _OPENING, sentences)
        if stage.bridges:
            bridges = _draw_claims(rng, scene.grid, stage.bridges)
            self._add_sentences(rng, stage, branches, PROBE_TEMPLATE.partition("{")[0], bridges)
        for written in (one, other) if stage.second else ():
            beginning = write_claims([written]).removesuffix("]}") + _NEXT
            chosen = rng.permutation(len(sentences))[: stage.second]
            self._add_sentences(rng, stage, branches, beginning, [sentences[index] for index in chosen], [written])
        for claim in _draw_claims(rng, scene.grid, stage.probes):
            self._add_probe(branches, 1, len(self.asked), claim.text, claim.is_true)
            branches[-1].targets = [target for target in branches[-1].targets if target[1] == JUDGING]
        return Lesson(paint(scene, self.canvas), branches)

    def write_trunk(self, instruction: str, context: int | None = None) -> list[int]:
        """Return the image behind the last `context` tokens of its prompt, or all that an answer depends on."""
        tokens = [*self._turn, *self._encode(instruction)[0]]
        return [*tokens[max(0, len(tokens) - (self._reach if context is None else context)) :], *self._image]

    def _add_answer(self, branches: list[Branch], claims: Sequence[Claim], lies: float) -> None:
        text = write_claims(claims)
        ids, ends = self._encode(text + "<|im_end|>")
        marked = {target[0]: target for target in self._mark(text, ids, ends, claims, lies)}
        targets = [marked.get(index, (index, SAYING, 1.0)) for index in range(len(ids))]
        branches.append(Branch(list(ids), 1, len(self.asked), targets))

    def _add_sentences(
        self,
        rng: np.random.Generator,
        stage: WritingStage,
        branches: list[Branch],
        beginning: str,
        claims: Sequence[Claim],
        written: Sequence[Claim] = (),
    ) -> None:
        """Grow an answer's beginning, in which `written` stands, and sentences on it, each up to its verdict."""
        ids, ends = self._encode(beginning)
        branches.append(Branch(list(ids), 1, len(self.asked), self._mark(beginning, ids, ends, written, stage.lies)))
        parent, kept = len(branches) - 1, len(ids)
        for claim in claims:
            text = f'{claim.text}", "is_true":'
            ids, ends = self._encode(text)
            targets = self._mark(text, ids, ends, [claim], stage.lies)
            hint = self._hint[len(self._hint) - int(rng.integers(stage.hints + 1)) :]
            said = [*ids, *hint, self._verdicts[claim.is_true]]
            branches.append(Branch(said, parent, kept, [*targets, (len(said) - 1, JUDGING, 1.0)]))

    def _mark(
        self, text: str, ids: Sequence[int], ends: Sequence[int], claims: Sequence[Claim], lies: float
    ) -> list[Target]:
        """Return the verdicts and the claims' digits in a text as targets."""
        targets: list[Target] = []
        place = 0
        weights: dict[int, float] = {}
        for claim in claims:
            place = text.index(claim.text, place)
            weights |= dict.fromkeys(range(place, place + len(claim.text)), 1.0 if claim.is_true else lies)
            place += len(claim.text)
        for index, (word, end) in enumerate(zip(ids, ends, strict=True)):
            if word in self._verdicts.values():
                targets.append((index, JUDGING, 1.0))
            elif end - 1 in weights and text[end - 1].isdigit():
                targets.append((index, TELLING, weights[end - 1]))
        return targets


def teach_writing(
    model: LabModel,
    tokenizer: LabTokenizer,
    *,
    canvas: int,
    seed: int,
    plan: WritingPlan,
    grids: tuple[tuple[int, int], ...] = GRIDS,
    state_path: Path | None = None,
    save_every_seconds: float = 60.0,
    report: Report = lambda stage, step, steps, loss: None,
) -> None:
    """Train a model that has had the other courses in place; with `state_path` it goes on where it was stopped.

    Raises DataError if the state there belongs to another seed or plan.
    """
    text = model.config.text_config
    reach = text.num_hidden_layers * ((text.sliding_window or text.max_position_embeddings) - 1)
    teacher = WritingTeacher(tokenizer, canvas=canvas, grids=grids, reach=reach)
    study = Study(model, learning_rate=plan.learning_rate, pad_id=teacher.pad_id, telling=_MOST_TELLING)
    bookmark = Bookmark(state_path, repr((seed, canvas, grids, plan, len(tokenizer))), save_every_seconds)
    state, first = bookmark.open(), 0
    if state is not None:
        model.load_state_dict(state["model"])
        study.optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    model.train()
    for step in range(first, plan.steps):
        rng = np.random.default_rng([seed, 4, step])
        stage = plan.stage_at(step)
        lessons = [teacher.write_writing_lesson(rng, stage) for _ in range(plan.lessons)]
        loss = study.learn(lessons, rate_at(step, plan.steps, plan.learning_rate, plan.warmup_steps))
        report("writing", step + 1, plan.steps, loss)
        bookmark.keep(step + 1, model, study.optimizer, at_once=step + 1 == plan.steps)
    model.eval()


def _draw_claims(
    rng: np.random.Generator,
    grid: Grid,
    number: int,
    known: Sequence[str] = (),
    kinds: tuple[str, ...] = CLAIM_KINDS,
) -> list[Claim]:
    """Draw different claims, each true or false by chance, and none of those that are known."""
    most = 20 if len(kinds) > 1 else 2 * len(grid.cells)
    pool = [claim for claim in make_claims(rng, grid, number=most, kinds=kinds) if claim.text not in known]
    return pool[:number]


def _write_order(rng: np.random.Generator, known: Sequence[str]) -> str:
    """Write an instruction as the making of claims does, early or late in the work on an image."""
    most = int(rng.integers(1, 3))
    rejected = [(known[-1], _FAULT)] if known and rng.random() < 0.25 else []
    trouble = _TROUBLE if rng.random() < 0.05 else ""
    return write_instruction(Order(1, 1, max_colour=most, max_counting=most), known, rejected, trouble)
