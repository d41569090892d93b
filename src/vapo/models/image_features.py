"""From images to features, once for all questions about them.

Every family of transformers 5 turns images into features in one method, `get_image_features`; that is enough to
share them between rows. A model without it is refused by name.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any, cast

import torch

from vapo.errors import ModelError
from vapo.models.images import ImageInputs
from vapo.models.replaced_method import replaced_method

_DEEPER = "deepstack_features"
_OWN_STATES = ("last_hidden_state", "hidden_states", "attentions")  # of the vision part, as they were on the way
_JOINED = (torch.Tensor, list, tuple)


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """What `get_image_features` returned for one prompt: per-image features, and those of deeper layers if any."""

    output: Any


def find_feature_module(model: torch.nn.Module) -> Any:
    """Return the innermost module that turns images into features, below any wrapper (PEFT, DDP, FSDP).

    Raises:
        ModelError: there is none, or the model is an encoder-decoder.
    """
    modules = [module for module in model.modules() if hasattr(module, "get_image_features")]
    if not modules:
        raise ModelError(
            f"{type(model).__name__} has no get_image_features, so it is no vision-language model that can be probed; "
            "use a model class such as Qwen2_5_VLForConditionalGeneration or LlavaForConditionalGeneration"
        )
    check_decoder_alone(modules[-1].config)
    return modules[-1]


def check_decoder_alone(config: Any) -> None:
    """Raise ModelError if a model's prompts and responses are read by two parts, an encoder and a decoder."""
    if any(getattr(one, "is_encoder_decoder", False) for one in (config, getattr(config, "text_config", None))):
        raise ModelError(
            f"a {config.model_type!r} model reads prompts with an encoder and responses with a decoder, so a question "
            "behind a cut would not be text that goes on; use a model with a decoder alone, such as Qwen2.5-VL, "
            "Qwen3-VL or LLaVA"
        )


def freeze_vision(model: torch.nn.Module) -> int:
    """Take everything outside the language model out of training; return how many parameters that are.

    Raises:
        ModelError: the model does not say which part of it is the language model.
    """
    module = find_feature_module(model)
    decoder = _find_decoder(module, "train it too")
    language = {id(parameter) for parameter in decoder.parameters()}
    vision = [parameter for parameter in module.parameters() if id(parameter) not in language]
    for parameter in vision:
        parameter.requires_grad_(False)
    return sum(parameter.numel() for parameter in vision)


def keep_batch_statistics(model: torch.nn.Module) -> None:
    """Make layers that normalise by batches go by the statistics they have learned, in training too.

    Else a row's log-probabilities would depend on the rows beside it, and differ from those it was sampled with.

    Args:
        model: the model, for as long as there is one.
    """

    def keep(module: torch.nn.Module, _: Any) -> None:
        module.eval()

    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):  # pyright: ignore[reportPrivateUsage]
            module.register_forward_pre_hook(keep)


def _find_decoder(module: Any, remedy: str) -> Any:
    # transformers 5 gives every model with a vision part this method; where it knows of no such part, it returns the
    # model itself.
    decoder = module.get_decoder()
    if decoder is module:
        raise ModelError(
            f"{type(module).__name__} does not say which part of it is the language model, so its vision part cannot "
            f"be told; {remedy}"
        )
    return decoder


def name_language_layers(model: Any) -> str:
    """Return a pattern of the names of all linear layers of the language model, for adapters.

    Raises:
        ModelError: the model does not say which part of it is the language model.
    """
    decoder = _find_decoder(find_feature_module(model), "name the layers to adapt with lora_target_modules")
    (place,) = [name for name, module in model.named_modules() if module is decoder]
    linear = {
        re.sub(r"(?<=\.)\d+", r"\\d+", re.escape(name))
        for name, own in decoder.named_modules()
        if isinstance(own, torch.nn.Linear)
    }
    return rf".*{re.escape(place)}\.({'|'.join(sorted(linear))})"


def name_images(module: Any, shown: Sequence[ImageInputs]) -> dict[str, torch.Tensor]:
    """Return what a model is to be called with inside `shared_image_features`, which gives each row its own images.

    Args:
        module: what `find_feature_module` returned.
        shown: for each row with images, in order, its own.
    """
    if not shown:
        return {}
    counted: Collection[str] = ()
    if hasattr(module, "get_rope_index"):
        counted = inspect.signature(module.get_rope_index).parameters
    return {
        # Positions come from the grids of all rows, before there are features.
        name: torch.cat([images.tensors[name] for images in shown]) if name in counted else value
        for name, value in shown[0].tensors.items()
    }


