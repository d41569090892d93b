"""Options in a question."""

import pytest

from vapo.core.answers.options import read_options


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
