"""Grades of answers and of form."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vapo.core.grading import extract_answer, grade_answer, grade_format


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so \\boxed{5}", "5"),
        ("\\boxed{4} no, \\boxed{5}.", "5"),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed {x}", "x"),
        ("\\fbox{3}", None),
        ("\\fboxed{3}", "3"),
        ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
        ("a \\\\\\boxed{3}", "3"),
        ("\\\\boxed{3}", "3"),
        ("{ \\boxed{3}", "3"),
        ("} \\boxed{3} }", "3"),
        ("\\boxed{3} and \\boxed{4", "3"),  # cut off: the last complete one
        ("\\boxed{\\boxed{3}}", "\\boxed{3}"),
        ("\\boxed{}", None),
        ("\\boxed{5} \\boxed{ }", None),
        ("no box: 5", None),
        ("", None),
        ("<think>\\boxed{4}</think> \\boxed{5}", "5"),
        ("<think>\\boxed{4}</think> five", None),  # the thinking is not the answer
        ("a</think>\\boxed{4}</think>\\boxed{5}", "5"),
        ("<think>\\boxed{4}", "4"),  # no end of thinking: the whole text counts
        ("\\boxed" * 50_000, None),
        ("\\boxed{" * 50_000, None),
        ("\\boxed{" * 20_000 + "}" * 20_000, "\\boxed{" * 19_999 + "}" * 19_999),
    ],
)
def test_extract_answer(text, answer):
    assert extract_answer(text) == answer


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("15", "15"),
        (" 15. ", "$15$"),
        ("15", "\\boxed{15}"),
        ("007", "7"),
        ("-0", "0"),
        ("+3", "3"),
        ("\u22123", "-3"),
        ("1,234,567", "1234567"),
        ("\\text{Yes}", "yes"),
        ("\\mathrm{\\textbf{Blue  whale}}", "blue whale"),
        ("圆", "圆"),
        ("12:30", "12:30"),
        ("9" * 5000, "9" * 5000),  # more digits than int() takes
        ("0.5", "\\frac{1}{2}"),
        ("\\dfrac{1}{2}", "1/2"),
        ("x = 5", "5"),
        ("3\\sqrt{2}", "\\sqrt{18}"),
        ("2x+3", "3+2x"),
        ("\\left(1,2\\right)", "(1, 2)"),
        ("\\{2,1\\}", "\\{1,2\\}"),
        ("30^\\circ", "30"),
        ("12 \\text{ cm}", "12"),
        ("50\\%", "50\\%"),
        ("0.5", "The answer is $0.5$."),  # from here on: the forms of a `solution` that TRL's own reward takes
        ("1/2", "We have $a = 3$. So the area is $\\frac{1}{2}$."),
        ("1/2", "so \\(x = \\frac{1}{2}\\)"),
        ("3, 5", "$3$ and $5$"),
        ("5", "$\\boxed{5}$"),
        ("5", "First $3$, then \\boxed{5}, and not $4$."),
        ("B", "<answer> B </answer>"),
        ("5", "<think>\\boxed{3}</think>\n<answer>$5$</answer>"),
    ],
)
def test_right_answers(answer, reference):
    assert grade_answer(f"<think>a</think>\\boxed{{{answer}}}", reference) == 1.0


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("15", "16"),
        ("-3", "3"),
        ("", ""),
        (" ", " "),
        ("$$", "$"),
        ("\\text{}", "\\text{}"),
        ("cat", "dog"),
        ("1 2", "12"),
        ("\\{100,200\\}", "100200"),
        ("AB", "B"),
        ("0.5", "0.6"),
    ],
)
def test_wrong_answers(answer, reference):
    assert grade_answer(f"\\boxed{{{answer}}}", reference) == 0.0


@pytest.mark.parametrize("reference", ["B", "(B)", "B.", "\\text{B}", "B. a cat", "(B) a cat"])
def test_choices(reference):
    for answer in ("B", "b", "(B)", "[B]", "B.", "B)", "B. a cat", "(B) a cat", "B: a cat", "\\textbf{B}", "Option B"):
        assert grade_answer(f"\\boxed{{{answer}}}", reference) == 1.0, answer
    for answer in (
        "A",
        "A, B",
        "B, C",
        "B or C",
        "(A) and (B)",
        "B. a cat C. a dog",
        "Bat",
        "a B",
        "5",
        "B = 5",
        "B C",
    ):
        assert grade_answer(f"\\boxed{{{answer}}}", reference) == 0.0, answer


def test_a_lower_case_letter_is_a_variable():
    assert grade_answer("\\boxed{a}", "a") == 1.0
    assert grade_answer("\\boxed{a = b}", "b") == 1.0


def test_text_outside_the_box_does_not_count():
    assert grade_answer("The answer is 15.", "15") == 0.0
    assert grade_answer("<think>\\boxed{15}</think> 15", "15") == 0.0


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.text(st.characters(codec=None), max_size=30)
    | st.lists(
        st.sampled_from(["\\frac", "{", "}", "^", "\\sqrt", "(", ")", "1", "x", "=", ",", "$", "\\text", "&"])
    ).map("".join)
)
def test_odd_text_never_raises(text):
    assert grade_answer(f"\\boxed{{{text}}}", "\\frac{1}{2}", time_limit_s=2.0) in (0.0, 1.0)
    assert grade_answer(text, text, time_limit_s=2.0) in (0.0, 1.0)
    assert grade_format(text) in (0.0, 1.0)


@pytest.mark.parametrize(
    ("text", "think_opened", "grade"),
    [
        ("<think>a</think> \\boxed{1}", False, 1.0),
        ("\n<think>\na\n</think>\n\nSo the answer is \\boxed{\\frac{1}{2}}.", False, 1.0),
        ("<think>\\boxed{1}</think> \\boxed{1}", False, 1.0),
        ("a</think> \\boxed{1}", True, 1.0),
        ("a</think> \\boxed{1}", False, 0.0),
        ("<think>a</think> \\boxed{1}", True, 0.0),
        ("Well, <think>a</think> \\boxed{1}", False, 0.0),
        ("<think> </think> \\boxed{1}", False, 0.0),
        (" \n</think> \\boxed{1}", True, 0.0),
        ("<think>a</think> \\boxed{}", False, 0.0),
        ("<think>a</think> \\boxed{1} \\boxed{2}", False, 0.0),
        ("<think>a</think> \\boxed{1", False, 0.0),
        ("<think>a</think> 1", False, 0.0),
        ("<think>a \\boxed{1}", False, 0.0),
        ("<think>a</think><think>b</think> \\boxed{1}", False, 0.0),
        ("<think>a</think></think> \\boxed{1}", False, 0.0),
        ("</think><think> \\boxed{1}", False, 0.0),
        ("\\boxed{1}", False, 0.0),
        ("", False, 0.0),
        ("", True, 0.0),
    ],
)
def test_format(text, think_opened, grade):
    assert grade_format(text, think_opened=think_opened) == grade
