"""What must be known of a vision-language family to put many questions to one picture.

Nothing here names a family. Every family of transformers 5 keeps the id of its image token in the configuration
and turns pictures into features in one method, `get_image_features`; that is enough. A model that lacks either is
refused by name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import torch

from vapo.errors import ModelError

if TYPE_CHECKING:
    from PIL.Image import Image

VISION_TOKEN_ATTRIBUTES = (
    "image_token_id",
    "video_token_id",
    "vision_start_token_id",
    "vision_end_token_id",
    "boi_token_id",
    "eoi_token_id",
)
VISION_MARKERS = (
    "<|image_pad|>",
    "<|video_pad|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<image>",
    "<video>",
    "<fake_token_around_image>",
    "<global-img>",
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
    "<start_of_image>",
    "<end_of_image>",
    "<image_soft_token>",
    "<img>",
    "</img>",
    "<IMG_CONTEXT>",
)

TOKEN_TYPE_INPUTS = ("mm_token_type_ids", "token_type_ids")
TEXT_INPUTS = ("input_ids", "attention_mask", *TOKEN_TYPE_INPUTS)


def find_image_token_id(config: Any) -> int:
    """Return the id of the token whose places the image features take.

    Raises:
        ModelError: the configuration names none, so the model cannot be probed.
    """
    image_token_id = getattr(config, "image_token_id", None)
    if image_token_id is None:
        raise ModelError(
            f"{type(config).__name__} names no image_token_id, so this model's pictures cannot be found in its "
            "prompts; use a vision-language model of transformers 5 (Qwen2.5-VL, Qwen3-VL, LLaVA, ...)"
        )
    return int(image_token_id)


def find_vision_token_ids(config: Any, tokenizer: Any) -> tuple[int, ...]:
    """Return every id that stands for, opens or closes a picture or a video, sorted.

    A policy must never sample one of them: the next forward pass would look for image features that do not exist.
    """
    ids = {getattr(config, name, None) for name in VISION_TOKEN_ATTRIBUTES}
    vocabulary = tokenizer.get_added_vocab()
    ids |= {vocabulary.get(marker) for marker in VISION_MARKERS}
    vocabulary_size = len(tokenizer)
    return tuple(sorted(int(i) for i in ids if i is not None and 0 <= int(i) < vocabulary_size))


@dataclass(frozen=True, slots=True)
class ImageInputs:
    """One prompt's pictures as the processor makes them (`pixel_values` and what goes with it)."""

    tensors: Mapping[str, torch.Tensor]

    def to(self, device: torch.device | str) -> ImageInputs:
        """Return the same inputs on `device`."""
        return ImageInputs({name: tensor.to(device) for name, tensor in self.tensors.items()})


def process_images(processor: Any, images: Sequence[Image]) -> ImageInputs:
    """Turn a prompt's pictures into tensors, once for all questions about them.

    The processor makes them as it does for a prompt. Its image processor alone would not do: some families' processors
    ask it for more than its own settings say (InternVL's for tiles), or rearrange what it returns.
    """
    content = [*({"type": "image", "image": image} for image in images), {"type": "text", "text": "?"}]
    conversation = [{"role": "user", "content": content}]
    return take_image_inputs(apply_chat_template(processor, conversation))


def apply_chat_template(processor: Any, conversation: list[dict[str, Any]], **options: Any) -> Mapping[str, Any]:
    """Return what a processor makes of one conversation with pictures: tensors with a batch of one row."""
    return processor.apply_chat_template(
        [conversation],
        tokenize=True,
        return_dict=True,
        # Among the processor's own options, because SmolVLM's processor warns on every call that comes without any.
        processor_kwargs={"return_tensors": "pt"},
        **options,
    )


def take_image_inputs(encoded: Mapping[str, Any]) -> ImageInputs:
    """Return what a processor made of a prompt's pictures, without what it made of the text."""
    tensors = {name: value for name, value in encoded.items() if isinstance(value, torch.Tensor)}
    return ImageInputs({name: tensor for name, tensor in tensors.items() if name not in TEXT_INPUTS})


def find_token_type_name(module: Any, processor: Any) -> str | None:
    """Return the name of the input that tells image tokens from text (see `token_types`), or None if there is none.

    Qwen's positions and Gemma3's two-way attention between the tokens of a picture depend on it.

    Args:
        module: what `find_feature_module` returned.
        processor: the processor, which must make that input too.
    """
    accepted = inspect.signature(module.forward).parameters
    names = [name for name in TOKEN_TYPE_INPUTS if name in accepted and name in processor.model_input_names]
    return names[0] if names else None


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """What `get_image_features` returned for one prompt: per-image features, and those of deeper layers if any."""

    output: Any


def find_feature_module(model: torch.nn.Module) -> Any:
    """Return the innermost module that turns pictures into features, below any wrapper (PEFT, DDP, FSDP).

    Raises:
        ModelError: there is none.
    """
    modules = [module for module in model.modules() if hasattr(module, "get_image_features")]
    if not modules:
        raise ModelError(
            f"{type(model).__name__} has no get_image_features, so it is no vision-language model that can be probed; "
            "use a model class such as Qwen2_5_VLForConditionalGeneration or LlavaForConditionalGeneration"
        )
    return modules[-1]


