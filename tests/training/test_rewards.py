from __future__ import annotations

import pytest

from vapo.errors import DataError
from vapo.training.rewards import accuracy_reward

FIVE, SIX = (rf"<think>a</think> \boxed{{{number}}}" for number in (5, 6))


@pytest.mark.parametrize("column", ["answer", "solution"])
@pytest.mark.parametrize("reference", ["5", 5, "$5$", r"\boxed{5}", r"so it is $\boxed{5}$", "The area is $5$."])
def test_an_answer_is_graded_by_the_column_that_rows_have(column, reference):
    assert accuracy_reward([FIVE, SIX], **{column: [reference] * 2}, images=[[], []]) == [1.0, 0.0]


def test_a_column_answer_goes_before_a_solution():
    assert accuracy_reward([FIVE], solution=["6"], answer=["5"]) == [1.0]


def test_a_letter_stands_for_its_option_where_the_rows_have_them():
    completion = r"\boxed{dog}"
    assert accuracy_reward([completion] * 2, answer=["B", "B"], options=[["cat", "dog"], None]) == [1.0, 0.0]


def test_options_are_found_in_the_prompt():
    prompt = [{"role": "user", "content": "What is it?\nA. cat\nB. dog"}]
    assert accuracy_reward([r"\boxed{dog}", r"\boxed{cat}"], answer=["B", "B"], prompts=[prompt, prompt]) == [1.0, 0.0]


def test_the_share_of_answers_that_could_not_be_read_is_logged():
    logged: list[tuple[str, float]] = []
    completions = [r"\boxed{5}", r"\boxed{6}", r"\boxed{\frac{1}}", r"\boxed{x^}", r"\boxed{? ?}", "no box"]
    rewards = accuracy_reward(completions, answer=["5"] * 6, log_metric=lambda *metric: logged.append(metric))
    assert rewards == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert logged == [("unreadable_answers", unreadable) for unreadable in (0, 0, 1, 1, 1)]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"reply": ["5"]}, "there is no column 'answer' or 'solution'; give one of these names"),
        ({"solution": [None]}, "solution is null"),
        ({"answer": [" "]}, "answer is empty"),
        ({"answer": [["5", "five"]]}, "answer is a list, not text"),
        ({"solution": ["We see. " * 200]}, r"solution has 1600 characters.*put the final answer into \\boxed"),
    ],
)
def test_nothing_to_grade_by_is_refused_by_name(columns, message):
    with pytest.raises(DataError, match=message):
        accuracy_reward([FIVE], **columns)
