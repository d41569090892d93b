"""The demo's table of settings, and the jobs that are made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from vapo.diagnosis.settings import DiagnosisSettings
from vapo.lab.demo.jobs import Job, make_jobs
from vapo.lab.demo.recipe import RECIPE
from vapo.training.options import parse_run


@pytest.fixture
def jobs():
    return make_jobs(RECIPE, Path("out"), checkpoint="lab", data="lab", steps=3, questions=5, seed=7)


def test_three_jobs_in_the_order_of_the_page(jobs):
    assert [job.name for job in jobs] == ["before", "GRPO", "VAPO"]
    assert [job.policy for job in jobs] == ["lab", "out/grpo/run", "out/vapo/run"]
    assert jobs[0].training == () and all(job.questions == 5 for job in jobs)
    assert all(job.measuring == jobs[0].measuring for job in jobs)


def test_both_runs_are_accepted_and_differ_in_perception_alone(jobs):
    grpo, vapo = (parse_run(job.training, "vapo demo").training for job in jobs[1:])
    differing = {name for name in grpo.__dataclass_fields__ if getattr(grpo, name) != getattr(vapo, name)}
    assert differing == {*RECIPE.own["VAPO"], "output_dir"}
    assert grpo.perception_weight == 0 < vapo.perception_weight
    assert grpo.seed == vapo.seed == grpo.probe_seed == 7 and grpo.max_steps == 3
    assert grpo.num_anchors > 0  # so that GRPO is measured as well


def test_a_table_of_completions_is_kept_of_every_step(jobs):
    training = parse_run(jobs[1].training, "vapo demo").training
    assert training.log_completions and training.logging_steps == 1
    assert (
        training.generation_batch_size
        == training.per_device_train_batch_size
        == RECIPE.training["per_device_train_batch_size"]
    )


def test_every_quarter_of_the_response_is_asked_alike(jobs):
    settings = DiagnosisSettings(**jobs[0].measuring)
    assert RECIPE.num_depths % 4 == 0
    assert {0.25, 0.5, 0.75, 1.0} <= set(settings.cut_depths())
    assert settings.max_completion_tokens == RECIPE.training["max_completion_length"]


def test_the_table_cannot_be_changed_by_accident():
    with pytest.raises(AttributeError):
        RECIPE.steps = 1  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(TypeError):
        RECIPE.training["seed"] = 1  # pyright: ignore[reportIndexIssue]


def test_a_job_survives_the_way_to_its_process(jobs):
    for job in jobs:
        assert Job.from_json(job.to_json()) == job
