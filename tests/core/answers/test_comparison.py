"""Answers against references: golden pairs of every kind, laws, and what must not hang."""

import csv
import io
import threading
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vapo.core.answers.comparison import compare_answers, find_options, find_rule

TABLE = Path(__file__).with_name("answer_pairs.tsv").read_text(encoding="utf-8")
PAIRS = list(csv.DictReader(io.StringIO(TABLE, newline=""), delimiter="\t"))


def test_a_careful_person_agrees(capsys):
    asked, agreed, odd = Counter[str](), Counter[str](), list[str]()
    for pair in PAIRS:
        comparison = compare_answers(pair["answer"], pair["reference"], time_limit_s=60.0)
        kind, agrees = pair["kind"], comparison.equal == (pair["right"] == "yes")
        asked[kind] += 1
        agreed[kind] += agrees
        if not agrees:
            odd.append(f"{pair['answer']} | {pair['reference']} | {comparison}")
    with capsys.disabled():
        print("\nagreement with a careful person, by kind of answer")
        print("\n".join(f"  {kind:<18} {agreed[kind]:>3} of {asked[kind]}" for kind in sorted(asked)))
    assert odd == []


@pytest.mark.parametrize(
    ("answer", "reference", "rule", "why"),
    [
        ("BACD", "ABCD", "letters", "the letters differ"),
        ("cat", "B", "letters", "the answer names no letter"),
        ("B. dog", "B. cat", "letters", "the letter is right and its text is another's"),
        ("maybe", "yes", "yes or no", "the answer says neither yes nor no, or both"),
        ("8 am", "8 pm", "time", "the times differ"),
        ("July 5", "July 4", "date", "the dates differ"),
        ("2011-2016", "2010-2015", "range or ratio", "the numbers differ"),
        ("(0,1)", "x > 2", "interval", "the intervals differ"),
        ("B > A", "A > B", "inequality", "the inequalities differ"),
        ("1", "1, 2", "list", "the answer is not several"),
        ("y=x", "y=2x", "equation", "the values differ"),
        ("5 km", "5 m", "number", "the values differ"),
        ("5 kg", "5 m", "number", "the units measure different things"),
        ("9^{9^{9^{9}}}", "5", "number", "its value cannot be computed"),
        ("stew", "west", "words", "the texts differ"),
        ("", "5", "nothing", "there is nothing to compare"),
    ],
)
def test_the_rule_and_the_reason_are_named(answer, reference, rule, why):
    comparison = compare_answers(answer, reference)
    assert (comparison.equal, comparison.rule, comparison.why) == (False, rule, why)


@pytest.mark.parametrize("text", ["\\frac{1}{", "? ? ?", "x^", "((", "word " * 60, "", "1 2 3 4 5"])
def test_what_no_rule_understands_is_said(text):
    assert find_rule(text) is None
    comparison = compare_answers("5", text)
    assert not comparison.equal and not comparison.reference_read
    assert not compare_answers(text, "5").answer_read


def test_every_reference_of_the_pairs_is_understood():
    assert [pair["reference"] for pair in PAIRS if find_rule(pair["reference"]) is None] == []


OPTIONS = ("cat", "dog", "1/2", "0.5")


@pytest.mark.parametrize(
    ("answer", "reference", "equal"),
    [
        ("dog", "B", True),
        ("the dog", "B", True),
        ("B", "dog", True),
        ("B. dog", "dog", True),
        ("cat", "B", False),
        ("A", "dog", False),
        ("a horse", "B", False),
        ("0.5", "D", True),
        ("0.5", "C", False),  # two options of one value: the one that is written
        ("E", "B", False),
        ("B. cat", "B", False),  # a letter with the text of another option
        ("B. cat", "cat", False),
        ("A. cat", "cat", True),
        ("B: a big dog", "B", True),
    ],
)
def test_options_give_letters_their_texts(answer, reference, equal):
    assert compare_answers(answer, reference, OPTIONS).equal is equal


def test_options_are_found_by_letter_or_text():
    assert find_options("B", OPTIONS) == ("B",) and find_options("dog", OPTIONS) == ("B",)
    assert find_options("A, B", OPTIONS) == ("A", "B") and find_options("E", OPTIONS) is None
    assert find_options("a horse", OPTIONS) is None and find_options("B. cat", OPTIONS) is None


ENDLESS = [
    "9^{9^{9^{9}}}",
    "((10^{9})!)!",
    "10^{10^{10}}!",
    "\\binom{10^{9}}{10^{8}}",
    "e^{e^{e^{e^{9}}}}",
    "\\sin(10^{99999})",
    "1e999999999",
    "(" * 300 + "1" + ")" * 300,
    "\\frac{1}{" * 150 + "2" + "}" * 150,
    "\\sqrt{" * 100 + "2" + "}" * 100,
    "\\text{" * 120 + "2" + "}" * 120,
    "-" * 900 + "1",
    "1+" * 450 + "1",
    ",".join(["x"] * 450),
    "9" * 990,
    "0." + "0" * 900 + "1",
    "((((" * 200,
    "a " * 480,
    "{" * 500 + "}" * 500,
    "\\begin{pmatrix}" * 60,
    "x^" * 480,
    "1 2/3 " * 160,
    "\\pm " * 240,
    "1:" * 480,
    "= " * 480,
    "x=" * 300,
    "A or " * 180 + "B",
    "**" * 480,
    "$" * 999,
    "A, " * 320 + "B",
    " " * 480 + "." + " " * 480,
]


@pytest.mark.parametrize("answer", ENDLESS)
@pytest.mark.parametrize("reference", ["5", "B", "cat", "(1, 2)", "x > 2", None])
def test_nothing_hangs_in_any_thread(answer, reference):
    found: list[bool] = []
    thread = threading.Thread(
        target=lambda: found.append(compare_answers(answer, answer + "1" if reference is None else reference).equal)
    )
    thread.start()
    thread.join()
    assert found == [False]


PARTS = [
    "\\frac",
    "{",
    "}",
    "^",
    "\\sqrt",
    "(",
    ")",
    "1",
    "x",
    "=",
    ",",
    "$",
    "\\text",
    "&",
    "或",
    "%",
    "°",
    " or ",
    "<",
    "A",
]


@settings(deadline=None, max_examples=300)
@given(st.text(st.characters(codec=None), max_size=30) | st.lists(st.sampled_from(PARTS)).map("".join))
def test_any_text_can_be_asked_about(text):
    for answer, reference in ((text, "1"), ("1", text), (text, text), ("A", text), (text, "cat"), (text, "[0, 1)")):
        compare_answers(answer, reference)
