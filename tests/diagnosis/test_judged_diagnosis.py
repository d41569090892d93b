"""A judge of errors within a diagnosis: one that fails, and one that is scored against the truth."""

from __future__ import annotations

from typing import Any

import pytest
from diagnosis.scripted_model import SMALL, make_diagnosed_model
from diagnosis.test_protocols import Voter

from vapo.api.server_errors import ServerError
from vapo.diagnosis.diagnose import diagnose
from vapo.diagnosis.findings import Category
from vapo.errors import ModelError
from vapo.types import Sample


class FailingJudge:
    name = "failing"

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self.asked = 0

    def judge(self, sample: Sample, response: str, votes: int) -> tuple[Category | None, ...]:
        self.asked += 1
        if self._error is not None:
            raise self._error
        return (None,) * votes


@pytest.mark.parametrize(
    ("judge", "note"),
    [
        (FailingJudge(), "no answer that could be read"),
        (FailingJudge(ModelError("it did not answer within 5 s")), "it did not answer within 5 s"),
    ],
)
def test_a_judge_that_fails_is_noted_and_asked_again(judge, note, questions, tmp_path):
    options: dict[str, Any] = {"settings": SMALL, "protocols": ["errors"], "truth": Voter("logical")}
    model = diagnose([make_diagnosed_model()], questions, tmp_path, judge=judge, **options).models[0]
    for question in model.questions[2:]:
        assert question.cause is not None and question.cause.category is None and question.cause.truth == "logical"
        assert any(note in line for line in question.notes)
    assert model.categories is None and judge.asked == 2
    diagnose([make_diagnosed_model()], questions, tmp_path, judge=judge, **options)
    assert judge.asked == 4


def test_a_judge_whose_key_is_wrong_stops_the_work(questions):
    judge = FailingJudge(ServerError("the server refuses the key", 401))
    with pytest.raises(ServerError):
        diagnose([make_diagnosed_model()], questions, settings=SMALL, protocols=["errors"], judge=judge)


def test_a_judge_is_scored_against_the_truth(questions):
    class ByQuestion:
        name = "by question"

        def judge(self, sample: Sample, response: str, votes: int) -> tuple[Category, ...]:
            return ("perception" if sample.id == "q2" else "logical",) * votes

    model = diagnose(
        [make_diagnosed_model()],
        questions,
        settings=SMALL,
        judge=Voter("logical"),
        truth=ByQuestion(),
        protocols=["errors"],
    ).models[0]
    assert model.judge_agreement is not None and model.judge_agreement.value == 0.5
    assert model.confusion is not None
    assert model.confusion["logical"] == {"perception": 1, "logical": 1, "knowledge": 0, "other": 0}
    assert sum(sum(row.values()) for row in model.confusion.values()) == 2
