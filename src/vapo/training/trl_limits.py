"""What TRL 1.16 lacks for some models' images and experts: mended where it is little, else refused by name."""

from __future__ import annotations

import inspect
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from trl import GRPOTrainer
from trl.trainer import grpo_trainer

from vapo.errors import ConfigError, ModelError
from vapo.models.first_device import find_first_device
from vapo.models.images import process_images
from vapo.models.policy.inference import inference
from vapo.models.replaced_method import replaced_method

_MENDED = ("batch_num_images",)  # which TRL's method does not take either; see `passing_images_per_row`


def check_image_inputs(processor: Any, inputs: Mapping[str, Any]) -> None:
    """Refuse a processor that makes of images what TRL does not hand to a model in its updates.

    Args:
        processor: of the policy.
        inputs: what it made of a rollout's prompts, by name.

    Raises:
        ModelError: it names what that is.
    """
    taken = inspect.signature(GRPOTrainer._get_per_token_logps_and_entropies).parameters
    unknown = [name for name in inputs if name not in taken and name not in _MENDED]
    if unknown:
        raise ModelError(
            f"{type(processor).__name__} makes {', '.join(unknown)} of images, which TRL 1.16 hands to no model in "
            "updates, so the model cannot be trained; train another model (vapo evaluate and vapo diagnose "
            "take this one)"
        )


@contextmanager
def counting_tiles(processor: Any) -> Generator[None]:
    """Tell TRL how many tiles each image is cut into, where it asks an image processor that cannot be asked so.

    Where `pixel_values` has more rows than there are images, TRL 1.16 takes the rows for InternVL's tiles, and calls
    the image processor with an option of InternVL's.

    Args:
        processor: of the policy.
    """
    own = processor.image_processor
    processor.image_processor = _TileCounter(processor, own)
    try:
        yield
    finally:
        processor.image_processor = own


class _TileCounter:
    def __init__(self, processor: Any, own: Any) -> None:
        self._processor = processor
        self._own = own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def __call__(self, *args: Any, **options: Any) -> Any:
        asks_tiles = options.keys() == {"images", "crop_to_patches", "return_tensors"}  # as TRL does
        if not asks_tiles or hasattr(self._own, "crop_to_patches"):
            made = self._own(*args, **options)
            if not asks_tiles or "num_patches" in made:
                return made
        rows: Sequence[Sequence[Any]] = options["images"]
        images = [image for row in rows for image in row or ()]
        counts = [len(process_images(self._processor, [image]).tensors["pixel_values"]) for image in images]
        return {"num_patches": torch.tensor(counts)}


@contextmanager
def reference_attending_like_policy(model: Any) -> Generator[None]:
    """Make TRL load the reference model with the attention that each part of the policy has.

    TRL 1.16 asks the whole of it for the attention of the policy's top, which a part may not have (gpt-oss has "eager"
    alone).

    Args:
        model: the policy as the trainer takes it, a name or a model.
    """
    create = grpo_trainer.create_model_from_path
    made = [] if isinstance(model, str) else [model]

    def create_like(*args: Any, **options: Any) -> Any:
        if made:
            config = made[0].config
            parts = {name: getattr(config, name, None) for name in config.sub_configs}
            chosen = {name: part._attn_implementation for name, part in parts.items() if part is not None}
            if set(chosen.values()) - {config._attn_implementation}:
                options["attn_implementation"] = {"": config._attn_implementation, **chosen}
        made.append(create(*args, **options))
        return made[-1]

    with replaced_method(grpo_trainer, "create_model_from_path", create_like):
        yield


def check_router_loss(trainer: Any, *, collective: bool) -> None:
    """Refuse an auxiliary loss of a mixture of experts that the model cannot compute, tried on two tokens.

    Args:
        trainer: whose.
        collective: whether a forward pass is a collective call, which is not tried.

    Raises:
        ConfigError: it cannot.
    """
    if not trainer.aux_loss_enabled or collective:
        return
    model = trainer.model
    ids = torch.tensor([[trainer._tokenizer.eos_token_id] * 2], device=find_first_device(model))
    try:
        with inference(model), trainer.accelerator.autocast():
            loss = model(input_ids=ids, attention_mask=torch.ones_like(ids), output_router_logits=True).aux_loss
        said = "it gives none" if loss is None else None
    except Exception as error:  # a family's code raises what it likes
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if said is not None:
        raise ConfigError(
            f"{type(model).__name__} cannot compute the auxiliary loss of its experts ({said}), which router_aux_loss_"
            f"coef={trainer.router_aux_loss_coef:g} asks for; set router_aux_loss_coef=0"
        )
