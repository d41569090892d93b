"""`vapo report --suite` inside lmms-eval, with the lab's model and small copies of the data."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest
from evaluation.report.changed_lab import save_blurred_lab

from vapo.cli import main
from vapo.evaluation.suites.answers import read_answers

pytestmark = [
    pytest.mark.lmms_eval,
    pytest.mark.skipif(find_spec("lmms_eval") is None, reason="needs lmms-eval"),
    pytest.mark.filterwarnings("default"),
    pytest.mark.xdist_group("lmms_eval"),
]


def test_both_models_answer_both_suites_once(copies, capsys):
    other = str(save_blurred_lab(copies / "blurred"))
    words = ["report", "lab", other, "--suite", "paper,perception", "--benchmarks", "hallusionbench", "mmstar", "pope"]
    words += ["--system-prompt", "", "--max-completion-tokens", "32", "--device", "cpu", "--out", "out"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "reasoning" in shown and "mean of 2 benchmarks (suite perception" in shown
    numbers = json.loads((copies / "out" / "report.json").read_text())
    (reasoning, perception) = numbers["verdicts"]
    assert [one["what"] for one in reasoning["changes"]] == ["mean of 2 benchmarks", "MMStar", "HallusionBench"]
    assert [one["what"] for one in perception["changes"]] == ["mean of 2 benchmarks", "POPE", "HallusionBench"]
    rows = {place: (copies / "out" / place / "rows.jsonl").read_text() for place in ("first", "second")}
    for place, text in rows.items():
        answers = read_answers(copies / "out" / place)
        assert len(text.splitlines()) == len(answers) == len({(one.benchmark, one.row) for one in answers})
    assert main(words) == 0
    assert rows == {place: (copies / "out" / place / "rows.jsonl").read_text() for place in rows}
