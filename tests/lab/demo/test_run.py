"""The demo runs for real, in its shortest form, goes on where it was, and refuses what it cannot do."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from lab.demo.short_demo import SHORT, run_short_demo
from safetensors.torch import load_file

from vapo.cli import main
from vapo.errors import ConfigError
from vapo.lab.demo.outcome import PAGE
from vapo.lab.demo.table import format_outcome
from vapo.lab.processes import side_by_side

RUNS = ("grpo", "vapo")


@pytest.fixture(scope="module")
def reported():
    return {}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, reported):
    """A demo that was left alone."""
    out = tmp_path_factory.mktemp("demo") / "left-alone"

    def listen(stage: str):
        reported[stage] = []
        return lambda done, total: reported[stage].append((done, total))

    return out, run_short_demo(out, on_progress=listen)


def weights(folder: Path):
    return load_file(folder / "model.safetensors")


def same_weights(first: Path, second: Path) -> bool:
    ours, theirs = weights(first), weights(second)
    return all((ours[name] == theirs[name]).all() for name in ours)


def test_it_trains_twice_and_examines_three_models(finished):
    out, outcome = finished
    assert [model.name for model in outcome.models] == ["before", "GRPO", "VAPO"]
    assert all(len(model.questions) == SHORT.questions for model in outcome.models)
    digests = {tuple(question.digest for question in model.questions) for model in outcome.models}
    assert len(digests) == 1  # the same questions for all
    assert not same_weights(out / "grpo" / "run", out / "vapo" / "run")
    for curve in outcome.learning:
        assert [line.model for line in curve.lines] == [1, 2]
        steps = [point.at for point in curve.lines[0].points]
        every = set(range(1, SHORT.steps + 1))
        assert set(steps) <= every if curve.key == "seen_late" else set(steps) == every  # few responses are that deep
    shown = format_outcome(outcome, out)
    for words in (
        "right answers",
        "before the response",
        "quarter 4 of 4",
        "tokens per response",
        "one seed",
        str(out / PAGE),
    ):
        assert words in shown


def test_both_runs_get_the_same_questions_and_as_many_rollouts(finished):
    out, _ = finished
    tables = [sorted((out / run / "run" / "completions").glob("*.parquet")) for run in RUNS]
    assert len(tables[0]) == len(tables[1]) == SHORT.steps
    for ours, theirs in zip(*(map(pd.read_parquet, files) for files in tables), strict=True):
        assert list(map(str, ours["prompt"])) == list(map(str, theirs["prompt"]))
        assert (ours["num_tokens"] > 0).all() and all(json.loads(cell) for cell in theirs["anchors"])
        assert (ours["advantage"] != theirs["advantage"]).any()


def test_progress_is_told_to_the_end(finished, reported):
    steps, diagnosed = SHORT.steps, 3 * SHORT.questions  # a response, early answers and claims for each
    assert reported.keys() == {"before, diagnosing"} | {
        f"{run}, {stage}" for run in ("GRPO", "VAPO") for stage in ("training", "diagnosing")
    }
    for stage, counts in reported.items():
        total = steps if "training" in stage else diagnosed
        assert counts == sorted(counts) and counts[-1] == (total, total)


def test_a_finished_one_only_writes_its_page(finished, monkeypatch):
    out, outcome = finished
    before = (out / PAGE).read_bytes()
    (out / PAGE).unlink()
    monkeypatch.setattr(side_by_side, "Worker", None)  # starting one would fail
    again = run_short_demo(out)
    assert (out / PAGE).read_bytes() == before
    assert format_outcome(again, out) == format_outcome(outcome, out)


def test_more_questions_can_be_asked_of_finished_runs(finished, tmp_path):
    out = Path(shutil.copytree(finished[0], tmp_path / "copy"))
    saved = [(out / run / "run" / "model.safetensors").stat().st_mtime_ns for run in RUNS]
    outcome = run_short_demo(out, questions=SHORT.questions + 1)
    assert [len(model.questions) for model in outcome.models] == [SHORT.questions + 1] * 3
    assert [(out / run / "run" / "model.safetensors").stat().st_mtime_ns for run in RUNS] == saved


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"steps": 0}, "steps is 0; it must be at least 1"),
        ({"questions": 0}, "questions is 0; it must be at least 1"),
        ({"seed": -1}, "seed is -1; it must be at least 0"),
    ],
)
def test_numbers_out_of_range_are_refused(tmp_path, numbers, message):
    with pytest.raises(ConfigError, match=message):
        run_short_demo(tmp_path / "demo", **numbers)
    assert not (tmp_path / "demo").exists()


def test_the_command_refuses_in_one_sentence(tmp_path, capsys):
    assert main(["demo", "--steps", "0", "--out", str(tmp_path / "demo")]) == 1
    assert capsys.readouterr().err == "vapo: steps is 0; it must be at least 1\n"
    (tmp_path / "file").write_text("")
    assert main(["demo", "--out", str(tmp_path / "file" / "demo")]) == 1
    assert "Not a directory; choose another place" in capsys.readouterr().err


def test_a_folder_with_another_demo_is_refused(finished):
    out, _ = finished
    with pytest.raises(
        ConfigError, match=r"holds a demo with other settings \(steps was 7 and is 8\); give another --out"
    ):
        run_short_demo(out, steps=8)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "demo").write_text("")
    with pytest.raises(ConfigError, match="is a file; give a folder"):
        run_short_demo(tmp_path / "demo")


class Interruptions:
    """Starts the demo as a program and ends it in the midst of its work."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.program = [sys.executable, str(Path(__file__).with_name("short_demo.py")), str(out)]

    def workers(self) -> list[int]:
        """Return the processes that work in the folder."""
        found: list[int] = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:  # it has ended
                continue
            if b"vapo.lab.processes.worker" in words and str(self.out).encode() in words:
                found.append(int(entry.name))
        return found

    def end_when(self, reached, number: signal.Signals) -> str:
        """Start, send a signal as soon as `reached()`, and wait until nobody works any more; return what was said."""
        environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
        process = subprocess.Popen(self.program, stderr=subprocess.PIPE, text=True, env=environment)
        while not reached() and process.poll() is None:
            time.sleep(0.01)
        assert process.poll() is None, "the demo ended before it could be interrupted"
        assert self.workers()
        process.send_signal(number)
        said = process.communicate()[1]
        while self.workers():
            time.sleep(0.01)
        return said


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are found by /proc")
def test_interrupted_in_every_stage_it_ends_as_if_left_alone(finished, tmp_path):
    alone, outcome = finished
    out = tmp_path / "interrupted"
    interruptions = Interruptions(out)

    def steps_made() -> int:
        tables = [list((out / run / "run" / "completions").glob("*.parquet")) for run in RUNS]
        return min(map(len, tables))

    def is_examining() -> bool:
        found = list((out / "vapo" / "measured").glob("findings/*/rows.jsonl"))
        return bool(found) and not (out / "vapo" / "finished.json").exists()

    said = interruptions.end_when(lambda: steps_made() >= 6, signal.SIGINT)  # behind the first checkpoint
    assert "KeyboardInterrupt" in said
    interruptions.end_when(is_examining, signal.SIGKILL)
    assert not (out / PAGE).exists()
    assert run_short_demo(out) == outcome
    for run in RUNS:
        assert same_weights(out / run / "run", alone / run / "run")
    assert (out / PAGE).read_bytes() == (alone / PAGE).read_bytes()
