from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pyarrow.parquet
import pytest
from diagnosis.scripted_model import RIGHT, SMALL, WRONG, ScriptedModel, make_question

from vapo.diagnosis.confidence import average_answer, list_rivals, measure_confidence
from vapo.diagnosis.diagnose import diagnose
from vapo.diagnosis.findings import EarlyAnswer
from vapo.diagnosis.other_images import OtherImages
from vapo.diagnosis.responses import Response, read_response
from vapo.diagnosis.settings import CLOSING_SENTENCE
from vapo.models.diagnosed_model import Cut, ScoredText
from vapo.types import Rollout, Sample

HALVES = replace(SMALL, num_cuts=2)
"""Cuts at 0, 1/2 and 1 of the thinking part: behind 7, 14 and 22 of "<think>ab, cd. ef! gh?</think>", or near them."""


def answer_late(cut: Cut) -> str:
    """7 at first, and 8 from half on."""
    return "\\boxed{8}" if cut.index >= 14 else "\\boxed{7}"


def be_surer(cut: Cut) -> float:
    """log 1/2 and log 1/4 before half for 8 and all others, log 1 and log 1/8 from there on."""
    is_eight = cut.text.endswith("8}")
    share = (1.0 if is_eight else 1 / 8) if cut.index >= 14 else (1 / 2 if is_eight else 1 / 4)
    return math.log(share)


def measure(responses: dict[str, str], **options: Any) -> Any:
    samples = [make_question(name) for name in responses]
    diagnosed_model = ScriptedModel(responses, early=answer_late, likely=be_surer)
    found = diagnose([diagnosed_model], samples, protocols=["confidence"], settings=HALVES, **options)
    return found.models[0], diagnosed_model


def test_probabilities_and_revisions_by_hand():
    # q0 to q2 end at 8, which is right, and q3 at 9, which is not; all say 7 at first and 8 in the middle.
    model, _ = measure({"q0": RIGHT, "q1": RIGHT, "q2": RIGHT, "q3": WRONG})
    curves = {
        name: [(point.at, pytest.approx(point.estimate.value)) for point in points]
        for name, points in model.numbers.items()
        if isinstance(points, tuple)
    }
    assert curves["confidence_final"] == [(0, (3 / 2 + 1 / 4) / 4), (0.5, (3 + 1 / 8) / 4), (1, (3 + 1 / 8) / 4)]
    assert curves["confidence_right"] == [(0, 1 / 2), (0.5, 1), (1, 1)]
    # The runner-up of 8 is 7; that of 9, given once each, is the later of 7 and 8.
    assert curves["confidence_runner_up"] == [
        (0, (3 / 4 + 1 / 2) / 4), (0.5, (3 / 8 + 1) / 4), (1, (3 / 8 + 1) / 4),
    ]  # fmt: skip
    single = {name: one.value for name, one in model.numbers.items() if not isinstance(one, tuple)}
    assert single == {
        "confidence_settled": (3 * 0.5 + 1) / 4,
        "confidence_revised": 1,
        "confidence_revised_to_right": 3 / 4,
        "confidence_revised_to_wrong": 0,
    }


def test_what_is_scored_behind_the_cut():
    scored: list[Cut] = []
    diagnosed_model = ScriptedModel({}, early=answer_late, likely=lambda cut: scored.append(cut) or -1.0)
    measure_confidence(diagnosed_model, [read(WRONG, make_question("q3"))], HALVES, OtherImages())
    assert [(cut.index, cut.suffix, cut.text) for cut in scored[:3]] == [
        (7, CLOSING_SENTENCE, "\\boxed{9}"),
        (7, CLOSING_SENTENCE, "\\boxed{8}"),
        (14, f" {CLOSING_SENTENCE}", "\\boxed{9}"),
    ]


def test_the_box_stands_where_the_response_puts_it():
    scored: list[Cut] = []
    diagnosed_model = ScriptedModel({}, early=answer_late, likely=lambda cut: scored.append(cut) or -1.0)
    for text, box in (
        (WRONG.replace("\\boxed", "\n\n\\boxed"), "\n\n\\boxed{9}"),
        ("ab, cd. So \\boxed{9}", "\\boxed{9}"),
    ):
        scored.clear()
        measure_confidence(diagnosed_model, [read(text, make_question("q0"))], HALVES, OtherImages())
        assert scored[0].text == box


