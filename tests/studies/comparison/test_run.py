"""Comparisons for real, in their shortest form: every kind of arm trains, and what was done is not done again."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet
import pytest

from studies.__main__ import main
from studies.cold_start.build import ProgressLine, build_lab
from studies.cold_start.curriculum import Mixture
from studies.cold_start.model import ModelSize
from studies.cold_start.plan import Course, Plan, Stage
from studies.comparison.arms import ABLATIONS, GRPO, METHODS, START, VAPO
from studies.comparison.figures import draw_comparison
from studies.comparison.results import ACCURACY, PERCEPTION, SECONDS
from studies.comparison.run import Lab, prepare_lab, run_arms
from studies.comparison.scale import SCALES
from studies.comparison.training_data import CLAIMS_PER_IMAGE, add_claims, keep_late_share
from vapo.errors import ConfigError
from vapo.lab.questions import EARLY, LATE

SIZE = ModelSize(vision_width=16, vision_layers=1, text_width=32, text_mlp=32, text_layers=1, heads=2)
PLAN = Plan(vision_steps=1, courses=(Course(2, 1e-3, (Stage(1.0, 1, Mixture()),)),), writing=None)
SHORT = replace(
    SCALES["small"],
    steps=2,
    max_completion_tokens=12,
    num_questions=4,
    num_anchors=2,
    options={**SCALES["small"].options, "per_device_train_batch_size": 4, "num_generations": 4, "save_steps": 1},
)
WHAT_IS_PAID_FOR = ABLATIONS[-1].arms


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison") / "lab"
    quiet = ProgressLine(stream=io.StringIO())
    build_lab(folder, train_rows=8, heldout_rows=4, size=SIZE, plan=PLAN, measure=False, report=quiet)
    return prepare_lab(folder, "small", folder)


def keep_quiet(stage):
    return lambda done, total: None


def compare(out, lab, arms, seeds=(3,), on_progress=keep_quiet, **changes):
    return run_arms(out, "compare", arms, seeds, SHORT, lab, **{"jobs": 2, "on_progress": on_progress, **changes})


@pytest.fixture(scope="module")
def compared(lab, tmp_path_factory):
    out = tmp_path_factory.mktemp("comparison") / "runs"
    # One of each kind: those that name a method take the lab's preset out.
    methods = [arm for arm in METHODS if arm.name in ("vapo-tokens-0.5", "attention-reward")]
    arms = [GRPO, VAPO, *methods, WHAT_IS_PAID_FOR["answers to claims, 5 an image"]]
    return out, arms, compare(out, lab, arms)


def test_every_response_and_every_step_is_kept(compared, lab):
    out, arms, found = compared
    rows = pyarrow.parquet.read_table(found.rows).to_pylist()
    assert [(row["arm"], row["seed"]) for row in rows] == [(arm.name, 3) for arm in [START, *arms] for _ in range(4)]
    heldout = pyarrow.parquet.read_table(f"{lab.data}/heldout.parquet").to_pylist()
    assert [(row["id"], row["kind"]) for row in rows[:4]] == [(row["id"], row["kind"]) for row in heldout]
    steps = pyarrow.parquet.read_table(found.steps).to_pylist()
    assert [(row["arm"], row["step"]) for row in steps] == [(arm.name, step) for arm in arms for step in (1, 2)]
    kept = json.loads((out / "compare.json").read_text())
    assert kept["grpo"]["3"][ACCURACY] == found.results["grpo"][3][ACCURACY]
    assert list(found.results["start"]) == [3] and not (out / "start" / "seed-3" / "train").exists()
    assert found.results["vapo"][3][SECONDS] == pytest.approx(sum(s["seconds"] for s in steps if s["arm"] == "vapo"))
    counted = [step["early_right"] for step in steps] + [step["late_right"] for step in steps]
    assert any(value is not None for value in counted), "answers are counted by kind of question"


def test_figures_are_drawn(compared, tmp_path):
    _, arms, found = compared
    files = draw_comparison(found.results, found.steps, arms, tmp_path)
    assert [file.name for file in files] == [
        f"{key}.{form}" for key in ("claims_right_by_quarter", "answers_right_by_step") for form in ("png", "svg")
    ]
    assert all(f">{arm.title}<" in files[1].read_text() for arm in arms)


def test_what_is_done_is_not_done_again(compared, lab):
    out, arms, found = compared
    trained = {file: file.stat().st_mtime_ns for file in out.glob("*/seed-3/train/model.safetensors")}
    assert len(trained) == len(arms)
    (out / "vapo" / "seed-3" / "responses.parquet").unlink()  # as if it had been cut off while measuring
    stages: list[str] = []

    def listen(stage):
        stages.append(stage)
        return lambda done, total: None

    again = compare(out, lab, arms, on_progress=listen)
    assert stages == ["vapo, seed 3, measuring"]
    assert trained == {file: file.stat().st_mtime_ns for file in trained}
    assert again.results["vapo"][3][PERCEPTION] == pytest.approx(found.results["vapo"][3][PERCEPTION], nan_ok=True)


def test_claims_become_questions_behind_their_row(lab, tmp_path):
    add_claims(Path(lab.data), tmp_path / "out")
    rows = pyarrow.parquet.read_table(tmp_path / "out" / "train.parquet").to_pylist()
    assert len(rows) == 8 * (1 + CLAIMS_PER_IMAGE)
    first, *claims = rows[: 1 + CLAIMS_PER_IMAGE]
    truth = {claim["text"]: claim["is_true"] for claim in first["claims"]}
    assert len({row["problem"] for row in claims}) == CLAIMS_PER_IMAGE
    for row in claims:
        assert row["images"] == first["images"]
        assert row["answer"] == ("yes" if truth[row["problem"].removesuffix(" Is this right?")] else "no")


@pytest.mark.parametrize(("share", "early", "late"), [(0.0, 4, 0), (0.2, 4, 1), (0.5, 4, 4), (0.8, 1, 4), (1.0, 0, 4)])
def test_a_share_of_the_questions_is_late(share, early, late, lab, tmp_path):
    keep_late_share(Path(lab.data), tmp_path / "out", share)
    kinds = [row["kind"] for row in pyarrow.parquet.read_table(tmp_path / "out" / "train.parquet").to_pylist()]
    assert (sum(kind in EARLY for kind in kinds), sum(kind in LATE for kind in kinds)) == (early, late)
    heldout = (tmp_path / "out" / "heldout.parquet").read_bytes()
    assert heldout == Path(lab.data, "heldout.parquet").read_bytes()


def test_a_share_that_is_none_is_refused(lab, tmp_path):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        compare(tmp_path / "out", lab, [GRPO], late_share=1.5)


def test_a_folder_of_another_comparison_is_refused(compared, lab):
    out, arms, _ = compared
    with pytest.raises(ConfigError, match="give another --out"):
        compare(out, Lab(lab.checkpoint, "elsewhere"), arms)


def test_nothing_to_do_is_refused(lab, tmp_path):
    for nothing in ({"seeds": ()}, {"jobs": 0}):
        with pytest.raises(ConfigError, match="at least one of each"):
            compare(tmp_path / "out", lab, [GRPO], **nothing)
    assert main(["compare", "--steps", "0", "--lab", lab.data, "--out", str(tmp_path / "out")]) == 1
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("command", ["compare", "methods", "ablate"])
def test_bad_input_is_one_sentence(command, tmp_path, capsys):
    assert main([command, "--lab", str(tmp_path / "no"), "--out", str(tmp_path / "out")]) == 1
    assert f"make one with `python -m studies build --out {tmp_path / 'no'}`" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
