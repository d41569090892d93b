"""A policy's weights as one plain model: its adapter merged, in one precision, in safetensors."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from vapo.errors import ConfigError, ModelError
from vapo.models.policy.checkpoint import CheckpointParts, Policy, find_folder
from vapo.serving.vllm_weight_names import name_for_vllm

DTYPES = ("float32", "bfloat16", "float16")

_BESIDE_WEIGHTS = 64 * 1024 * 1024  # tokenizer, processor, card


def choose_dtypes(config: Any, dtype: str, *, quantised: bool) -> tuple[str, str]:
    """Return the precision that a checkpoint is read in, and the one that it is written in.

    Args:
        config: of the model that holds the weights.
        dtype: what is asked for; "auto" is what the weights are stored in.
        quantised: whether training quantised them; they are then read in 16 bits.

    Raises:
        ConfigError: there is no such precision.
        ModelError: the weights themselves are quantised.
    """
    if dtype not in ("auto", *DTYPES):
        raise ConfigError(f"dtype is {dtype!r}; it must be 'auto' or one of {', '.join(DTYPES)}")
    if getattr(config, "quantization_config", None) is not None:
        raise ModelError(
            f"the weights in {config.name_or_path} are quantised, and nothing can be merged into them without loss; "
            "name the unquantised model with --base"
        )
    stored = str(config.dtype).removeprefix("torch.")
    own = stored if stored in DTYPES else "float32"
    if quantised and own == "float32":
        own = "bfloat16"
    return own, own if dtype == "auto" else dtype


def check_room(out: Path, parts: CheckpointParts, own: str, dtype: str) -> None:
    """Refuse a place without room for the weights; those of a model that is still on the hub are not known.

    Raises:
        ConfigError: the disk has too little room.
    """
    folder = find_folder(parts.weights)
    if folder is None:
        return
    stored = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    bits = {name: torch.finfo(getattr(torch, name)).bits for name in (own, dtype)}
    needed = stored * bits[dtype] // bits[own] + _BESIDE_WEIGHTS
    place = next(folder for folder in out.absolute().parents if folder.is_dir())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise ConfigError(
            f"the export takes about {needed / 1e9:.1f} GB, and the disk of {place} has {free / 1e9:.1f} GB free; "
            "make room, name a place on another disk, or write fewer bits with --dtype bfloat16"
        )


def merge_adapter(policy: Policy, dtype: str) -> Policy:
    """Return the policy as one model without its adapter, in a precision; the one given is used up.

    Raises:
        ModelError: it cannot be merged.
    """
    model = policy.model
    if hasattr(model, "merge_and_unload"):
        try:
            model = model.merge_and_unload(safe_merge=True)
        except (ValueError, NotImplementedError, AttributeError) as error:
            raise ModelError(f"the adapter of {policy.name} cannot be merged: {error}") from error
    elif hasattr(model, "peft_config"):
        raise ModelError(f"the adapter of {policy.name} is of a kind that cannot be merged; use LoRA")
    return replace(policy, model=model.to(getattr(torch, dtype)))


def write_model(policy: Policy, folder: Path) -> None:
    """Write model and processor as `from_pretrained` reads them.

    Raises:
        ModelError: the model's own settings do not let it be saved, or the disk is full.
    """
    with explaining_full_disk(folder):
        try:
            policy.model.save_pretrained(folder)
            policy.processor.save_pretrained(folder)
            name_for_vllm(folder)
            for file in folder.glob("*.safetensors"):  # written for its owner alone, whatever the umask
                shutil.copymode(folder / "config.json", file)
        except ValueError as error:  # generation settings that contradict each other
            raise ModelError(f"{policy.name} cannot be saved: {error}") from error


def open_plainly(folder: Path, device: torch.device, trust_remote_code: bool = False) -> Policy:
    """Open an export with nothing but transformers. Raises ModelError if that cannot be done."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    try:
        model: Any = AutoModelForImageTextToText.from_pretrained(
            folder, dtype="auto", trust_remote_code=trust_remote_code
        )
        processor = AutoProcessor.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise ModelError(f"transformers cannot open what was exported ({error}); nothing was kept") from error
    return Policy(model.to(device).eval(), processor, folder.name)


@contextmanager
def explaining_full_disk(folder: Path) -> Generator[None]:
    """Say in one sentence that there was no room, however the library at work says it."""
    try:
        yield
    except Exception as error:  # safetensors raises its own kind, with the system's words in it
        full = getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in str(error)
        if not full:
            raise
        raise ModelError(f"the disk of {folder.parent} is full; nothing was kept. Make room and try again") from error
