"""Choices: one letter, several, yes or no, and options in a question."""

import pytest

from vapo.core.answers.choices import Letters, is_same_letters, read_letters, read_options, read_yes_or_no


@pytest.mark.parametrize(
    "text",
    [
        "B",
        "b",
        "(B)",
        "[b]",
        "<B>",
        "B.",
        "B)",
        "Option B",
        "The correct answer is (B)",
        "选B",
        "选项B",
        "B选项",
        "B is correct",
    ],
)
def test_one_letter(text):
    assert read_letters(text) == Letters(("B",))


@pytest.mark.parametrize(
    "text", ["B. cat", "B: cat", "B) cat", "(B) cat", "B - cat", "B、cat", "B:cat", "Answer: B. cat"]
)
def test_a_letter_with_its_text(text):
    assert read_letters(text) == Letters(("B",), "cat")


@pytest.mark.parametrize(
    ("text", "letters"), [("A, C", "AC"), ("A and C", "AC"), ("(A), (C)", "AC"), ("A、C", "AC"), ("C A", "CA")]
)
def test_several_letters(text, letters):
    assert read_letters(text) == Letters(tuple(letters))


@pytest.mark.parametrize(
    "text",
    [
        "A or B",
        "Bat",
        "a B",
        "A dog",
        "B = 5",
        "A1",
        "AA",
        "A. cat B. dog",
        "A. cat or B",
        "neither A nor B",
        "A - B",
        "5",
        "K",
    ],
)
def test_what_is_no_letter(text):
    assert read_letters(text) is None


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        ("AC", "A, C", True),
        ("C, A", "A, C", True),
        ("CA", "AC", False),
        ("BACD", "ABCD", False),
        ("B, A, C", "A, B, C", False),
    ],
)
def test_orderings_are_no_sets(answer, reference, same):
    assert is_same_letters(read_letters(answer), read_letters(reference)) is same


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Yes", True),
        ("yes, it is", True),
        ("No it isn't", False),
        ("False", False),
        ("是的", True),
        ("不是", False),
        ("yes and no", None),
        ("yes or no", None),
        ("Yes, but no", None),
        ("No solution", None),
        ("not", None),
        ("红色", None),
    ],
)
def test_yes_or_no(text, said):
    assert read_yes_or_no(text) is said


@pytest.mark.parametrize(
    ("question", "options"),
    [
        ("What is it?\nA. cat\nB. dog", ("cat", "dog")),
        ("What is it? (A) a cat (B) a dog (C) 5 cm", ("a cat", "a dog", "5 cm")),
        ("Choices:\nA) 5\nB) \\frac{1}{2}\n\nAnswer with the letter.", ("5", "\\frac{1}{2}")),
        ("A: cat; B: dog; C: cow", ("cat", "dog", "cow")),
        ("Who is A. Smith?", ()),
        ("Is AB longer than CD?", ()),
        ("A. cat\nC. dog", ()),
        ("A. cat\nB. dog\nB. cow", ()),
        ("", ()),
    ],
)
def test_what_a_question_lists(question, options):
    assert read_options(question) == options
