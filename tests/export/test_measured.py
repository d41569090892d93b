from __future__ import annotations

import json

import pytest
from diagnosis.made_diagnosis import NAMES, make_diagnosis
from export.made_evaluation import make_evaluation

from vapo.diagnosis.tables import write_tables
from vapo.errors import DataError
from vapo.export.measured import read_diagnosis, read_evaluation


def test_an_evaluation_from_its_file_or_folder(tmp_path):
    evaluation = make_evaluation()
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation.to_json()))
    assert read_evaluation(tmp_path) == read_evaluation(tmp_path / "evaluation.json") == evaluation


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no"),
        ("{", "is not JSON"),
        ("[]", "something else"),
        ('{"model": "m"}', "no evaluation of vapo"),
    ],
)
def test_what_is_no_evaluation(tmp_path, text, message):
    if text is not None:
        (tmp_path / "evaluation.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read_evaluation(tmp_path)


def test_a_diagnosis_from_its_folder(tmp_path):
    diagnosis = make_diagnosis(2)
    write_tables(diagnosis, tmp_path)
    (tmp_path / "figures").mkdir()
    for name in ("early.png", "early.svg", "attention.png"):
        (tmp_path / "figures" / name).touch()
    found = read_diagnosis(tmp_path)
    assert [model.name for model in found.models] == list(NAMES)
    assert [file.name for file in found.figures] == ["attention.png", "early.png"]
    for model, read in zip(diagnosis.models, found.models, strict=True):
        numbers = dict(read.numbers)
        assert read.conclusion == model.conclusion
        assert numbers["right answers, whole responses"] == model.accuracy
        first, last = model.perception["image"][0], model.perception["image"][-1]
        assert numbers["claims judged right, with the image, at 0 % of the response"] == first.estimate
        assert numbers["claims judged right, with the image, at 100 % of the response"] == last.estimate


def test_what_is_no_diagnosis(tmp_path):
    with pytest.raises(DataError, match=r"there is no .*diagnosis\.json; make it with `vapo diagnose"):
        read_diagnosis(tmp_path)
    (tmp_path / "diagnosis.json").write_text('{"models": [{}]}')
    with pytest.raises(DataError, match=r"has no summary\.csv"):
        read_diagnosis(tmp_path)
    (tmp_path / "summary.csv").write_text("model,measure\n")
    with pytest.raises(DataError, match="holds no diagnosis of vapo"):
        read_diagnosis(tmp_path)