@contextmanager
def shared_image_features(
    module: Any,
    rows: Sequence[int],
    inputs: Sequence[ImageInputs] | Mapping[int, ImageInputs],
    cache: dict[int, ImageFeatures] | None,
) -> Generator[None]:
    """Make `module` encode each distinct image once and hand its features to every row that shows it.

    Args:
        module: what `find_feature_module` returned.
        rows: for each row of the batch, the number of its prompt; shape (batch,).
        inputs: for each prompt number, its images.
        cache: features by prompt number, filled here and read again by later batches; None encodes anew each time.
    """
    encode = module.get_image_features
    parameters = inspect.signature(encode).parameters
    of_images = {name for prompt in rows for name in inputs[prompt].tensors}

    def features_of(prompt: int, given: dict[str, Any]) -> ImageFeatures:
        if cache is not None and prompt in cache:
            return cache[prompt]
        # Not the images' own inputs: those are of one prompt, whichever the caller named.
        others = {name: value for name, value in given.items() if name not in of_images}
        asked = parameters.keys() | given.keys()
        own = {name: value for name, value in inputs[prompt].tensors.items() if name in asked}
        features = ImageFeatures(encode(**others, **own))
        if cache is not None:
            cache[prompt] = features
        return features

    def get_image_features(*args: Any, **kwargs: Any) -> Any:
        given = dict(zip(parameters, args, strict=False)) | kwargs
        distinct = {prompt: features_of(prompt, given) for prompt in dict.fromkeys(rows)}
        return _as_embeddings(module, _join_features([distinct[prompt].output for prompt in rows]))

    with replaced_method(module, "get_image_features", get_image_features):
        yield


@contextmanager
def passing_images_per_row(module: Any, images_per_row: Sequence[int] | None) -> Generator[None]:
    """Tell a family that treats rows of several images differently (LLaVA-OneVision) which rows those are.

    TRL 1.16 does so while sampling but not in its own forward passes, which then fail on such rows.

    Args:
        module: what `find_feature_module` returned.
        images_per_row: images of each row, over all the calls made inside the context in order.
    """
    encode = module.get_image_features
    asks = "batch_num_images" in inspect.signature(encode).parameters
    if not asks or images_per_row is None or max(images_per_row, default=0) < 2:
        yield
        return
    ahead = iter(images_per_row)

    def get_image_features(pixel_values: torch.Tensor, image_sizes: torch.Tensor, **kwargs: Any) -> Any:
        counts: list[int] = []
        while sum(counts) < len(image_sizes):
            counts.append(next(ahead))
        return encode(pixel_values, image_sizes, **{**kwargs, "batch_num_images": torch.tensor(counts)})

    with replaced_method(module, "get_image_features", get_image_features):
        yield


def passing_image_count(module: Any, images: ImageInputs, count: int) -> ImageInputs:
    """Return one prompt's images, marked as several where the family wants to know (see `passing_images_per_row`)."""
    if count < 2 or "batch_num_images" not in inspect.signature(module.get_image_features).parameters:
        return images
    return ImageInputs({**images.tensors, "batch_num_images": torch.tensor([count])})


@contextmanager
def features_like_embeddings(module: Any) -> Generator[None]:
    """Give image features the dtype of the text embeddings that they are put among.

    Under autocast the vision part returns bfloat16 while embeddings stay float32, and not every family casts (SmolVLM
    in transformers 5.17 fails).

    Args:
        module: what `find_feature_module` returned.
    """
    encode = module.get_image_features

    def get_image_features(*args: Any, **kwargs: Any) -> Any:
        return _as_embeddings(module, encode(*args, **kwargs))

    with replaced_method(module, "get_image_features", get_image_features):
        yield


def _as_embeddings(module: Any, output: Any) -> Any:
    if isinstance(getattr(output, "pooler_output", None), torch.Tensor):
        output.pooler_output = output.pooler_output.to(module.get_input_embeddings().weight.dtype)
    return output


def _join_features(outputs: Sequence[Any]) -> Any:
    if isinstance(outputs[0], _JOINED):
        return _concatenate(outputs)
    joined = copy(outputs[0])
    # Attributes, not items: up to transformers 5.17, Idefics3 sets one that its output's type does not declare.
    own = cast("dict[str, Any]", vars(joined))
    names = [name for name, value in own.items() if name not in _OWN_STATES and isinstance(value, _JOINED)]
    for name in names or ["last_hidden_state"]:  # in Llama 4, the vision part's own states are the features
        parts = [getattr(output, name) for output in outputs]
        joined[name] = [*map(_join_layer, zip(*parts, strict=True))] if name == _DEEPER else _concatenate(parts)
    for name in names and own.keys() & set(_OWN_STATES):
        joined[name] = None
    return joined


def _join_layer(layer: Sequence[Any]) -> Any:
    if isinstance(layer[0], tuple) and isinstance(layer[0][0], int):  # Granite Vision names the layer that they go to
        return layer[0][0], _concatenate([features for _, features in layer])
    return _concatenate(layer)


def _concatenate(features: Sequence[Any]) -> Any:
    """Join what some families give in one tensor for all images, and others in one for each."""
    if isinstance(features[0], torch.Tensor):
        return torch.cat(list(features))
    return [image for images in features for image in images]
