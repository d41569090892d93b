"""Scores from a judge."""

import pytest
from evaluation.suite_runs.made_answers import make_answer
from openai_stub import CHAT, run_stub, say

from vapo.errors import ConfigError, ModelError
from vapo.evaluation.suite_runs.judging import judge_answers, open_grader
from vapo.evaluation.suites.suite import PAPER
from vapo.serving.judge.answer_score import Case, read_score
from vapo.serving.judge.judge import Judge

CASE = Case("What is x?", "-1 <AND> -5", "x = -1")


@pytest.fixture
def stub():
    with run_stub(["judge"]) as stub:
        yield stub


def open_judge(stub, tmp_path) -> Judge:
    return Judge(stub.url, cache_folder=tmp_path / "cache", max_retries=0, timeout_s=0.5)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ('{"score": 0.5}', 0.5),
        ('```json\n{"score": 1.0}\n```', 1.0),
        ("<think>score: 0.3?</think> Score: 0.4", 0.4),
        ('{"score": 1.5}', None),
        ('{"score": "half"}', None),
        ("score: 0.3 or score: 0.4", None),
        ("0.7", None),
        ("", None),
        ('{"score": ' + "9" * 400 + "}", None),
        ('{"score": ' + "9" * 9_999 + "}", None),
        ("[" * 100_000, None),
    ],
)
def test_scores_are_read(text, score):
    assert read_score(text) == score


def test_a_reply_is_kept(stub, tmp_path):
    stub.script[CHAT] = [say('{"score": 0.5}')]
    assert open_judge(stub, tmp_path).grade([CASE]) == [0.5]
    assert open_judge(stub, tmp_path).grade([CASE]) == [0.5]
    (asked,) = stub.asked()
    assert "-1 <AND> -5" in asked["messages"][1]["content"]


def test_a_reply_without_a_score_is_one_sentence(stub, tmp_path):
    stub.script[CHAT] = [say("I cannot say.")]
    with pytest.raises(ModelError, match=r"the judge judge names no score for 'What is x.*leave --judge out"):
        open_judge(stub, tmp_path).grade([CASE])


def test_only_judged_benchmarks_are_regraded(stub, tmp_path):
    stub.script[CHAT] = [say('{"score": 0.8}')]
    answers = [
        make_answer("mmstar", 0, 0.0),
        make_answer("mmvet", 0, 0.0, is_parsed=False, answer=None, response="<think>hm</think>A long answer."),
        make_answer("mmvet", 1, 0.5, response="<think>cut off</think>"),
    ]
    graded = judge_answers(PAPER, open_judge(stub, tmp_path), answers)
    assert graded[0] is answers[0]
    assert (graded[1].score, graded[1].is_parsed, graded[1].grader) == (0.8, True, "judge")
    assert (graded[2].score, graded[2].is_parsed, graded[2].grader) == (0.0, False, "judge")
    assert "A long answer." in stub.asked()[0]["messages"][1]["content"]
    assert "hm" not in stub.asked()[0]["messages"][1]["content"]


def test_a_url_without_a_model_is_refused():
    assert open_grader(PAPER, None, None) is None
    with pytest.raises(ConfigError, match="--judge-url comes without a model"):
        open_grader(PAPER, None, "http://localhost:1")
