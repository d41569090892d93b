from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vapo.core.image_names import name_image
from vapo.errors import ModelError
from vapo.probing.vllm.pads import (
    check_same_prompt,
    check_vllm_family,
    collapse_pads,
    find_pad_runs,
    make_vllm_prompt,
)

PAD, START, END = 9, 7, 8
TEXT = st.lists(st.integers(0, 6), max_size=5)


@st.composite
def prompts(draw) -> tuple[list[int], list[int], int]:
    """A prompt with one image token per image, the same expanded, and the number of images."""
    short, expanded = draw(TEXT), []
    expanded += short
    counts = draw(st.lists(st.integers(1, 12), max_size=4))
    for count in counts:
        behind = draw(TEXT)
        short = [*short, START, PAD, END, *behind]
        expanded = [*expanded, START, *[PAD] * count, END, *behind]
    return short, expanded, len(counts)


def image(seed: int, size: tuple[int, int] = (4, 3), mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3)).astype("uint8")
    return Image.fromarray(pixels).convert(mode)


@given(prompts())
def test_an_expanded_prompt_becomes_what_it_was_before(prompt):
    short, expanded, num_images = prompt
    assert collapse_pads(expanded, PAD, num_images) == short
    assert collapse_pads(tuple(short), PAD, num_images) == short
    assert sum(run.length for run in find_pad_runs(expanded, PAD)) == expanded.count(PAD)
    for run in find_pad_runs(expanded, PAD):
        assert set(expanded[run.offset : sum(run)]) == {PAD}


def test_worked_example():
    ids = [1, START, PAD, PAD, PAD, END, 2, START, PAD, END]
    assert find_pad_runs(ids, PAD) == [(2, 3), (8, 1)]
    assert collapse_pads(ids, PAD, 2) == [1, START, PAD, END, 2, START, PAD, END]


@pytest.mark.parametrize(
    ("ids", "num_images"),
    [
        ([1, PAD, PAD, 2], 0),  # a row of text that holds image tokens
        ([1, 2], 1),
        ([PAD, PAD, PAD], 2),  # two images without a marker between them
        ([START, PAD, END, 3, PAD], 1),  # one that the policy sampled itself
    ],
)
def test_runs_that_do_not_fit_the_images_are_refused(ids, num_images):
    with pytest.raises(ModelError, match=f"the prompt has {num_images} images and .* runs of image tokens"):
        collapse_pads(ids, PAD, num_images)


def test_text_alone_goes_without_images():
    assert make_vllm_prompt([1, 2, 3], [], PAD) == {"prompt_token_ids": [1, 2, 3]}


def test_images_go_by_names_made_of_what_is_seen():
    prompt = make_vllm_prompt([START, PAD, PAD, END], [image(0)], PAD)
    assert prompt["prompt_token_ids"] == [START, PAD, END]
    assert prompt["multi_modal_uuids"]["image"] == [name_image(image(0))]
    see_through = make_vllm_prompt([PAD], [image(0, mode="RGBA")], PAD)
    assert see_through["multi_modal_data"]["image"][0].mode == "RGB"
    assert see_through["multi_modal_uuids"] == prompt["multi_modal_uuids"]
    different = [image(1), image(0, (3, 4)), image(0, (6, 2)), image(0).transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    names = {name_image(one) for one in [image(0), *different]}
    assert len(names) == 5


def test_another_prompt_than_meant_is_an_error():
    check_same_prompt((1, PAD, PAD), [1, PAD, PAD], PAD)
    with pytest.raises(ModelError, match=r"images of \[3\] tokens instead of \[2\]; save the processor"):
        check_same_prompt([1, PAD, PAD], [1, PAD, PAD, PAD], PAD)


def test_families_are_refused_by_name():
    check_vllm_family(SimpleNamespace(model_type="qwen2_5_vl"))
    for family in ("llava", "idefics3", "gemma3", "internvl"):
        with pytest.raises(ModelError, match=f"use_vllm=True is not supported for '{family}'.*qwen2_5_vl"):
            check_vllm_family(SimpleNamespace(model_type=family))
