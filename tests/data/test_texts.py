from __future__ import annotations

import pytest

from vapo.data.texts import read_text
from vapo.errors import DataError


def test_text_is_kept_as_it_is() -> None:
    assert read_text("  <|im_end|> a\n", "problem") == "  <|im_end|> a\n"


def test_numbers_are_text_only_where_asked() -> None:
    assert read_text(3, "answer", numbers=True) == "3"
    assert read_text(0.5, "answer", numbers=True) == "0.5"
    for value in (float("nan"), float("inf"), -float("inf")):
        with pytest.raises(DataError, match=f"answer is {value}, which is no number"):
            read_text(value, "answer", numbers=True)
    with pytest.raises(DataError, match="problem is a int, not text"):
        read_text(3, "problem")
    with pytest.raises(DataError, match="answer is a bool, not text"):
        read_text(True, "answer", numbers=True)


@pytest.mark.parametrize(
    ("value", "message"),
    [(None, "problem is null"), (" \n", "problem is empty"), ("a\ud800", "half of a character"), ([], "is a list")],
)
def test_what_is_no_text_is_refused(value: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_text(value, "problem")
