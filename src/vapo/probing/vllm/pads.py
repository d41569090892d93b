"""Where the tokens of images are in a prompt, which vLLM and transformers must agree on.

A processor of transformers expands what stands for an image into as many image tokens as the image has features, and
into what marks its ends, rows or tiles. vLLM does that itself to whatever it is sent, so that a prompt which is
expanded already would get an image's tokens twice (https://github.com/huggingface/trl/issues/6294). So vLLM expands
images in a prompt of its own, and what it made of them is pointed at their tokens in the policy's prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from vapo.errors import ModelError

VLLM_FAMILIES = (
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3_vl",
    "idefics3",
    "smolvlm",
    "internvl",
    "llava",
    "llava_next",
    "glm4v",
    "mistral3",
)
"""`model_type` of the families whose prompts and probabilities were shown to be the same in vLLM and transformers."""

REASONS = {
    "gemma3": "on a CPU, vLLM 0.31 lets an image's tokens see only those before them, and on a GPU it is untested",
    "qwen3_5": "vLLM 0.31 does not read its vision configuration",
    "qwen3_5_moe": "vLLM 0.31 does not read its vision configuration",
    "llava_onevision": "of several images in a prompt, vLLM 0.31 makes other tokens than transformers",
}
"""Why others are refused, where it is known."""


class PadRun(NamedTuple):
    """Where image tokens without others between them are in a prompt."""

    offset: int
    length: int


class Expansion(NamedTuple):
    """What vLLM made of one image: the tokens, and which of them features take the place of."""

    ids: tuple[int, ...]
    is_feature: tuple[bool, ...]


def check_vllm_family(config: Any) -> None:
    """Raise ModelError unless vLLM is known to show this family the prompt that transformers shows it."""
    family = getattr(config, "model_type", None)
    if family not in VLLM_FAMILIES:
        proven = ", ".join(VLLM_FAMILIES)
        unproven = f"that vLLM shows it the same prompt and the same weights is proven for {proven} only"
        reason = REASONS.get(str(family), unproven)
        raise ModelError(f"use_vllm=True is not supported for {family!r}: {reason}; leave use_vllm at False")


def find_pad_runs(ids: Sequence[int], image_token_id: int) -> list[PadRun]:
    """Return the runs of image tokens in `ids`, in order."""
    runs: list[PadRun] = []
    for place, token in enumerate(ids):
        if token != image_token_id:
            continue
        if runs and sum(runs[-1]) == place:
            runs[-1] = PadRun(runs[-1].offset, runs[-1].length + 1)
        else:
            runs.append(PadRun(place, 1))
    return runs


def find_images(ids: Sequence[int], image_token_id: int, made: Sequence[Expansion]) -> list[int]:
    """Return the place in `ids` at which each image's tokens begin, as vLLM expands it.

    Tokens must be the same from an image's first feature to its last. Around them, what vLLM begins and ends an image
    with may have become one token with text beside it, as Gemma 3's newlines do.

    Args:
        ids: a prompt as transformers' processor expanded it, and text behind it.
        image_token_id: what stands for images.
        made: what vLLM made of the prompt's images, in order.

    Raises:
        ModelError: the prompt has other tokens for its images, or image tokens that belong to none.
    """
    places = [place for place, token in enumerate(ids) if token == image_token_id]
    begins: list[int] = []
    used = 0
    same = sum(sum(own.is_feature) for own in made) == len(places)
    for tokens, is_feature in made if same else ():
        first, behind = is_feature.index(True), len(is_feature) - is_feature[::-1].index(True)
        inside, begin = tokens[first:behind], places[used] - first
        same = same and begin >= 0 and begin + len(tokens) <= len(ids)
        same = same and tuple(ids[places[used] : places[used] + len(inside)]) == inside
        same = same and is_feature[first:behind] == tuple(token == image_token_id for token in inside)
        begins.append(begin)
        used += sum(is_feature)
    if not same:
        runs = [run.length for run in find_pad_runs(ids, image_token_id)]
        raise ModelError(
            f"vLLM would see another prompt than the policy is trained on: images of "
            f"{[sum(own.is_feature) for own in made]} tokens where the prompt has runs of {runs}, or other marks "
            "between them; save the processor with its settings into the model's folder, so that both read the same, "
            "and keep image tokens out of texts"
        )
    return begins
