"""Images that an algorithm puts in the place of a row's own: those to sample from, and a second view to score behind.

Everything else sees the row's own images: claims, rewards, the update.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from trl import GRPOTrainer
from trl.data_utils import apply_chat_template, prepare_multimodal_messages
from trl.trainer.utils import split_pixel_values_by_grid

from vapo.algorithms.algorithm import Algorithm, SecondView
from vapo.algorithms.sampled_images import choose_images
from vapo.data.image_views import change_image
from vapo.errors import ConfigError, DataError, ModelError
from vapo.training.rollout_batch import RolloutPosition, count_rollouts, find_progress
from vapo.training.rows import list_images

VIEW_DRAWS = 3  # keeps these generators apart from others with the same seed
SECOND = "second_pixel_values"
"""What TRL's batches call the second view: a list of one tensor for each row, as TRL itself splits `pixel_values`."""


class OtherImages:
    """Puts the images of an algorithm into TRL's rollouts and batches.

    Args:
        trainer: rolls out; its processor makes tensors of images.
        algorithm: says which images.

    Raises:
        ConfigError: the engine cannot sample members of a group from different images.
    """

    def __init__(self, trainer: GRPOTrainer, algorithm: Algorithm) -> None:
        self._trainer: Any = trainer
        self._algorithm = algorithm
        if algorithm.needs.sampled_images and trainer.use_vllm:
            raise ConfigError(
                "the algorithm samples members of a group from different images, and TRL gives vLLM one prompt for "
                "all of them; set use_vllm=False"
            )

    def roll_out(
        self,
        generate: Callable[[list[Any]], tuple[Any, ...]],
        prompts: list[Any],
        rows: Sequence[Mapping[str, Any]],
        places: int | Sequence[int],
    ) -> tuple[Any, ...]:
        """Return what TRL's `_generate` makes of rows, sampled from the images that the algorithm chooses.

        Args:
            generate: TRL's.
            prompts: of the rows, with their own images.
            rows: of the data set.
            places: of each among the rows of all processes, or of the first where they follow each other.

        Raises:
            ConfigError: an image differs in size, so that its prompt would have other tokens.
        """
        if not self._algorithm.needs.sampled_images or not self._trainer.model.training:
            return generate(prompts)
        places = range(places, places + len(rows)) if isinstance(places, int) else places
        own = [list_images(row) for row in rows]
        trainer, number, progress = self._trainer, count_rollouts(self._trainer), find_progress(self._trainer)
        chosen = [
            choose_images(
                self._algorithm,
                images,
                seed=trainer.args.probe_seed,
                place=[number, place],
                member=place % trainer.num_generations,
                group_size=trainer.num_generations,
                progress=progress,
            )
            for images, place in zip(own, places, strict=True)
        ]
        *generated, _, tool_images = generate(write_prompts(rows, chosen))
        return (*generated, own, tool_images)

    def add_second_view(
        self, output: dict[str, Any], rows: Sequence[Mapping[str, Any]], place: RolloutPosition
    ) -> None:
        """Put the second view of a batch's images beside the first, if the algorithm needs one.

        Raises:
            DataError: no row has an image.
            ModelError: the model's processor makes tensors of another shape of images of the same size.
        """
        view = self._algorithm.needs.second_view
        if view is None:
            return
        if "pixel_values" not in output:
            raise DataError("the algorithm needs a second view of the image, and the rows have no images; add them")
        images = [
            [change_image(image, view.kind, view.strength, rng, view.patch_pixels) for image in list_images(row)]
            for row, rng in zip(rows, (self._seed(place, view, n) for n in range(len(rows))), strict=True)
        ]
        processor, options = self._trainer.processing_class, self._trainer.chat_template_kwargs
        texts = [
            apply_chat_template({"prompt": prompt}, processor, tools=None, **options)["prompt"]
            for prompt in write_prompts(rows, images)
        ]
        seen = processor(images=images, text=texts, padding=True, return_tensors="pt")["pixel_values"]
        first = output["pixel_values"]
        if seen.shape != first.shape:
            raise ModelError(
                f"the processor makes tensors of the shape {tuple(first.shape)} of images and {tuple(seen.shape)} of "
                "their second view, so the two cannot be compared; use another model"
            )
        split: Any = split_pixel_values_by_grid({**output, "pixel_values": seen.to(first)})["pixel_values"]
        output[SECOND] = split if isinstance(split, list) else list(split.split(1))

    def _seed(self, place: RolloutPosition, view: SecondView, row: int) -> np.random.Generator:
        group, member = divmod(place.first + row, place.group_size)
        own = [member] if view.per_response else []
        return np.random.default_rng([place.seed, VIEW_DRAWS, int(place.training), place.number, group, *own])


def show_second(batch: Mapping[str, Any]) -> dict[str, Any]:
    """Return a batch with the second view in the place of the first."""
    return {**batch, "pixel_values": torch.cat(batch[SECOND])}


def write_prompts(rows: Sequence[Mapping[str, Any]], images: Sequence[list[Any]]) -> list[Any]:
    """Return rows of a data set as the prompts that TRL makes of them, with these images."""
    return [prepare_multimodal_messages(row["prompt"], images=own) for row, own in zip(rows, images, strict=True)]
