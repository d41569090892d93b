"""A model without its weights: what its configuration alone says of its size."""

from __future__ import annotations

import copy
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from vapo.errors import ModelError, VapoError
from vapo.models.image_features import find_feature_module, freeze_vision, name_language_layers

QUANTIZED = {4: 0.5 + 1 / 64, 8: 1.0}
"""Bytes of a weight in so many bits, with its share of a scale: one byte for 64 weights in 4 bits."""


@dataclass(frozen=True, slots=True)
class Loading:
    """How a model is loaded for training.

    Attributes:
        name: a folder or a name on the hub.
        revision: of it.
        dtype: "float32", "bfloat16", "float16", or "auto" for what its configuration says.
        bits: 4 or 8 where the weights that stay are quantized, else 16.
        adapters: peft's configuration, if adapters are trained.
        vision_frozen: whether the language model alone is trained.
        trust_remote_code: as in transformers.
    """

    name: str
    revision: str | None = None
    dtype: str = "float32"
    bits: int = 16
    adapters: Any = None
    vision_frozen: bool = False
    trust_remote_code: bool = False


@dataclass(frozen=True, slots=True)
class ModelShape:
    """A model on torch's device `meta`, and its measures.

    Attributes:
        loading: how it is loaded.
        model: with adapters, if any, and what is not trained frozen.
        frozen_bytes: weights that stay as they are, as loaded.
        num_trainable: parameters that are trained.
        trainable_bytes: their weights, as loaded.
        num_parameters: of the model itself, without adapters.
        layer_parameters: of the largest layer.
        embedding_parameters: of the input embeddings, and of the output layer where it has weights of its own.
        head_is_trained: whether the output layer is.
        hidden_size, vocab_size: of the language model.
        kv_values: numbers that a token leaves behind for later ones, over all layers.
        dequantized: weights of the largest quantized layer, unpacked while it computes; 0 without quantization.
    """

    loading: Loading
    model: Any
    frozen_bytes: float
    num_trainable: int
    trainable_bytes: int
    num_parameters: int
    layer_parameters: int
    embedding_parameters: int
    head_is_trained: bool
    hidden_size: int
    vocab_size: int
    kv_values: int
    dequantized: int


def read_model_shape(loading: Loading) -> ModelShape:
    """Return the model's shape of a model; no weights are read.

    Raises:
        ModelError: there is no such model, none that sees, or its code cannot be followed.
    """
    with explaining_what_cannot_be_planned(loading.name):
        return _measure(_make_outline(loading), loading)


@contextmanager
def explaining_what_cannot_be_planned(name: str) -> Generator[None]:
    """Turn what the code of a model raises, followed without weights, into a sentence.

    Args:
        name: of the model.

    Raises:
        ModelError: it raises.
    """
    try:
        yield
    except VapoError:
        raise
    except Exception as error:  # a family's code raises what it likes
        said = next(iter(str(error).strip().splitlines()), "")
        raise ModelError(
            f"the needs of {name} cannot be planned, because its code cannot be followed without weights "
            f"({type(error).__name__}: {said}); train it for two steps (max_steps: 2) on the longest prompts instead"
        ) from error


def _make_outline(loading: Loading) -> Any:
    trust: Any = {"trust_remote_code": loading.trust_remote_code}
    try:
        config = AutoConfig.from_pretrained(loading.name, revision=loading.revision, **trust)
        dtype = (config.dtype or torch.float32) if loading.dtype == "auto" else getattr(torch, loading.dtype)
        with torch.device("meta"):
            return AutoModelForImageTextToText.from_config(config, dtype=dtype, **trust)
    except (OSError, ValueError) as error:
        raise ModelError(f"the model {loading.name!r} cannot be read without its weights: {error}") from error


def _measure(model: Any, loading: Loading) -> ModelShape:
    if loading.vision_frozen:
        freeze_vision(model)
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    quantized = _find_quantized(model) if loading.bits < 16 else {}
    if loading.adapters is not None:
        model = _add_adapters(model, loading)
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    frozen = sum(_bytes(p) for p in model.parameters() if not p.requires_grad and id(p) not in quantized)
    head = model.get_output_embeddings().weight
    text = model.config.get_text_config()
    layers = find_feature_module(model).get_decoder().layers
    embeddings = {id(p): p.numel() for p in (model.get_input_embeddings().weight, head)}
    return ModelShape(
        loading=loading,
        model=model,
        frozen_bytes=frozen + QUANTIZED.get(loading.bits, 0) * sum(quantized.values()),
        num_trainable=sum(parameter.numel() for parameter in trainable),
        trainable_bytes=sum(map(_bytes, trainable)),
        num_parameters=num_parameters,
        layer_parameters=max(sum(p.numel() for p in layer.parameters()) for layer in layers),
        embedding_parameters=sum(embeddings.values()),
        head_is_trained=head.requires_grad,
        hidden_size=text.hidden_size,
        vocab_size=text.vocab_size,
        kv_values=_count_kv_values(text),
        dequantized=max(quantized.values(), default=0),
    )


def _count_kv_values(text: Any) -> int:
    kinds = getattr(text, "layer_types", None) or ["full_attention"] * text.num_hidden_layers
    attending = [kind for kind in kinds if kind.endswith("attention") and kind != "linear_attention"]
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    if getattr(text, "kv_lora_rank", None):  # multi-head latent attention, which transformers keeps unpacked
        return len(attending) * heads * (text.qk_nope_head_dim + text.qk_rope_head_dim + text.v_head_dim)
    head_size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return 2 * len(attending) * heads * head_size


def _find_quantized(model: Any) -> dict[int, int]:
    """Return what bitsandbytes quantizes: weights of linear layers but the output layer, with their sizes."""
    head = model.get_output_embeddings()
    linear = [module for module in model.modules() if isinstance(module, torch.nn.Linear) and module is not head]
    return {id(module.weight): module.weight.numel() for module in linear}


def _add_adapters(model: Any, loading: Loading) -> Any:
    from peft import get_peft_model

    adapters = copy.copy(loading.adapters)
    if not (adapters.target_modules or adapters.target_parameters):
        adapters.target_modules = name_language_layers(model)
    model = get_peft_model(model, adapters)
    if loading.bits < 16:  # TRL gives adapters of a quantized model bfloat16
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.to(torch.bfloat16)
    return model


def _bytes(parameter: torch.Tensor) -> int:
    return parameter.numel() * parameter.element_size()
