"""Two evaluations of own data side by side: what is paired, and what is said of the rest."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from vapo.cli import main
from vapo.errors import DataError
from vapo.evaluation.evaluate import evaluate
from vapo.evaluation.paired_evaluations import load_evaluation, pair_evaluations


def run(policy, samples, out, **options):
    return evaluate(policy, samples, **{"max_completion_tokens": 40, "num_anchors": 3, "out": out, **options})


def rows_of(base, rights, **changes):
    """Evaluations of made-up questions, right or wrong as told."""
    rows = [
        replace(base.rows[0], digest=f"d{k}", image=f"i{k}", question=f"question {k}", right=right, **changes)
        for k, right in enumerate(rights)
    ]
    return replace(base, rows=tuple(rows))


def test_answers_claims_and_lengths_are_paired(policy, samples, tmp_path: Path, capsys):
    run(policy, samples, tmp_path / "a")
    run(policy, samples, tmp_path / "b", max_completion_tokens=5)
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    text = capsys.readouterr().out
    assert re.search(r"right answers, greedy, % +33\.3 +0\.0 +-33\.3 .* 3, which chance alone could do", text)
    assert re.search(r"claims judged right, before the response, % +\d", text)
    assert re.search(r"completion length, tokens +\d+\.\d +5\.0 ", text)
    assert "They were measured with different settings: max_completion_tokens (40 and 5)." in text
    assert load_evaluation(tmp_path / "a").rows == run(policy, samples, tmp_path / "a").rows


def test_one_evaluation_is_shown_as_when_it_was_made(policy, samples, tmp_path: Path, capsys):
    run(policy, samples, tmp_path / "a")
    assert main(["compare", str(tmp_path / "a")]) == 0
    assert capsys.readouterr().out.startswith("writer on data in memory: 3 questions")


def test_pairing_tells_what_overlapping_intervals_hide(policy, samples):
    base = run(policy, samples, None)
    first = rows_of(base, [k % 2 == 0 for k in range(60)])
    second = rows_of(base, [k % 2 == 0 or k < 20 for k in range(60)])
    change = next(one for one in pair_evaluations(first, second).changes if one.measure == "right answers, greedy")
    assert (change.first, change.second, change.change.num_questions) == (0.5, pytest.approx(2 / 3), 60)
    assert change.change.low is not None and change.change.low > 0


def test_other_questions_are_counted_and_other_claims_not_compared(policy, samples):
    base = run(policy, samples, None)
    first, second = rows_of(base, [True] * 12), rows_of(base, [True] * 10)
    rows = tuple(replace(row, digest=f"other {row.digest}") if k < 4 else row for k, row in enumerate(second.rows))
    paired = pair_evaluations(first, replace(second, rows=rows))
    counts = {one.measure: one.change.num_questions for one in paired.changes}
    assert counts["right answers, greedy"] == 10 and counts["claims judged right, before the response"] == 6
    assert paired.notes == (
        "2 questions of the first are not in the other, and left out.",
        "4 of 10 questions have other ids or claims; their claims are not compared.",
    )


def test_the_same_question_twice_is_paired_in_order(policy, samples):
    base = run(policy, samples, None)
    same = [replace(base.rows[0], right=right) for right in (True, False)]
    twice = replace(base, rows=tuple(same))
    change = pair_evaluations(twice, twice).changes[0].change
    assert (change.value, change.num_questions) == (0, 2)


def test_what_cannot_be_compared_is_refused(policy, samples, tmp_path: Path, capsys):
    base = run(policy, samples, tmp_path / "a")
    with pytest.raises(DataError, match="no question in common; evaluate both on the same data"):
        pair_evaluations(base, rows_of(base, [True]))
    (tmp_path / "b").mkdir()
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 1
    assert "holds an evaluation of own data and" in capsys.readouterr().err
    assert main(["compare", str(tmp_path / "b"), str(tmp_path / "b")]) == 1
    assert "evaluation.json, which `vapo evaluate --data` writes at its end" in capsys.readouterr().err
    (tmp_path / "a" / "rows.jsonl").unlink()
    assert main(["compare", str(tmp_path / "a")]) == 1
    assert "has no rows.jsonl" in capsys.readouterr().err
