"""`vapo diagnose` as it is typed: the shipped lab, and what is refused before anything is loaded."""

from __future__ import annotations

import json
import shutil

import pytest
from PIL import Image

from vapo.cli import main
from vapo.lab.shipped import shipped_checkpoint
from vapo.models.policy import checkpoint

FEW = ["--step", "50", "--num-depths", "2", "--claims-per-depth", "2", "--remedy-cuts", "1"]


@pytest.fixture
def nothing_is_loaded(monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("vapo.diagnosis.opened_models.load_policy", refuse)


def test_the_lab_is_diagnosed(tmp_path, capsys):
    words = ["diagnose", "lab", "--limit", "3", "--out", str(tmp_path / "report"), *FEW]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("lab:\n") and str(tmp_path / "report" / "report.html") in shown
    plain = json.loads((tmp_path / "report" / "diagnosis.json").read_text(encoding="utf-8"))
    (model,) = plain["models"]
    assert plain["left_out"] == [] and model["name"] == "lab" and len(model["questions"]) == 3
    for name in (
        "early",
        "perception",
        "p_label",
        "attention_by_step",
        "attention_by_head",
        "sensitivity",
        "remedies",
    ):
        assert model[name], name
    for question in model["questions"]:
        assert (question["cause"] is None) == question["right"]
        depths = [cut["depth"] for cut in question["early"]]
        assert depths == [0.0, 0.5, 1.0] and question["early"][-1]["right"] == question["right"]
    settings = plain["settings"]["models"]["lab"]
    assert settings["dtype"] == "float32" and len(settings["weights"]) == 32
    before = (tmp_path / "report" / "diagnosis.json").read_bytes()
    assert main(words) == 0
    assert (tmp_path / "report" / "diagnosis.json").read_bytes() == before


def test_every_models_processor_says_which_images_it_refuses(tmp_path, capsys, nothing_is_loaded, monkeypatch):
    class NarrowRefused:
        @staticmethod
        def image_processor(images, **_):
            raise ValueError(f"too narrow: {images[0].width}")

    narrow = tmp_path / "narrow"
    shutil.copytree(shipped_checkpoint(), narrow)
    load = checkpoint.load_processor
    monkeypatch.setattr(
        checkpoint,
        "load_processor",
        lambda source, *options: NarrowRefused() if source == str(narrow) else load(source, *options),
    )
    for name, size in (("a.png", (64, 64)), ("b.png", (3, 64))):
        Image.new("RGB", size).save(tmp_path / name)
    rows = [{"problem": "What?", "answer": "1", "images": name} for name in ("a.png", "b.png")]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["diagnose", "lab", str(narrow), "--data", str(tmp_path / "data.jsonl"), "--split", "train"]
    assert main([*words, "--out", str(tmp_path / "report")]) == 1
    said = capsys.readouterr().err
    assert "line 2): an image is 3 x 64 pixels, which the model's processor refuses (too narrow: 3)" in said


def test_a_runs_model_is_asked_as_it_was_trained(tmp_path):
    folder = tmp_path / "run" / "checkpoint-2"
    shutil.copytree(shipped_checkpoint(), folder)
    (tmp_path / "run" / "settings.json").write_text('{"system_prompt": "Be brief."}')
    words = ["diagnose", "--data", "lab", "--limit", "1", "--protocols", "early", *FEW]
    asked_with = {}
    for model, more in ((str(folder), []), (str(folder), ["--system-prompt", ""]), ("lab", [])):
        out = tmp_path / f"report-{len(asked_with)}"
        assert main([*words, "--out", str(out), *more, model]) == 0
        plain = json.loads((out / "diagnosis.json").read_text(encoding="utf-8"))
        asked_with[model, *more] = plain["settings"]["models"][model]["system_prompt"]
    assert list(asked_with.values()) == ["Be brief.", None, None]


@pytest.mark.usefixtures("nothing_is_loaded")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no model is named"),
        (["lab", "lab"], "named twice"),
        (["lab", "runs/nothing-there/checkpoint-3"], "no folder"),
        (["lab", "--protocols", "early,sight"], "protocol 'sight' is unknown"),
        (["lab", "--step", "0"], "step is 0.0"),
        (["lab", "--judge-url", "http://localhost:1"], "name it with --judge"),
        (["some/model"], "no data set is named"),
        (["lab", "--split", "tomorrow"], "tomorrow"),
        (["lab", "--replacements", "none,edited"], "no column of edited images"),
        (["lab", "--edited-answer-column", "answer"], "no column of edited images"),
        (["lab", "--replacements", "sepia"], "replacements are"),
    ],
)
def test_mistakes_are_told_before_anything_is_loaded(words, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["diagnose", *words]) == 1
    shown = capsys.readouterr().err
    assert message in shown and "Traceback" not in shown
    assert not (tmp_path / "report").exists()
