"""One spelling: Unicode, LaTeX, markdown."""

import re

import pytest

from vapo.core.answers.spelling import clean, split_outside


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("**B**", "B"),
        ("`B`", "B"),
        ("{B}", "B"),
        ("\\(B\\)", "B"),
        ("\\mbox{B}", "B"),
        ("（B）", "(B)"),
        ("B。", "B"),
        ("Ｂ", "B"),
        ("<answer>D</answer>", "D"),
        ("<B>", "<B>"),
        ("Answer: 3", "3"),
        ("The final answer is $3$.", "3"),
        ("答案：3", "3"),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\color{red}{5}", "5"),
        ("{\\color{red} 5}", "5"),
        ("\\textcolor{blue}{\\underline{5}}", "5"),
        ("√12", "\\sqrt{12}"),
        ("x²", "x^{2}"),
        ("–5", "-5"),
        ("45^{\\circ}", "45°"),
        ("\\dfrac12", "\\frac12"),
        ("14{,}916", "14,916"),
        ("\\approx 3", "3"),
        ("5!", "5!"),
        ("\\$5", "USD 5"),
        ("5\n6", "5\\quad 6"),
        ("\\\\frac{1}{2}", "\\frac{1}{2}"),
        ("x >= 2", "x \\ge 2"),
        ("", ""),
    ],
)
def test_clean(text, spelled):
    assert clean(text) == spelled


def test_what_is_clean_stays():
    for text in ("\\frac{1}{2}", "x \\ge 2", "\\{1, 2\\}", "New York", "USD 5", "25 cm^2"):
        assert clean(clean(text)) == clean(text)


def test_brackets_keep_together():
    assert split_outside("(1,2),[3,4),\\{5,6\\}", re.compile(",")) == ["(1,2)", "[3,4)", "\\{5,6\\}"]
