"""Processes side by side: what they say reaches its callback, and no end of theirs goes unnoticed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from vapo.errors import VapoError
from vapo.lab.demo.jobs import Job
from vapo.lab.processes import side_by_side
from vapo.lab.processes.side_by_side import run_side_by_side

COUNT = """
import json, sys
for done in range(3):
    print(json.dumps({"stage": "training", "done": done + 1, "total": 3}), flush=True)
"""
BY_NAME = """
import json, sys, time
name = json.loads(sys.argv[2])["name"]
if name == "refused":
    print(json.dumps({"error": "lr is -1; give another"}), flush=True)
    sys.exit(1)
if name == "broken":
    sys.exit("something broke")
time.sleep(600)
"""


@pytest.fixture
def make_job(tmp_path):
    job = Job("", "", (), "policy", "data", 1, {}, 1)
    return lambda name: replace(job, name=name, folder=str(tmp_path / name))


def keep_quiet(stage):
    return lambda done, total: None


def test_each_stage_of_each_job_has_its_progress(make_job, monkeypatch):
    monkeypatch.setattr(side_by_side, "_COMMAND", ("-c", COUNT))
    reported: dict[str, list[tuple[int, int]]] = {}

    def listen(stage):
        reported[stage] = []
        return lambda done, total: reported[stage].append((done, total))

    run_side_by_side([make_job("GRPO"), make_job("VAPO")], listen)
    assert reported == {f"{name}, training": [(1, 3), (2, 3), (3, 3)] for name in ("GRPO", "VAPO")}


@pytest.mark.parametrize("at_once", [1, 2])
def test_no_more_work_at_a_time_than_asked(make_job, monkeypatch, at_once):
    monkeypatch.setattr(side_by_side, "_COMMAND", ("-c", COUNT))
    under_way: list[int] = []
    most = [0]
    start, end = side_by_side.Worker.__init__, side_by_side.Worker.end

    def note_start(worker, job, mail):
        under_way.append(id(worker))
        most[0] = max(most[0], len(under_way))
        start(worker, job, mail)

    def note_end(worker):
        under_way.remove(id(worker))
        end(worker)

    monkeypatch.setattr(side_by_side.Worker, "__init__", note_start)
    monkeypatch.setattr(side_by_side.Worker, "end", note_end)
    reported: list[str] = []
    jobs = [make_job(str(number)) for number in range(5)]
    run_side_by_side(jobs, lambda stage: reported.append(stage) or (lambda done, total: None), at_once)
    assert sorted(reported) == [f"{number}, training" for number in range(5)]
    assert most == [at_once] and not under_way


def test_nothing_to_do_is_done(monkeypatch):
    monkeypatch.setattr(side_by_side, "Worker", None)
    run_side_by_side([], keep_quiet)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("refused", r"^refused: lr is -1; give another$"),
        ("broken", r"^broken: its process ended with status 1; the end of .*log\.txt says why"),
    ],
)
def test_the_others_end_with_the_one_that_fails(make_job, monkeypatch, name, message):
    monkeypatch.setattr(side_by_side, "_COMMAND", ("-c", BY_NAME))
    started: list[side_by_side.Worker] = []
    start = side_by_side.Worker

    def note(*arguments):
        started.append(start(*arguments))
        return started[-1]

    monkeypatch.setattr(side_by_side, "Worker", note)
    with pytest.raises(VapoError, match=message):
        run_side_by_side([make_job("patient"), make_job(name)], keep_quiet)
    assert [worker.job.name for worker in started] == ["patient", name]
    assert started[0].wait() < 0  # by a signal, long before its 600 s
    if name == "broken":
        assert "something broke" in started[1].job.log.read_text()


def test_a_worker_ends_when_nobody_holds_its_input(make_job):
    """It imports for seconds before it would look at its job, and has ended by then."""
    job = make_job("before")
    words = [sys.executable, "-m", "vapo.lab.processes.worker", job.work, job.to_json()]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.close()
    process.stdin = None
    said, complained = process.communicate()
    assert (process.returncode, said, complained) == (1, b"", b"")


def test_a_refusal_is_one_message(make_job, tmp_path):
    job = replace(make_job("before"), data=str(tmp_path / "nothing.parquet"))
    with pytest.raises(VapoError, match=r"^before: .*nothing\.parquet"):
        run_side_by_side([job], keep_quiet)
    assert not job.is_finished and Path(job.folder, "log.txt").is_file()
