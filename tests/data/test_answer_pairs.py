"""Pairs of a file, graded as in training and told line by line."""

import json

import pytest

from vapo.data.answer_pairs import format_pairs, grade_pairs
from vapo.errors import DataError


def test_each_pair_is_told_with_its_rule(tmp_path):
    (tmp_path / "pairs.csv").write_text(
        "answer,reference,options\n"
        '5 cm,5,\nstew,west,\n"<think>x</think> so \\boxed{dog}",B,"[""cat"", ""dog""]"\n? ?,3,\n3,\\frac{1}{,\n'
    )
    pairs = grade_pairs(tmp_path / "pairs.csv")
    assert [pair.comparison.equal for pair in pairs] == [True, False, True, False, False]
    lines = format_pairs(pairs).splitlines()
    assert lines[0].split("  ")[0] == "row 0 (pairs.csv, line 2) equal" and "number" in lines[0]
    assert lines[1].endswith("stew  |  west  (the texts differ)") and "words" in lines[1]
    assert "option" in lines[2]
    assert lines[6:] == [
        "2 of 5 answers are right",
        "rules               2 by number, 1 by words, 1 by option, 1 by none",
        "unreadable answers  1",
        "unreadable references 1",
    ]


def test_other_columns_are_named(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"response": "\\boxed{5}", "answer": 5.0}) + "\n")
    (pair,) = grade_pairs(path, answer_column="response", reference_column="answer")
    assert pair.comparison.equal
    with pytest.raises(DataError, match=r"has no column 'reference'; its columns are 'response', 'answer'\. Name the"):
        grade_pairs(path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"answer": None, "reference": "5"}, "row 0.*answer is null"),
        ({"answer": "5", "reference": ["5"]}, "reference is a list"),
        ({"answer": "5", "reference": "5", "options": "cat"}, "options is a str; it must be a list"),
        ({"answer": "5", "reference": "5", "options": "[cat]"}, "options is no JSON list"),
        ({"answer": "5", "reference": "5", "options": [None]}, "options is null"),
    ],
)
def test_cells_without_text_are_located(row, message, tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=message):
        grade_pairs(path)
