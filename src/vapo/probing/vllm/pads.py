"""Prompts as vLLM wants them: one image token per image, where transformers writes one per patch.

A processor of transformers expands the one image token of an image into as many as the image has features. vLLM
does that itself, to whatever it is sent: of n tokens it makes 2n - 1, and the policy is shown another prompt than the
one it is trained on (https://github.com/huggingface/trl/issues/6294). So runs are collapsed on the way in, and what
comes out is compared with what was meant, token by token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from vapo.core.image_names import name_image
from vapo.errors import ModelError

if TYPE_CHECKING:
    from PIL.Image import Image

VLLM_FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
"""`model_type` of the families whose prompts and probabilities were shown to be the same in vLLM and transformers."""


class PadRun(NamedTuple):
    """Where one image's tokens are in a prompt."""

    offset: int
    length: int


def check_vllm_family(config: Any) -> None:
    """Raise ModelError unless vLLM is known to show this family the prompt that transformers shows it."""
    family = getattr(config, "model_type", None)
    if family not in VLLM_FAMILIES:
        raise ModelError(
            f"use_vllm=True is not supported for {family!r}: that vLLM shows it the same prompt and the same weights "
            f"as transformers is proven for {', '.join(VLLM_FAMILIES)} only; leave use_vllm at False"
        )


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


def collapse_pads(ids: Sequence[int], image_token_id: int, num_images: int) -> list[int]:
    """Return `ids` with each run of image tokens as one token.

    Args:
        ids: a prompt as transformers' processor made it, or one that is collapsed already.
        image_token_id: what stands for images.
        num_images: images of the prompt, each of which must have a run of its own.

    Raises:
        ModelError: there are more or fewer runs than images, so it is unknown whose tokens they are.
    """
    runs = find_pad_runs(ids, image_token_id)
    if len(runs) != num_images:
        raise ModelError(
            f"the prompt has {num_images} images and {len(runs)} runs of image tokens, so it cannot be put to vLLM; "
            "the chat template must set a marker between two images, and no text may hold an image token"
        )
    inside = {place for run in runs for place in range(run.offset + 1, sum(run))}
    return [token for place, token in enumerate(ids) if place not in inside]


def make_vllm_prompt(ids: Sequence[int], images: Sequence[Image], image_token_id: int) -> dict[str, Any]:
    """Return the prompt that `vllm.LLM.generate` takes for expanded token ids and their images.

    Images go by names made of their pixels: one that was seen before is neither processed nor encoded again, and
    what follows it is found in the prefix cache, whether a rollout or a probe brought it first.
    """
    prompt: dict[str, Any] = {"prompt_token_ids": collapse_pads(ids, image_token_id, len(images))}
    if images:
        plain = [image if image.mode == "RGB" else image.convert("RGB") for image in images]
        prompt["multi_modal_data"] = {"image": plain}
        prompt["multi_modal_uuids"] = {"image": [name_image(image) for image in plain]}
    return prompt


def check_same_prompt(meant: Sequence[int], seen: Sequence[int], image_token_id: int) -> None:
    """Raise ModelError unless the engine saw the token ids it was meant to see.

    They differ where vLLM makes another number of tokens of an image, for example because its processor was read
    from the checkpoint while the trainer's was given other limits on pixels.
    """
    if list(meant) != list(seen):
        counts = [[run.length for run in find_pad_runs(ids, image_token_id)] for ids in (meant, seen)]
        raise ModelError(
            f"vLLM saw another prompt than the policy is trained on: images of {counts[1]} tokens instead of "
            f"{counts[0]}; save the processor with its settings into the model's folder, so that both read the same"
        )