def freeze_vision(model: torch.nn.Module) -> int:
    """Take everything outside the language model out of training; return how many parameters that are.

    Raises:
        ModelError: the model does not say which part of it is the language model.
    """
    module = find_feature_module(model)
    # transformers 5 gives every model with a vision part this method; where it knows of no such part, it returns the
    # model itself.
    decoder = module.get_decoder()
    if decoder is module:
        raise ModelError(
            f"{type(module).__name__} does not say which part of it is the language model, so its vision part cannot "
            "be told; train it too"
        )
    language = {id(parameter) for parameter in decoder.parameters()}
    vision = [parameter for parameter in module.parameters() if id(parameter) not in language]
    for parameter in vision:
        parameter.requires_grad_(False)
    return sum(parameter.numel() for parameter in vision)


@contextmanager
def shared_image_features(
    module: Any,
    rows: Sequence[int],
    inputs: Sequence[ImageInputs] | Mapping[int, ImageInputs],
    cache: dict[int, ImageFeatures] | None,
) -> Generator[None]:
    """Make `module` encode each distinct picture once and hand its features to every row that shows it.

    Args:
        module: what `find_feature_module` returned.
        rows: for each row of the batch, the number of its prompt; shape (batch,).
        inputs: for each prompt number, its pictures.
        cache: features by prompt number, filled here and read again by later batches; None encodes anew each time.
    """
    encode = module.get_image_features
    of_pictures = {name for prompt in rows for name in inputs[prompt].tensors}

    def features_of(prompt: int, kwargs: dict[str, Any]) -> ImageFeatures:
        if cache is not None and prompt in cache:
            return cache[prompt]
        # Not the pictures' own inputs: those are of one prompt, whichever the caller named.
        others = {name: value for name, value in kwargs.items() if name not in of_pictures}
        own = {**others, **inputs[prompt].tensors}
        features = ImageFeatures(encode(**_accepted(encode, own)))
        if cache is not None:
            cache[prompt] = features
        return features

    def get_image_features(*_args: Any, **kwargs: Any) -> Any:
        distinct = {prompt: features_of(prompt, kwargs) for prompt in dict.fromkeys(rows)}
        return _as_embeddings(module, _join_features([distinct[prompt].output for prompt in rows]))

    with _replaced_method(module, "get_image_features", get_image_features):
        yield


@contextmanager
def told_images_per_row(module: Any, images_per_row: Sequence[int] | None) -> Generator[None]:
    """Tell a family that treats rows of several pictures differently (LLaVA-OneVision) which rows those are.

    TRL 1.16 does so while sampling but not in its own forward passes, which then fail on such rows.

    Args:
        module: what `find_feature_module` returned.
        images_per_row: pictures of each row, over all the calls made inside the context in order.
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

    with _replaced_method(module, "get_image_features", get_image_features):
        yield


def told_image_count(module: Any, images: ImageInputs, count: int) -> ImageInputs:
    """Return one prompt's pictures, marked as several where the family wants to know (see `told_images_per_row`)."""
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

    @wraps(encode)
    def get_image_features(*args: Any, **kwargs: Any) -> Any:
        return _as_embeddings(module, encode(*args, **kwargs))

    with _replaced_method(module, "get_image_features", get_image_features):
        yield


def _as_embeddings(module: Any, output: Any) -> Any:
    if isinstance(output.pooler_output, torch.Tensor):
        output.pooler_output = output.pooler_output.to(module.get_input_embeddings().weight.dtype)
    return output


@contextmanager
def _replaced_method(instance: object, name: str, method: Callable[..., Any]) -> Generator[None]:
    own = vars(instance)
    before = own.get(name)  # an instance rarely has one of its own, but another tool may have put it there
    own[name] = method
    try:
        yield
    finally:
        if before is None:
            del own[name]
        else:
            own[name] = before


def _accepted(encode: Callable[..., Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(encode).parameters
    return {
        name: value
        for name, value in kwargs.items()
        if name in parameters and (value is not None or name == "pixel_values")
    } | ({"return_dict": True} if "return_dict" in kwargs else {})


def _join_features(outputs: Sequence[Any]) -> Any:
    joined = type(outputs[0])()
    joined["pooler_output"] = _concatenate([output.pooler_output for output in outputs])
    deeper = [getattr(output, "deepstack_features", None) for output in outputs]
    if deeper[0] is not None:
        joined["deepstack_features"] = [torch.cat(layer) for layer in zip(*deeper, strict=True)]
    return joined


def _concatenate(pooled: Sequence[Any]) -> Any:
    if isinstance(pooled[0], torch.Tensor):
        return torch.cat(list(pooled))
    return [image for images in pooled for image in images]


def token_types(ids: Iterable[int], image_token_id: int) -> list[int]:
    """Return 1 for image tokens and 0 for text: what `mm_token_type_ids` and `token_type_ids` hold."""
    return [int(i == image_token_id) for i in ids]


def correct_token_types(inputs: Mapping[str, Any], input_ids: torch.Tensor, image_token_id: int) -> dict[str, Any]:
    """Return `inputs` with token types that fit `input_ids`, where there are token types at all.

    TRL 1.16 tokenises a prompt anew to get them, and then a tokenizer that begins every text with a token (Gemma3's)
    adds it before the one that the chat template wrote. Every type would be one token late.
    """
    correct = (input_ids == image_token_id).long()
    return {k: correct if k in TOKEN_TYPE_INPUTS and v is not None else v for k, v in inputs.items()}
