"""Lists, sets, tuples and matrices."""

import pytest

from vapo.core.answers.sequences import Items, is_same_items, read_items, read_matrix, read_rows
from vapo.core.answers.spelling import clean


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("21, 36, and 82", Items(("21", "36", "82"), is_joined=True)),
        ("n=1,2,3", Items(("1", "2", "3"))),
        ("x=1, y=2", Items(("x=1", "y=2"))),
        ("D=(0,1.5)", Items(("0", "1.5"), "(")),
        ("M(3,4)", Items(("3", "4"), "(")),
        ("\\{1,2\\}", Items(("1", "2"), "{")),
        ("\\pm 5", Items(("+5", "-5"))),
        ("x=1或x=2", Items(("x=1", "x=2"), is_joined=True)),
        ("\\varnothing", Items((), "{")),
        ("(1,2),(3,4)", Items(("(1,2)", "(3,4)"))),
        ("1,234", None),
        ("(1,234)", Items(("1", "234"), "(")),
        ("5", None),
        ("(5)", None),
    ],
)
def test_items(text, items):
    assert read_items(clean(text)) == items


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        ("2, 1", "1, 2", True),
        ("\\{2,1\\}", "1, 2", True),
        ("[1,2]", "1, 2", True),
        ("(2,1)", "1, 2", False),
        ("(2,1)", "(1,2)", False),
        ("[1,2]", "(1,2)", False),
        ("[1,2,3]", "\\{3,2,1\\}", True),
        ("\\{1,1,2\\}", "\\{1,2\\}", True),
        ("1, 1, 2", "1, 2", False),
        ("cat, dog", "dog, cat", False),
        ("cat and dog", "dog and cat", True),
        ("2, 1, \\dots", "1, 2, \\dots", False),
    ],
)
def test_order_counts_where_it_does(answer, reference, same):
    read = read_items(clean(answer)), read_items(clean(reference))
    assert is_same_items(*read, lambda one, other: one == other) is same


def test_matrices():
    plain = read_matrix(clean("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}"))
    assert plain == (False, [["1", "2"], ["3", "4"]])
    assert plain == read_matrix(clean("\\left[\\begin{array}{cc}1 & 2\\\\ 3 & 4\\\\\\end{array}\\right]"))
    assert read_matrix(clean("\\begin{vmatrix}1\\end{vmatrix}")) == (True, [["1"]])
    assert read_rows("[[1, 2], [3, 4]]") == plain and read_rows("[1, 2]") is None and read_rows("{[1, 2]}") is None
