"""The measurement for real, in its shortest form."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import numpy as np
import pytest

from studies.mechanism import noise_job, run, tables, training
from studies.mechanism.measuring import WAYS, Measured, measure
from studies.mechanism.noise_job import NoiseJob, read_noise
from studies.mechanism.settings import SETTINGS
from studies.mechanism.training import ARMS, FIRST
from vapo.data.samples import load_samples
from vapo.errors import ConfigError
from vapo.lab.shipped import resolve_data, shipped_checkpoint
from vapo.models.policy.checkpoint import load_policy


def keep_quiet(stage):
    return lambda done, total: None


def carry_out_here(jobs, on_progress, at_a_time):
    """Train for one step and measure noise on two questions, in this process."""
    for job in jobs:
        short = replace(job, **({"num_questions": 2} if isinstance(job, NoiseJob) else {"steps": 1}))
        carry_out = noise_job.carry_out if isinstance(job, NoiseJob) else training.carry_out
        job.found.parent.mkdir(parents=True, exist_ok=True)
        carry_out(short.to_json(), lambda stage, done, total: None)


@pytest.fixture(scope="module")
def measured() -> Measured:
    return measure(
        load_policy(shipped_checkpoint()),
        load_samples(resolve_data("lab"), split="train", require_claims=True, limit=8),
        seed=3,
        max_completion_tokens=150,
        num_questions=2,
        group_size=3,
        draws=2,
    )


def test_what_is_measured(measured, tmp_path):
    assert measured.accuracies.shape == measured.lengths.shape == (6,) and measured.products.shape == (6, 6)
    assert (np.linalg.eigvalsh(measured.products) > -1e-6).all() and (np.diag(measured.products) > 0).all()
    assert set(measured.perceptions) == set(WAYS)
    for seen in measured.perceptions.values():
        assert seen.shape == (2, 6) and ((seen >= 0) & (seen <= 1)).all()
    hard, soft = measured.perceptions["hard, 8 probes"], measured.perceptions["soft, 8 probes"]
    assert not np.array_equal(hard, soft) and not np.array_equal(soft[0], soft[1])
    measured.save(tmp_path / "seed.npz")
    again = Measured.load(tmp_path / "seed.npz")
    for field in fields(Measured):
        np.testing.assert_equal(getattr(again, field.name), getattr(measured, field.name))


def test_seeds_are_measured_once_and_every_number_is_written(measured, tmp_path, monkeypatch):
    calls = []

    def measure_once(*_, seed, **__):
        calls.append(seed)
        return measured

    monkeypatch.setattr(run, "measure", measure_once)
    monkeypatch.setattr(run, "run_side_by_side", carry_out_here)
    given = {
        "trained_seeds": 1,
        "jobs": 1,
        "checkpoint": str(shipped_checkpoint()),
        "data": resolve_data("lab"),
        "max_completion_tokens": 60,
    }
    found = run.run_mechanism(tmp_path, [0], **given, on_progress=keep_quiet)
    found = run.run_mechanism(tmp_path, [0, 1], **given, on_progress=keep_quiet)
    assert calls == [0, 1] and found["1"].keys() == {"groups", "settings", "draws", "directions"}
    assert found["0"]["runs"].keys() == ARMS.keys()
    assert all(0 < numbers[FIRST] <= 1 for numbers in found["0"]["runs"].values())
    written = json.loads((tmp_path / "mechanism.json").read_text())
    np.testing.assert_equal(written, found)
    assert written["0"]["settings"].keys() == SETTINGS.keys()
    table = tables.write_settings(found)
    assert len(table.splitlines()) == 2 + len(SETTINGS) and "`preset: paper`" in table
    for write in (tables.write_groups, tables.write_draws, tables.write_directions, tables.write_runs):
        assert write(found).startswith("| ")
    noise = tables.write_noise(read_noise(tmp_path / "noise" / "noise.json"))
    assert [line.split(" | ")[0] for line in noise.splitlines()[2:]] == [
        f"| {sharing}, {verdict}" for sharing in ("independent", "group") for verdict in ("hard", "soft")
    ]
    with pytest.raises(ConfigError, match="give another --out"):
        run.run_mechanism(tmp_path, [0], **{**given, "max_completion_tokens": 61}, on_progress=keep_quiet)
    with pytest.raises(ConfigError, match="no seeds"):
        run.run_mechanism(tmp_path / "other", [], **given, on_progress=keep_quiet)
