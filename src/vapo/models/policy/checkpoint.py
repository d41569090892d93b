"""Open a checkpoint as a policy: a vision-language model and its processor, from a folder or from the hub.

A checkpoint that cannot be used is refused before its weights are read, with what is wrong and what is near. Weights
come from safetensors only: other formats run code when they are opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub.errors import HTTPError
from safetensors import SafetensorError

from vapo.errors import ConfigError, ModelError
from vapo.models.image_features import check_decoder_alone

if TYPE_CHECKING:
    from transformers import ProcessorMixin

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_HUB_NAME = re.compile(r"[\w.-]+(?:/[\w.-]+)?")
_ADAPTER = "adapter_config.json"


@dataclass(frozen=True, slots=True)
class Policy:
    """A model that sees and writes, and the processor that prepares what it reads.

    `model` is a `transformers` model with a language head, possibly wrapped by peft; `name` is what reports call it.
    """

    model: Any
    processor: Any
    name: str = "unnamed model"


@dataclass(frozen=True, slots=True)
class CheckpointParts:
    """Where the parts of a checkpoint are, each a folder or a name on the hub.

    Attributes:
        weights: the whole model; of an adapter, its base.
        adapter: the adapter's folder; None for a whole model.
        processor: the processor.
    """

    weights: str
    adapter: Path | None
    processor: str


def load_policy(
    path_or_name: str | Path,
    *,
    device: str = "auto",
    dtype: str = "auto",
    trust_remote_code: bool = False,
    base: str | None = None,
    processor: ProcessorMixin | None = None,
) -> Policy:
    """Load a checkpoint for evaluation: model in eval mode, tokenizer padding on the left.

    Args:
        path_or_name: a checkpoint folder, a folder with a LoRA adapter (its base model is loaded with it, through
            peft), or a name on the hub.
        device: a torch device; "auto" is the first CUDA device if there is one, else the CPU.
        dtype: "float32", "bfloat16" or "float16"; "auto" is float32 on the CPU and bfloat16 elsewhere.
        trust_remote_code: whether code that comes with the checkpoint may run.
        base: where an adapter's base model is; None for where the adapter says.
        processor: the checkpoint's, if it is loaded already.

    Raises:
        ConfigError: the device or dtype is unknown.
        ModelError: there is no such checkpoint, or it lacks something: a configuration of a vision-language model,
            safetensors weights for all of its parameters, a processor that handles images, a chat template.
    """
    where, to = _choose_device(device), dtype
    if dtype == "auto":
        to = "float32" if where.type == "cpu" else "bfloat16"
    if to not in _DTYPES:
        raise ConfigError(f"dtype is {dtype!r}; it must be 'auto' or one of {', '.join(_DTYPES)}")
    parts = find_parts(path_or_name, base)
    if parts.adapter is None:
        model = _load_model(parts.weights, _DTYPES[to], trust_remote_code)
    else:
        model = _load_adapted(parts, _DTYPES[to], trust_remote_code)
    if processor is None:
        processor = load_processor(parts.processor, trust_remote_code)
    return Policy(model.to(where).eval(), processor, str(path_or_name))


def check_checkpoint(path_or_name: str | Path) -> None:
    """Refuse what `load_policy` would refuse without loading anything: no such folder, no configuration, no weights.

    Raises:
        ModelError: as `load_policy`; a name on the hub is not looked up.
    """
    find_parts(path_or_name)


def find_parts(path_or_name: str | Path, base: str | None = None) -> CheckpointParts:
    """Find the parts of a checkpoint without loading any of them.

    Args:
        path_or_name: as for `load_policy`.
        base: where an adapter's base model is; None for where the adapter says. Means nothing to a whole model.

    Raises:
        ModelError: a folder, a configuration or weights are missing, or the adapter cannot be opened.
    """
    folder = find_folder(path_or_name)
    if folder is None:
        return CheckpointParts(str(path_or_name), None, str(path_or_name))
    if (folder / _ADAPTER).is_file():
        return _find_parts_of_adapter(folder, base)
    _check_folder(folder)
    return CheckpointParts(str(folder), None, str(folder))


def find_folder(path_or_name: str | Path) -> Path | None:
    """Return the local folder that is meant, or None for a name on the hub.

    Raises:
        ModelError: it can only be a folder, and there is none.
    """
    text = str(path_or_name)
    path = Path(text).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise ModelError(f"{text} is a file; give the checkpoint's folder")
    # A name on the hub has at most one slash, and no folder of ours before it.
    looks_like_path = isinstance(path_or_name, Path) or not _HUB_NAME.fullmatch(text) or text.startswith(".")
    if looks_like_path or (path.parent != Path() and path.parent.is_dir()):
        raise ModelError(f"there is no folder {text}{_suggest_checkpoints_near(path.parent)}; check the path")
    return None


def _suggest_checkpoints_near(folder: Path) -> str:
    if not folder.is_dir():
        return f" (nor {folder})"
    names = _list_checkpoints(folder)
    return f"; {folder} has {names}" if names else ""


def _list_checkpoints(folder: Path) -> str:
    names = (path.name for path in folder.glob("checkpoint-*") if path.is_dir())
    return ", ".join(sorted(names, key=lambda name: (len(name), name)))


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        inside = _list_checkpoints(folder)
        hint = f"it holds {inside}: give one of them" if inside else "give the folder of a saved model"
        raise ModelError(f"{folder} has no config.json, so it is no checkpoint; {hint}")
    if not any(folder.glob("*.safetensors")):
        others = sorted(p.name for kind in ("*.bin", "*.pt", "*.pth", "*.ckpt") for p in folder.glob(kind))
        found = f" but {', '.join(others[:3])}, which can run code when opened" if others else ""
        raise ModelError(
            f"{folder} has no weights in safetensors{found}; save the model with save_pretrained, which writes them"
        )


def read_config(source: str, trust_remote_code: bool = False) -> Any:
    """Return the configuration of a vision-language model; its weights are not looked at.

    Raises:
        ModelError: it cannot be read, or is that of another kind of model or of an encoder-decoder.
    """
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    with _raising_model_errors(source):
        config = AutoConfig.from_pretrained(source, trust_remote_code=trust_remote_code)
    own_code = trust_remote_code and "AutoModelForImageTextToText" in getattr(config, "auto_map", {})
    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING and not own_code:
        raise ModelError(
            f"{source} is a {config.model_type!r} model, which transformers does not know as one that reads images "
            "and writes text; use a vision-language model such as Qwen2.5-VL, Qwen3-VL or LLaVA"
        )
    check_decoder_alone(config)
    return config


def _load_model(source: str, dtype: torch.dtype, trust_remote_code: bool) -> Any:
    from transformers import AutoModelForImageTextToText

    config = read_config(source, trust_remote_code)
    with _raising_model_errors(source):
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            source,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # named below, where transformers only points at a table
        )
    model, loading = loaded
    # transformers fills what is missing with random numbers and goes on.
    lacking = sorted({*loading["missing_keys"], *(str(key[0]) for key in loading["mismatched_keys"])})
    if lacking:
        raise ModelError(
            f"{source} lacks weights for {len(lacking)} parameters of its own configuration, or has them in another "
            f"shape: {', '.join(lacking[:3])}{', ...' if len(lacking) > 3 else ''}; save the whole model again"
        )
    return model


def load_processor(source: str, trust_remote_code: bool = False, revision: str = "main") -> ProcessorMixin:
    """Load the processor of a checkpoint. Raises ModelError if it has none that handles images and a chat."""
    from transformers import AutoProcessor

    with _raising_model_errors(source):
        processor = AutoProcessor.from_pretrained(source, trust_remote_code=trust_remote_code, revision=revision)
    if not hasattr(processor, "image_processor"):
        raise ModelError(
            f"{source} comes with a {type(processor).__name__} that cannot prepare images; save the model's "
            "processor into the folder too (processor.save_pretrained)"
        )
    adopt_chat_template(processor, source)
    processor.tokenizer.padding_side = "left"
    if processor.tokenizer.pad_token is None:
        processor.tokenizer.pad_token = processor.tokenizer.eos_token
    return processor


def adopt_chat_template(processor: Any, name: str) -> None:
    """Give a processor the chat template of its tokenizer where it has none of its own.

    Args:
        processor: the processor.
        name: what errors call it.

    Raises:
        ModelError: its tokenizer has none either.
    """
    if getattr(processor, "chat_template", None):
        return
    if not processor.tokenizer.chat_template:
        raise ModelError(
            f"{name} has no chat template, so questions cannot be put to it; use the instruct version of the model, "
            "or save a template with its processor"
        )
    processor.chat_template = processor.tokenizer.chat_template


def _find_parts_of_adapter(folder: Path, base: str | None) -> CheckpointParts:
    try:
        from peft import PeftConfig
    except ImportError as error:
        raise ModelError(f"{folder} holds an adapter, which peft opens; pip install 'vapo[peft]'") from error
    if not (folder / "adapter_model.safetensors").is_file():
        raise ModelError(f"{folder} holds an adapter without adapter_model.safetensors; save it again with peft")
    with _raising_model_errors(str(folder)):
        config = PeftConfig.from_pretrained(str(folder))
    if config.is_prompt_learning:
        raise ModelError(f"{folder} holds a {config.peft_type} adapter, which adds virtual tokens; use a LoRA adapter")
    with _naming_base(folder):
        below = find_parts(base or str(config.base_model_name_or_path))
    if below.adapter is not None:
        raise ModelError(
            f"the adapter in {folder} lies on another adapter, {below.adapter}; merge that one first "
            f"(vapo export {below.adapter} --out FOLDER), and name what comes out as the base"
        )
    own = any((folder / name).is_file() for name in ("processor_config.json", "preprocessor_config.json"))
    return CheckpointParts(below.weights, folder, str(folder) if own else below.processor)


def _load_adapted(parts: CheckpointParts, dtype: torch.dtype, trust_remote_code: bool) -> Any:
    from peft import PeftModel

    assert parts.adapter is not None
    with _naming_base(parts.adapter):
        model = _load_model(parts.weights, dtype, trust_remote_code)
    with _raising_model_errors(str(parts.adapter)):
        return PeftModel.from_pretrained(model, str(parts.adapter))


@contextmanager
def _naming_base(adapter: Path) -> Iterator[None]:
    try:
        yield
    except ModelError as error:
        raise ModelError(f"the base model of the adapter in {adapter} cannot be loaded: {error}") from error


@contextmanager
def _raising_model_errors(source: str) -> Iterator[None]:
    """Turn what loading raises for a checkpoint that is incomplete or damaged into a sentence."""
    try:
        yield
    except ImportError as error:
        raise ModelError(f"{source} needs a package that is missing: {_first_line(error)}") from error
    except (OSError, HTTPError, SafetensorError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise ModelError(f"{source} cannot be loaded: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _choose_device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"device is {device!r}; it must be 'auto', 'cpu' or such as 'cuda:0'") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device is {device!r}, but torch sees no CUDA device here; use 'cpu' or 'auto'")
    return chosen
