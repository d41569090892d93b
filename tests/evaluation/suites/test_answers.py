"""Graded answers on disk: ours, and what the harness logs."""

import json

import pytest

from vapo.errors import DataError
from vapo.evaluation.suites.answers import Answer, Response, read_answers, write_answers

ANSWER = Answer("mmstar", 3, "q3", "What?", 1.0, True, "A", "A", "<think>x</think>\\boxed{A}", 7, {"set": "s"})
LOGGED = {
    "doc_id": 3,
    "target": "A",
    "filtered_resps": ANSWER.response,
    "token_counts": [{"input_tokens": 9, "output_tokens": 7}],
    "score": {
        "benchmark": "mmstar",
        "id": "q3",
        "question": "What?",
        "score": 1.0,
        "is_parsed": True,
        "answer": "A",
        "reference": "A",
        "attributes": {"set": "s"},
    },
    "unparsed": 0.0,
}


def test_answers_come_back_as_they_were(tmp_path):
    write_answers(tmp_path, [ANSWER])
    assert read_answers(tmp_path) == [ANSWER]


def test_the_harness_log_gives_the_same(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "20261126_samples_vapo_mmstar.jsonl").write_text(json.dumps(LOGGED) + "\n")
    assert read_answers(tmp_path) == [ANSWER]
    silent = {**LOGGED, "doc_id": 4, "token_counts": [None]}
    (folder / "20261126_samples_vapo_mmstar.jsonl").write_text(json.dumps(silent) + "\n")
    assert read_answers(tmp_path)[0].num_tokens is None


def test_two_runs_in_one_folder_are_refused(tmp_path):
    for day in ("20261125", "20261126"):
        (tmp_path / f"{day}_samples_vapo_mmstar.jsonl").write_text(json.dumps(LOGGED) + "\n")
    with pytest.raises(DataError, match="two answers to row 3 of mmstar, as of two runs; name the folder of one"):
        read_answers(tmp_path)


def test_what_is_no_answer_is_named(tmp_path):
    with pytest.raises(DataError, match="holds no finished evaluation"):
        read_answers(tmp_path)
    (tmp_path / "answers.jsonl").write_text('{"benchmark": "mmstar"}\n')
    with pytest.raises(DataError, match="line 1: this is no answer of a suite"):
        read_answers(tmp_path)


def test_responses_come_back_as_they_were():
    response = Response("vapo_mmstar", 0, "0a", "text", 3)
    assert Response.from_json(json.loads(json.dumps(response.to_json()))) == response
