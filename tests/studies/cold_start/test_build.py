"""The build with a toy's plan: it goes through, and stopped and called again it ends where it would have."""

import io
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from studies.cold_start.build import ProgressLine, build_lab, describe_checkpoint
from studies.cold_start.curriculum import Mixture
from studies.cold_start.model import ModelSize
from studies.cold_start.plan import Course, Plan, Stage
from studies.cold_start.sizes import SIZES
from studies.cold_start.writing import WritingPlan, WritingStage
from vapo.errors import DataError
from vapo.lab.shipped import shipped_checkpoint

SIZE = ModelSize(vision_width=16, vision_layers=1, text_width=32, text_mlp=32, text_layers=1, heads=2)
PLAN = Plan(
    vision_steps=2,
    courses=(
        Course(2, 1e-3, (Stage(1.0, 2, Mixture(responses=0, dictations=1, probes=2, recalls=1, claims=("cell",))),)),
        Course(
            4,
            5e-4,
            (
                Stage(0.5, 1, Mixture(responses=2, stress=5.0)),
                Stage(1.0, 1, Mixture(judgements=1, writings=1, probes=2)),
            ),
        ),
    ),
    writing=WritingPlan(steps=3, lessons=1, stages=(WritingStage(1.0, first=4, second=2, bridges=2, hints=2),)),
)


class Interrupted(Exception):
    pass


class StopAt(ProgressLine):
    def __init__(self, stage: str, step: int):
        super().__init__(stream=io.StringIO())
        self.last = stage, step

    def __call__(self, stage: str, step: int, steps: int, loss: float) -> None:
        if (stage, step) == self.last:
            raise Interrupted
        super().__call__(stage, step, steps, loss)


def build(folder, report=None, **changes):
    return build_lab(
        folder,
        train_rows=6,
        heldout_rows=4,
        size=SIZE,
        plan=changes.pop("plan", PLAN),
        measure=False,
        save_every_seconds=0,
        report=report or ProgressLine(stream=io.StringIO()),
        **changes,
    )


def test_an_interrupted_build_ends_as_one_that_was_not(tmp_path):
    whole = build(tmp_path / "whole")
    for stage, step, state in (("cold start", 4, "cold_start.pt"), ("writing", 3, "writing.pt")):
        with pytest.raises(Interrupted):
            build(tmp_path / "cut", StopAt(stage, step))
        assert torch.load(tmp_path / "cut" / state, weights_only=True)["step"] == step - 1
    cut = build(tmp_path / "cut")
    for part in ("checkpoint", "writer"):
        one, two = (load_file(tmp_path / name / part / "model.safetensors") for name in ("whole", "cut"))
        assert all(torch.equal(one[name], two[name]) for name in one)
    assert whole.train.read_bytes() == cut.train.read_bytes()
    assert whole.heldout.read_bytes() == cut.heldout.read_bytes()
    assert not list((tmp_path / "cut").glob("*.pt"))


def test_the_writer_is_another_model_with_the_same_eyes(tmp_path):
    lab = build(tmp_path)
    before, after = (load_file(folder / "model.safetensors") for folder in (lab.checkpoint, lab.writer))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all("language_model" in name for name in changed)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (SIZES["small"].model, ("--out runs/lab --seed 3", "52 tokens back")),
        (SIZES["large"].model, ("--size large --seed 3", "144 tokens back")),
        (ModelSize(sliding_window=None), ("back without limit",)),
    ],
)
def test_the_readme_tells_of_the_model_that_was_made(size, words):
    readme = describe_checkpoint(3, size, 42_400_000, None)
    assert all(word in readme for word in ("42.4 million parameters", *words))


def test_the_shipped_readme_is_as_it_would_be_written_now():
    readme = describe_checkpoint(0, SIZES["small"].model, 1_087_000, None)
    before, behind = readme.split("Not measured.")
    shipped = (shipped_checkpoint() / "README.md").read_text()
    assert shipped.startswith(before) and shipped.endswith(behind)


def test_a_plan_may_have_no_writer(tmp_path):
    lab = build(tmp_path, plan=replace(PLAN, writing=None))
    assert lab.writer is None and not (tmp_path / "writer").exists()


def test_a_state_of_another_seed_is_refused(tmp_path):
    with pytest.raises(Interrupted):
        build(tmp_path, StopAt("cold start", 4))
    with pytest.raises(DataError, match="another seed"):
        build(tmp_path, seed=1)


def test_a_finished_build_is_returned_as_it_is(tmp_path):
    lab = build(tmp_path)
    made = (lab.checkpoint / "model.safetensors").stat().st_mtime_ns
    again = build(tmp_path)
    assert again == lab
    assert (lab.checkpoint / "model.safetensors").stat().st_mtime_ns == made


def test_progress_names_stage_step_loss_and_time_left():
    stream = io.StringIO()
    line = ProgressLine(stream=stream)
    for step in range(1, 41):
        line("cold start", step, 40, 2.0)
    assert "cold start: step 40/40, loss 2.000, 0 min 00 s left" in stream.getvalue()


def test_the_default_plan_covers_every_step():
    for course in Plan().courses:
        stages = [course.stage_at(step) for step in (0, course.steps - 1)]
        assert stages == [course.stages[0], course.stages[-1]]
        rates = [course.rate_at(step) for step in range(course.steps)]
        assert max(rates) <= course.learning_rate
        assert rates[-1] < 0.05 * course.learning_rate
