"""`vapo report` as it is typed: the shipped lab beside a copy that sees worse, and what is refused at once."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from evaluation.report.changed_lab import save_blurred_lab

from vapo.cli import main
from vapo.errors import ModelError
from vapo.evaluation.report import asking
from vapo.lab.shipped import shipped_checkpoint


@pytest.mark.slow
def test_the_lab_beside_a_copy_that_sees_worse(tmp_path, capsys):
    other = str(save_blurred_lab(tmp_path / "blurred"))
    out = tmp_path / "report"
    words = ["report", "lab", other, "--data", "lab", "--limit", "10", "--batch-size", "10", "--out", str(out)]
    assert main([*words, "--max-completion-tokens", "120"]) == 0
    shown = capsys.readouterr().out
    assert "Perception is down: claims judged right along the response (lab, 10 questions)" in shown
    assert f"the report is in {out / 'report.html'}" in shown
    numbers = json.loads((out / "report.json").read_text())
    (reasoning, perception) = numbers["verdicts"]
    assert perception["direction"] == "down" and perception["changes"][0]["change"]["high"] < 0
    assert reasoning["changes"][0]["what"] == "right answers"
    kept = {path: path.stat().st_mtime_ns for path in out.rglob("rows.jsonl")}
    assert len(kept) == 2
    page = (out / "report.html").read_bytes()
    assert main([*words, "--max-completion-tokens", "120"]) == 0
    assert (out / "report.html").read_bytes() == page
    assert {path: path.stat().st_mtime_ns for path in out.rglob("rows.jsonl")} == kept  # nothing was asked again
    capsys.readouterr()

    assert main(["report", other, "lab", "--data", "lab", "--limit", "10", "--out", str(out)]) == 1
    assert "holds a report with other settings (first was" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lab", "lab", "--data", "lab"], "lab and lab are the same weights; name two different checkpoints"),
        (["lab", "copy", "--data", "lab"], "lab and copy are the same weights"),
        (["lab", "./nothing", "--data", "lab"], "there is no folder ./nothing"),
        (["lab", "copy"], "say what to ask: published benchmarks with --suite paper,perception, your own data"),
        (["copy", "changed", "--diagnose"], "no data set is named; give --data"),
        (["lab", "copy", "--suite", "papers"], "there is no suite 'papers'; there is 'paper', 'perception'"),
        (["lab", "copy", "--suite", "paper", "--benchmarks", "pope"], "the suite 'paper' has no benchmark 'pope'"),
        (["lab", "changed", "--data", "lab", "--limit", "2", "--out", "file"], "file is a file; give a folder"),
        (["lab", "changed", "--data", "lab", "--limit", "2", "--out", "/proc/no"], "/proc/no: No such file"),
        (["lab", "changed", "--data", "lab", "--limit", "2", "--seed", "-1"], "seed is -1; it must be at least 0"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_a_model_is_loaded(words, said, tmp_path, capsys, monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("vapo.diagnosis.opened_models.load_policy", refuse)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    shutil.copytree(shipped_checkpoint(), tmp_path / "copy")
    shutil.copytree(shipped_checkpoint(), tmp_path / "changed")
    (tmp_path / "changed" / "generation_config.json").write_text("{}")
    assert main(["report", *words]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "report").exists()


def die(*_arguments: object) -> None:
    os._exit(9)


@pytest.mark.slow
def test_a_process_that_is_killed_is_said_to_be(tmp_path, monkeypatch):
    monkeypatch.setattr(asking, "_evaluate", die)
    with pytest.raises(ModelError, match=r"the process that asked one was killed.*goes on where this one stopped"):
        asking.evaluate_both(["one", "two"], tmp_path, suite="paper")
