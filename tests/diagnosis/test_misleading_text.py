from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow.parquet
import pytest
from diagnosis.scripted_model import RIGHT, SMALL, WRONG, ScriptedModel, as_rollout, make_question

from vapo.diagnosis.diagnose import diagnose
from vapo.diagnosis.misleading_text import draw_wrong_answer
from vapo.errors import ConfigError
from vapo.models.diagnosed_model import Cut

HALVES = replace(SMALL, num_cuts=2)
"""Cuts at 0, 1/2 and 1 of the thinking part: behind 7, 14 and 22 of "<think>ab, cd. ef! gh?</think>", or near them."""


def follow_early(cut: Cut) -> str:
    """Give the cue's answer before half of the response, and 8 from then on."""
    said = cut.text.removesuffix(".").rpartition(" ")[2]
    return f"</think>\\boxed{{{said if cut.index < 14 else 8}}}"


class Credulous(ScriptedModel):
    """Gives the answer that its question says someone gave, where the question is q0's."""

    def write_responses(self, samples: Any, *options: Any) -> Any:
        rollouts = super().write_responses(samples, *options)
        said = [sample.question.partition("Someone said the answer is ")[2][:-1] for sample in samples]
        return [
            as_rollout(r.sample, f"<think>ab.</think>\\boxed{{{word}}}") if word and r.sample.id == "q0" else r
            for r, word in zip(rollouts, said, strict=True)
        ]


def mislead(responses: dict[str, str], **options: Any) -> Any:
    # 8 is right for all; 5 is the answer of a question that has no response, so the only wrong one of its kind.
    samples = [*(make_question(name) for name in responses), make_question("other", "5")]
    diagnosed_model = Credulous(responses, early=follow_early)
    found = diagnose([diagnosed_model], samples, protocols=["cue"], settings=HALVES, **options)
    return found.models[0], diagnosed_model


FOUR = {"q0": RIGHT, "q1": RIGHT, "q2": WRONG, "q3": WRONG.replace("9", "5")}


def test_who_follows_by_hand():
    # q0 and q1 are right without a cue; q3 answers 5, as the cue does, all by itself.
    model, _ = mislead(FOUR)
    numbers = {
        name: [(point.at, point.estimate.value) for point in found] if isinstance(found, tuple) else found.value
        for name, found in model.numbers.items()
    }
    assert numbers == {
        "misleading_followed_response": [(0, 1), (0.5, 0), (1, 0)],
        "misleading_given_response": [(0, 1), (0.5, 0), (1, 0)],
        "misleading_accuracy_response": [(0, 0), (0.5, 1), (1, 1)],
        "misleading_followed_question": [(0, 1 / 2)],
        "misleading_given_question": [(0, 2 / 4)],
        "misleading_accuracy_question": [(0, 1 / 4)],
        "misleading_control": 1 / 4,
        "misleading_accuracy_without": 2 / 4,
    }


def test_where_the_cue_stands():
    _, diagnosed_model = mislead({"q0": RIGHT})
    assert [(cut.index, cut.suffix, cut.text) for cut in diagnosed_model.cuts] == [
        (7, "", "Someone said the answer is 5."),
        (14, "", " Someone said the answer is 5."),
        (22, "", " Someone said the answer is 5."),
    ]


@pytest.mark.parametrize(
    ("question", "reference", "wrong"),
    [
        ("Which?\nA. red\nB. cat", "A", {"B"}),
        ("Which?\nA. red\nB. cat\nC. dog", "\\boxed{cat}", {"red", "dog"}),
        ("Is it?", "Yes", {"no"}),
        ("Is it?", "no", {"yes"}),
        ("How many?", "8", {"5", "9", "\\frac{x}{2}"}),  # as grading tells kinds, numbers and formulas are one
        ("What?", "cat", {"dog"}),
        ("When?", "12:30", {None}),
    ],
)
def test_the_wrong_answer_is_of_the_same_kind(question: str, reference: str, wrong: set[str | None]):
    sample = replace(make_question("q0", reference), question=question)
    answers = ("5", "8", "8.0", "9", "Cat", "dog", "yes", "\\frac{x}{2}", reference)
    drawn = {draw_wrong_answer(replace(sample, id=f"q{n}"), answers, seed) for n in range(8) for seed in range(2)}
    assert drawn == wrong
    assert draw_wrong_answer(sample, answers, 0) == draw_wrong_answer(sample, answers, 0)


def test_nothing_is_asked_where_there_is_no_wrong_answer():
    diagnosed_model = ScriptedModel({"q0": RIGHT})
    found = diagnose([diagnosed_model], [make_question("q0")], protocols=["cue"], settings=HALVES)
    assert found.models[0].questions[0].rows["cue"] == () and "cuts" not in diagnosed_model.asked


def test_finished_rows_are_read_again_and_written_as_a_table(tmp_path):
    first, _ = mislead(FOUR, out=tmp_path)
    again, asked = mislead(FOUR, out=tmp_path)
    assert again == first and set(asked.asked) <= {"responses"}
    table = pyarrow.parquet.read_table(tmp_path / "tables" / "cue.parquet").to_pylist()
    assert len(table) == 4 * 5
    assert table[2] == {
        "model": "scripted", "sample_id": "q0", "place": "response", "depth": 0.0, "kept_tokens": 7, "cue": "5",
        "answer": "5", "right": False, "follows": True,
    }  # fmt: skip
    assert "Right answers that follow a misleading cue" in (tmp_path / "report.html").read_text()


def test_the_conclusion_says_who_follows():
    model, _ = mislead({f"q{number}": RIGHT for number in range(12)})
    assert (
        "Of the right answers, 8.3 % turn to a wrong one that the question says someone gave; said within the "
        "response, 100.0 % at 0 %, 0.0 % at 50 %, 0.0 % at 100 % of it." in model.conclusion
    )


def test_a_cue_must_have_a_place_for_the_answer():
    for cue in ("Someone said so.", "It is {answer}, not {answer}."):
        with pytest.raises(ConfigError, match="where the wrong answer is to stand"):
            replace(HALVES, cue=cue)