def test_only_the_answer_is_scored_its_brace_included():
    texts, logprobs = ("\\bo", "xed{", "-", "8}", " "), (-9.0, -9.0, -1.0, -2.0, -6.0)
    assert average_answer(ScoredText(texts, logprobs)) == pytest.approx(math.exp(-3))
    joined = ScoredText(("\\boxed{-", "8}"), (-1.0, -2.0))
    assert average_answer(joined) == pytest.approx(math.exp(-1.5))
    # Bytes of a character that later tokens complete add no text, and count.
    spelled = ScoredText(("\\boxed{", "", "é", "}"), (-9.0, -1.0, -2.0, -3.0))
    assert average_answer(spelled) == pytest.approx(math.exp(-2))


def read(text: str, sample: Sample) -> Response:
    rollout = Rollout(sample, (1,), tuple(range(len(text))), tuple(text))
    return read_response(rollout, tags=("<think>", "</think>"), max_tokens=512)


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("B", "A", ["B", "A", "A", "C"]),
        ("(B)", "dog", ["(B)", "(C)", "(A)", "(C)"]),
        ("cat", "A", ["cat", "red", "red", "dog"]),
        ("B", "B", ["B", "B", "A", "C"]),
        ("fish", "A", ["fish", "A", "8"]),  # names no option: its rivals are its own earlier answers
    ],
)
def test_options_are_written_as_the_final_answer_is(answer: str, reference: str, expected: list[str]):
    sample = replace(make_question("q0", reference), question="Which?\nA. red\nB. cat\nC. dog")
    early = [EarlyAnswer(0.0, 7, "8", right=False), EarlyAnswer(0.5, 14, answer, right=False)]
    assert list_rivals(read(f"<think>ab, cd.</think>\\boxed{{{answer}}}", sample), early) == expected


def test_without_options_the_runner_up_is_the_most_frequent_other_answer():
    response = read(WRONG, make_question("q0"))
    answers = ["5", "6", "5.0", "9", None, "8", "8"]
    early = [EarlyAnswer(n / 10, n, answer, right=False) for n, answer in enumerate(answers)]
    assert list_rivals(response, early) == ["9", "8", "8"]  # of 5 and 8, twice each, the last given
    assert list_rivals(response, early[:5]) == ["9", "8", "5.0"]
    assert list_rivals(response, early[3:5]) == ["9", "8"]


def test_responses_without_an_answer_or_an_end_have_no_rows():
    model, _ = measure({"q0": RIGHT, "q1": "<think>ab, cd.</think>no idea", "q2": "<think>no mark</think>\\boxed{8}"})
    assert [len(question.rows["confidence"]) for question in model.questions] == [3, 0, 0]


def test_finished_rows_are_read_again_and_written_as_a_table(tmp_path):
    responses = {"q0": RIGHT, "q3": WRONG}
    first, _ = measure(responses, out=tmp_path)
    again, asked = measure(responses, out=tmp_path)
    assert again == first and asked.asked == {}
    table = pyarrow.parquet.read_table(tmp_path / "tables" / "confidence.parquet").to_pylist()
    assert len(table) == 2 * 3
    assert table[0] == {
        "model": "scripted", "sample_id": "q0", "depth": 0.0, "kept_tokens": 7, "answer": "7", "right": False,
        "same": False, "p_final": pytest.approx(0.5), "p_right": pytest.approx(0.5), "runner_up": "7",
        "p_runner_up": pytest.approx(0.25),
    }  # fmt: skip
    assert "Confidence along the response" in (tmp_path / "report.html").read_text()


def test_the_conclusion_says_when_answers_settle():
    model, _ = measure({f"q{number}": RIGHT for number in range(12)})
    assert (
        "Answers settle at 50.0 % of the response on average; 100.0 % are revised along it, 100.0 % to right and "
        "0.0 % to wrong." in model.conclusion
    )
