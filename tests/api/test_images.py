from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from vapo.api.client import make_message
from vapo.api.images import encode_lossless
from vapo.claims.store.images import encode_stored_image
from vapo.core.image_names import name_image
from vapo.errors import ConfigError


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def drawing(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), "teal")


def decode(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize(
    ("image", "media_type", "is_exact"),
    [
        (noise(64, 64), "image/png", True),
        (drawing(900, 900), "image/png", True),
        (noise(600, 400), "image/jpeg", False),
    ],
)
def test_drawings_are_kept_without_loss_and_photographs_small(image, media_type, is_exact):
    stored = encode_stored_image(image)
    assert (stored.media_type, stored.width, stored.height) == (media_type, *image.size)
    assert stored.name == name_image(image)
    decoded = decode(stored.content)
    assert decoded.format == media_type.removeprefix("image/").upper() and decoded.size == image.size
    assert (name_image(decoded.convert("RGB")) == stored.name) == is_exact


@pytest.mark.parametrize(("width", "height"), [(2000, 1000), (1000, 2000), (3, 100_000), (1, 1_000_000)])
def test_what_is_sent_has_no_more_pixels_than_the_limit_and_the_same_shape(width, height):
    stored = encode_stored_image(drawing(width, height), max_pixels=10_000)
    sent = decode(stored.content)
    assert (stored.width, stored.height) == (width, height) and sent.width * sent.height <= 10_000
    if min(width, height) > 100:
        assert sent.width / sent.height == pytest.approx(width / height, rel=0.02)


def test_the_name_does_not_depend_on_the_limit():
    image = noise(400, 300)
    assert encode_stored_image(image, 1000).name == encode_stored_image(image).name


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_other_modes_are_converted(mode):
    assert decode(encode_stored_image(noise(20, 20).convert(mode)).content).mode == "RGB"


def test_a_limit_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="max_pixels is 0"):
        encode_stored_image(drawing(2, 2), 0)


def test_the_text_stands_before_the_images():
    images = [encode_stored_image(noise(8, 8)), encode_stored_image(drawing(8, 8))]
    message = make_message("Look.", images)
    assert message["role"] == "user"
    assert [part["type"] for part in message["content"]] == ["text", "image_url", "image_url"]
    url = message["content"][2]["image_url"]["url"]
    assert base64.b64decode(url.removeprefix("data:image/png;base64,")) == images[1].content


def test_what_is_without_loss_has_the_bytes_that_trl_sends():
    """vLLM tells images apart by their bytes, so that others would not be found in its caches."""
    from trl.generation.vllm_client import pil_to_base64

    image = noise(64, 48)
    assert base64.b64encode(encode_lossless(image).content).decode() == pil_to_base64(image)
