from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from prober_contract import make_sample

from vapo.data.image_views import GREY, change_image, leave_out_images, mask_images, scale_image
from vapo.errors import ConfigError


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image)


def test_blank_is_grey_and_keeps_sizes():
    sample = make_sample("pair", (30, 20), num_images=2)
    for image in mask_images(sample).images:
        assert image.size == (30, 20) and (pixels(image) == GREY).all()


@pytest.mark.parametrize("kind", ["patches", "grey", "noise", "blur"])
def test_views_keep_the_size_and_grow_with_their_strength(kind):
    image = make_sample("a", (60, 40)).images[0]
    views = [change_image(image, kind, strength, np.random.default_rng(1)) for strength in (0.0, 0.2, 1.0)]
    moved = [np.abs(pixels(view).astype(float) - pixels(image)).mean() for view in views]
    assert all(view.size == (60, 40) and view.mode == "RGB" for view in views)
    assert moved[0] == 0 < moved[1] < moved[2]


def test_views_at_full_strength():
    image, rng = make_sample("a", (60, 40)).images[0], np.random.default_rng(1)
    assert not pixels(change_image(image, "patches", 1.0, rng)).any()
    assert (pixels(change_image(image, "grey", 1.0, rng)) == GREY).all()
    edge = Image.fromarray(np.repeat(np.array([0, 255], np.uint8), 20)[None, :, None].repeat(9, 0).repeat(3, 2))
    blurred = pixels(change_image(edge, "blur", 0.25, rng, patch_pixels=8))[4, :, 0]
    # Two pixels from an edge, a Gaussian of a standard deviation of 2 has 1 - Phi(0.75..1.25) of the other side.
    assert (
        16 <= blurred[18] <= 82 and 255 - 82 <= blurred[21] <= 255 - 16 and (np.diff(blurred.astype(int)) >= 0).all()
    )


@pytest.mark.parametrize("masking", ["noise", "patches"])
def test_draws_depend_on_seed_and_sample_alone(masking):
    sample = make_sample("a", (300, 200))
    first, again = mask_images(sample, masking, seed=1), mask_images(sample, masking, seed=1)
    assert (pixels(first.images[0]) == pixels(again.images[0])).all()
    for other in (mask_images(sample, masking, seed=2), mask_images(replace(sample, id="b"), masking, seed=1)):
        assert (pixels(first.images[0]) != pixels(other.images[0])).any()


def test_noise_has_nothing_of_the_image():
    light = Image.new("RGB", (64, 64), (255, 255, 255))
    dark = Image.new("RGB", (64, 64))
    sample = make_sample("a")
    noisy = [mask_images(replace(sample, images=(image,)), "noise").images[0] for image in (light, dark)]
    assert (pixels(noisy[0]) == pixels(noisy[1])).all()


def test_patches_are_black_or_as_they_were():
    sample = replace(make_sample("a"), images=(Image.new("L", (280, 140), 200),))
    masked = pixels(mask_images(sample, "patches").images[0])
    assert masked.shape == (140, 280, 3)
    patches = masked.reshape(10, 14, 20, 14, 3).transpose(0, 2, 1, 3, 4).reshape(200, -1)
    assert ((patches == 0).all(1) | (patches == 200).all(1)).all()
    assert abs((patches == 0).all(1).mean() - 0.6) < 0.1


def test_patches_at_the_edge_are_cut():
    assert mask_images(make_sample("a", (15, 29)), "patches").images[0].size == (15, 29)


def test_unknown_masking():
    with pytest.raises(ConfigError, match="masking is 'grey'; it must be one of blank, noise, patches"):
        mask_images(make_sample("a"), "grey")


@pytest.mark.parametrize(
    ("question", "left"), [("What is it?", "What is it?"), ("<image>What is <image>?", "What is ?"), ("", "")]
)
def test_places_go_with_the_images(question, left):
    sample = leave_out_images(replace(make_sample("a"), question=question))
    assert sample.images == () and sample.question == left


def test_scale():
    image = make_sample("a", (101, 4)).images[0]
    assert scale_image(image, 0.5).size == (50, 2)
    assert scale_image(image, 0.01).size == (1, 1)


@pytest.mark.parametrize("scale", [0, -1, 1.5, float("nan")])
def test_scale_out_of_range(scale):
    with pytest.raises(ConfigError, match="scale is"):
        scale_image(make_sample("a").images[0], scale)
