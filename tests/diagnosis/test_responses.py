from __future__ import annotations

from dataclasses import replace

import pytest
from diagnosis.scripted_model import as_rollout, make_question

from vapo.core.boundaries import THINK_TAGS
from vapo.diagnosis.responses import Response, read_response

RESPONSE = "<think>ab, cd. ef! gh?</think>\\boxed{8}"
# One token per character: "<think>" is 7 tokens, the thinking part 7..22, boundaries behind , . ! ? at 10, 14, 18, 22.


def read(text: str, tags: tuple[str, str] = THINK_TAGS, max_tokens: int = 1000) -> Response:
    return read_response(as_rollout(make_question("q"), text), tags=tags, max_tokens=max_tokens)


def test_a_response_is_graded_and_can_be_cut_at_its_boundaries():
    response = read(RESPONSE)
    assert response.thinking == (7, 22) and response.boundaries == (10, 14, 18, 22)
    assert response.tagged and response.finished and response.right and response.answer == "8" and response.notes == ()
    # 7 + 15 d: 0.2 -> 10; 0.4 -> 13, nearest 14; 0.6 -> 16, of 14 and 18 the earlier; 0.75 -> 18.25; 1 -> 22
    assert [response.cut_near(depth) for depth in (0, 0.05, 0.2, 0.4, 0.6, 0.75, 1)] == [7, 10, 10, 14, 14, 18, 22]


@pytest.mark.parametrize(
    ("text", "thinking", "note"),
    [
        ("<think>no mark here</think>\\boxed{8}", (7, 19), "no logical boundary"),
        ("<think>ab, cd.</think>It is 8", (7, 14), "no answer"),
        ("<think>ab.</think>cd.</think>\\boxed{8}", (7, 10), "closes its thinking 2 times"),
    ],
)
def test_odd_responses_are_noted(text: str, thinking: tuple[int, int], note: str):
    response = read(text)
    assert response.thinking == thinking and len(response.notes) == 1 and note in response.notes[0]


def test_a_response_without_boundary_can_be_cut_at_its_start_alone():
    response = read("<think>no mark here</think>\\boxed{8}")
    assert response.cut_near(0) == 7 and response.cut_near(0.5) is None


def test_without_tags_the_response_is_what_stands_before_the_answer():
    response = read("I see 3, then 5. So it is \\boxed{8}. Good, bye.")
    assert not response.tagged and response.right
    assert response.thinking == (0, 26) and response.boundaries == (8, 16)
    unanswered = read("I see 3, then 5.")
    assert unanswered.thinking == (0, 17) and unanswered.answer is None


def test_a_model_may_have_tags_of_its_own():
    response = read("[THINK]ab, cd.[/THINK]\\boxed{8}", ("[THINK]", "[/THINK]"))
    assert response.tagged and response.thinking == (7, 14) and response.boundaries == (10, 14) and response.right
    assert not read("[THINK]ab, cd.[/THINK]\\boxed{8}").tagged


def test_a_response_that_fills_the_longest_length_without_end_was_cut_off():
    text = "<think>ab, cd."
    rollout = as_rollout(make_question("q"), text)  # 14 characters and an end token
    assert read_response(rollout, tags=THINK_TAGS, max_tokens=15).finished
    shorter = replace(rollout, completion_ids=rollout.completion_ids[:14], token_texts=rollout.token_texts[:14])
    response = read_response(shorter, tags=THINK_TAGS, max_tokens=14)
    assert not response.finished and "cut off at 14 tokens" in response.notes[0]
