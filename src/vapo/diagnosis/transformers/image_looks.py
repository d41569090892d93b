"""Where in its image a transformers model looks while it writes, and what a response is worth with parts grey."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from vapo.data.image_views import GREY
from vapo.diagnosis.transformers.attention_ratio import weights_on_image
from vapo.errors import ModelError
from vapo.models.image_features import find_feature_module
from vapo.models.image_regions import ImageRegions, find_regions
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.inference import inference
from vapo.models.policy.prompt_writer import PromptWriter
from vapo.models.policy.rollout_row import lay_row, reading_row
from vapo.models.vision_tokens import find_image_token_id
from vapo.types import Rollout, Sample

_TRIAL_SIZE = (112, 84)
_TRIED = 5  # tokens whose part of the picture is painted
_LEAST_OWN = 0.05  # log of how much more a token changes than others do, where its own part is painted


class ImageLooks:
    """Where a model looks; what is found of an image's size is kept."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._token = find_image_token_id(find_feature_module(policy.model).config)
        self._regions: dict[tuple[int, int], ImageRegions] = {}

    def locate(self, size: tuple[int, int]) -> ImageRegions:
        """Return what each token of an image of a size shows. Raises ModelError where that is not known."""
        if size not in self._regions:
            self._regions[size] = find_regions(self._policy.processor, self._token, size)
        return self._regions[size]

    def map_attention(self, rollout: Rollout) -> NDArray[np.float32]:
        """Return the attention on each cell of the rollout's one image; shape (layers, tokens, rows, columns).

        Averaged over heads. Its sum over cells is the attention on the image, as `attention_on_image` has it.

        Raises:
            ModelError: there is not one image, its tokens cannot be located, or attention cannot be measured.
        """
        sample = rollout.sample
        if len(sample.images) != 1:
            raise ModelError(f"sample {sample.id!r} has {len(sample.images)} images; maps are made of one")
        regions = self.locate(sample.images[0].size)
        weights = weights_on_image(self._policy.model, self._policy.processor, rollout).numpy()
        if weights.shape[-1] != len(regions.boxes):
            raise ModelError(
                f"sample {sample.id!r}: its prompt has {weights.shape[-1]} image tokens where an image of its size "
                f"has {len(regions.boxes)}; maps are made of responses whose prompt holds the image once"
            )
        return regions.spread(weights.astype(np.float64)).astype(np.float32)

    def score(self, rollout: Rollout, start: int) -> float:
        """Return the mean log-probability of completion tokens `start` and later, in nats; at temperature 1."""
        row = lay_row(self._policy, rollout)
        count = len(rollout.completion_ids) - start
        with inference(self._policy.model), reading_row(self._policy, row):
            logits = self._policy.model(**row.inputs, use_cache=False, logits_to_keep=count + 1).logits[
                0, -count - 1 :
            ]
        ids = torch.tensor(rollout.completion_ids[start:], device=logits.device)
        chosen = logits[:-1].float().log_softmax(-1).gather(-1, ids[:, None])
        return float(chosen.mean())


def grey_cells(image: Image.Image, cells: NDArray[np.bool_]) -> Image.Image:
    """Return an image, in RGB, with the cells of a grid over it painted grey.

    Args:
        image: any.
        cells: which; shape (rows, columns). A pixel belongs to the cell that its centre lies in.
    """
    pixels = np.array(image.convert("RGB"))
    down, across = (
        ((np.arange(side) + 0.5) / side * count).astype(int)
        for side, count in zip(pixels.shape[:2], cells.shape, strict=True)
    )
    pixels[cells[down[:, None], across]] = GREY
    return Image.fromarray(pixels)


def find_looks_obstacle(policy: Policy) -> str | None:
    """Return why it is not known where a model's image tokens lie, or None.

    Parts of a picture of noise that tokens are said to show are painted grey, one at a time. With D_ij the relative
    change of token j's embedding when token i's part is painted, and rows and columns of log D centred, what lies on
    the diagonal must be above nothing, and its sum above that of any other assignment of parts to tokens.
    """
    try:
        regions = ImageLooks(policy).locate(_TRIAL_SIZE)
        rng = np.random.default_rng(0)
        picture = rng.integers(0, 256, (*_TRIAL_SIZE[::-1], 3), dtype=np.uint8)
        plain = _embed(policy, picture)
        sizes = np.prod(regions.boxes[:, 2:] - regions.boxes[:, :2], axis=1)
        finest = np.flatnonzero(sizes < 1.5 * sizes.min())
        tried = rng.choice(finest, min(_TRIED, len(finest)), replace=False)
        logs = np.log([_change(policy, picture, regions.boxes[number], plain)[tried] + 1e-12 for number in tried])
        own = logs - logs.mean(0) - logs.mean(1, keepdims=True) + logs.mean()
        sums = [own[range(len(tried)), order].sum() for order in permutations(range(len(tried)))]
        if own.trace() < _LEAST_OWN * len(tried) or sums[0] < max(sums):
            return (
                f"{policy.name} mixes the features of its image, so its image tokens do not show parts of it; leave "
                "out where the model looks"
            )
    except ModelError as error:
        return str(error)
    return None


def _change(
    policy: Policy, picture: NDArray[np.uint8], box: NDArray[np.float64], plain: torch.Tensor
) -> NDArray[np.float32]:
    """Return each image token's relative change when a box is painted grey."""
    scale = np.tile(_TRIAL_SIZE, 2)
    left, top, right, bottom = np.clip(np.rint(box * scale), 0, scale).astype(int)
    painted = picture.copy()
    painted[top:bottom, left:right] = GREY
    return ((_embed(policy, painted) - plain).norm(dim=-1) / plain.norm(dim=-1)).numpy()


def _embed(policy: Policy, picture: NDArray[np.uint8]) -> torch.Tensor:
    """Return the embeddings that the language model reads in an image's tokens; shape (n, hidden size)."""
    module: Any = find_feature_module(policy.model)
    sample = Sample("trial", images=(Image.fromarray(picture),), question="?", answer="?")
    rollout = Rollout(sample, tuple(PromptWriter(policy, None).write(sample).ids), (), ())
    row = lay_row(policy, rollout)
    seen: list[torch.Tensor] = []
    handle = module.get_decoder().register_forward_pre_hook(
        lambda _module, _args, inputs: seen.append(inputs["inputs_embeds"]), with_kwargs=True
    )
    try:
        with inference(policy.model), reading_row(policy, row):
            policy.model(**row.inputs, use_cache=False, logits_to_keep=1)
    finally:
        handle.remove()
    return seen[0][0, row.is_image[0].bool()].float().cpu()


def show_grey(rollout: Rollout, cells: NDArray[np.bool_]) -> Rollout:
    """Return the rollout with cells of its image grey."""
    sample = rollout.sample
    return replace(rollout, sample=replace(sample, images=(grey_cells(sample.images[0], cells),)))
