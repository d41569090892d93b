from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vapo.errors import ModelError
from vapo.probing.vllm.pads import Expansion, check_vllm_family, find_images, find_pad_runs

PAD, START, ROW, END = 9, 7, 6, 8
TEXT = st.lists(st.integers(0, 5), max_size=5)


@st.composite
def prompts(draw) -> tuple[list[int], list[Expansion], list[int]]:
    """A prompt, its images as vLLM makes them in a prompt of its own, and where they begin."""
    ids, made, begins = draw(TEXT), [], []
    for rows in draw(st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=4), max_size=4)):
        tokens = [START]
        for columns in rows:
            tokens += [*[PAD] * columns, ROW]
        tokens[-1] = END
        made.append(Expansion(tuple(tokens), tuple(token == PAD for token in tokens)))
        begins.append(len(ids))
        ids = [*ids, *tokens, *draw(TEXT)]
    return ids, made, begins


def made_of(*tokens: int) -> Expansion:
    return Expansion(tokens, tuple(token == PAD for token in tokens))


@given(prompts())
def test_images_are_found_where_they_are(prompt):
    ids, made, begins = prompt
    assert find_images(ids, PAD, made) == begins
    assert sum(run.length for run in find_pad_runs(ids, PAD)) == ids.count(PAD)
    for run in find_pad_runs(ids, PAD):
        assert set(ids[run.offset : sum(run)]) == {PAD}


def test_worked_example():
    ids = [1, START, PAD, PAD, ROW, PAD, END, 2, START, PAD, END]
    assert find_pad_runs(ids, PAD) == [(2, 2), (5, 1), (9, 1)]
    assert find_images(ids, PAD, [made_of(START, PAD, PAD, ROW, PAD, END), made_of(PAD)]) == [1, 9]


def test_text_may_run_into_what_begins_and_ends_an_image():
    """Gemma 3: two newlines before an image and the line break of the text are one token of three."""
    assert find_images([1, 3, START, PAD, END, 4, 2], PAD, [made_of(2, START, PAD, END, 2)]) == [1]


@pytest.mark.parametrize(
    ("ids", "made"),
    [
        ([1, PAD, PAD, 2], []),  # a row of text that holds image tokens
        ([1, 2], [made_of(PAD)]),
        ([PAD, PAD], [made_of(PAD, PAD, PAD)]),  # other limits on pixels
        ([START, PAD, END, 3, PAD], [made_of(PAD)]),  # one that the policy sampled itself
        ([PAD, ROW, PAD, END, PAD, PAD], [made_of(PAD, PAD, ROW, PAD, PAD)]),  # the same tiles, marked otherwise
        ([PAD], [made_of(START, PAD)]),  # no place for what begins it
        ([PAD, PAD], [Expansion((PAD, PAD), (True, False))]),  # features elsewhere than at image tokens
    ],
)
def test_a_prompt_whose_images_vllm_would_make_otherwise_is_refused(ids, made):
    with pytest.raises(ModelError, match=r"vLLM would see another prompt .* save the processor"):
        find_images(ids, PAD, made)


def test_the_error_counts_tokens():
    with pytest.raises(ModelError, match=r"images of \[3\] tokens where the prompt has runs of \[2\]"):
        find_images([1, PAD, PAD], PAD, [made_of(PAD, PAD, PAD)])


def test_families_are_refused_by_name():
    for family in ("qwen2_5_vl", "idefics3", "internvl", "llava"):
        check_vllm_family(SimpleNamespace(model_type=family))
    with pytest.raises(ModelError, match=r"'blip-2'.*proven for .*qwen2_5_vl"):
        check_vllm_family(SimpleNamespace(model_type="blip-2"))
    for family, reason in (("gemma3", "only those before them"), ("llava_onevision", "several images")):
        with pytest.raises(ModelError, match=f"use_vllm=True is not supported for '{family}'.*{reason}"):
            check_vllm_family(SimpleNamespace(model_type=family))
