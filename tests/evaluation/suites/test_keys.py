"""Keys: what counts as right, as wrong, and as no answer at all."""

import pytest

from vapo.evaluation.suites.keys import Choice, Elements, Rounded, Written, YesNo

CITIES = Choice(("B",), ("Paris", "Rome", "0.5"))


@pytest.mark.parametrize(
    ("key", "answer", "score"),
    [
        (CITIES, "B", 1),
        (CITIES, "\\text{(b)}", 1),
        (CITIES, "B. Rome", 1),
        (CITIES, "B. Paris", None),  # names two
        (CITIES, "Rome", 1),
        (CITIES, "rome", 1),
        (CITIES, "A", 0),
        (CITIES, "\\frac{1}{2}", 0),  # names the third option
        (CITIES, "A, B", 0),  # two choices are an answer, and not the right one
        (CITIES, "Madrid", None),
        (Choice(("A", "C")), "A, C", 1),
        (Choice(("A", "C")), "AC", 1),
        (Choice(("A", "C")), "C and A", 1),
        (Choice(("A", "C")), "A", 0),
        (Choice(("A", "C")), "the first", None),
        (Choice(("A",), ("1/2", "0.5")), "1/2", 1),  # two options of one value: the one that is written
        (Choice(("A",), ("1/2", "0.5")), "0.5", 0),
        (Written(("24", "twenty-four")), "Twenty-four", 1),
        (Written(("3\\sqrt{2}",)), "\\sqrt{18}", 1),
        (Written(("12",)), "13", 0),
        (Rounded(1.5, 2), "1.50", 1),
        (Rounded(1.5, 2), "1.504 cm", 1),
        (Rounded(1.5, 2), "1.51", 0),
        (Rounded(1.5, 1), "\\frac{3}{2}", 1),
        (Rounded(1234, 0), "1,234", 1),
        (Rounded(4, 0), "4.2", 1),
        (Rounded(2, 0), "\\sqrt{2}", 0),
        (Rounded(2, 0), "2\\pi", 0),
        (Rounded(2, 0), "A2", None),
        (Rounded(2, 0), "2,3", None),
        (Rounded(2.3, 1), "2,3", 1),
        (Rounded(2, 0), "f(2)", None),
        (Rounded(1.41, 2), "\\sqrt{2}", 1),
        (Rounded(3, 0), "3 million", 0),
        (Rounded(3, 0), "not 3", None),
        (Rounded(3, 0), "more than 3", None),
        (Rounded(3, 0), "2-3", None),
        (Rounded(3, 0), "x = 3 \\text{ cm}", 1),
        (Rounded(0.5, 1), "50 \\%", 1),
        (Rounded(50, 0), "50 \\%", 1),
        (Rounded(0.5, 1), "5 \\%", 0),
        (YesNo(True), "yes and no", None),
        (YesNo(True), "Yes or no", None),
        (YesNo(True), "Yes, but not always", None),
        (CITIES, "B - Rome", 1),
        (CITIES, "The answer is B", 1),
        (CITIES, "the rome", 1),
        (CITIES, "A dog", None),
        (CITIES, "E", None),  # there is no such option
        (Rounded(4, 0), "four or five", None),
        (Rounded(4, 0), "between 3 and 5", None),
        (YesNo(True), "Yes, it is.", 1),
        (YesNo(False), "\\text{yes}", 0),
        (YesNo(False), "False", 1),
        (YesNo(False), "maybe", None),
        (YesNo(False), "...", None),
        (Elements((("-1",), ("-5",))), "x = -1 or x = -5", 1),
        (Elements((("two",), ("red", "crimson"))), "two crimson cars", 1),
        (Elements((("two",), ("red", "crimson"))), "one red car", 0.5),
        (Elements((("art",),)), "a cart", 0),  # words, not letters
        (Elements((("5.5",),)), "5", 0),
        (Elements((("-1",),)), "x = 1", 0),
        (Elements((("1,200 dollars",),)), "It costs 1200 dollars.", 1),
    ],
)
def test_grades(key, answer, score):
    assert key.grade(answer) == score


def test_references_are_words():
    assert [key.reference for key in (CITIES, Rounded(1.5, 2), YesNo(False))] == ["B", "1.50", "No"]
    assert Elements((("a",), ("b", "c"))).reference == "a <AND> b <OR> c"
