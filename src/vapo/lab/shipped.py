"""The lab that comes with the package: a cold-started checkpoint, a copy of it that writes claims, and a data set made
on demand from a fixed seed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from vapo.errors import ModelError

from .dataset import write_dataset
from .questions import EARLY, KINDS
from .world import Split

SHIPPED_SEED = 0
"""Seed of the data set that the word `lab` stands for."""

SHIPPED_ROWS: dict[Split, int] = {"train": 2000, "heldout": 500}

DATA: dict[str, tuple[str, ...]] = {"lab": KINDS, "lab-early": EARLY}
"""Words for data sets, and the kinds of question to train on; what is held out has all kinds."""

_SOURCES = ("cell_names", "world", "questions", "claims", "dataset")


def shipped_checkpoint() -> Path:
    """Return the folder of the checkpoint in the package. Raises ModelError if the package came without it."""
    return _find_checkpoint("checkpoint")


def shipped_writer() -> Path:
    """Return the folder of the checkpoint that writes claims. Raises ModelError if the package came without it."""
    return _find_checkpoint("writer")


def shipped_data(split: Split, name: str = "lab") -> Path:
    """Return the parquet file of a split of one of `DATA`, made on first use in the user's cache (about 15 s a set).

    The folder's name is a digest of the lab's sources and the seed: a new version never reads old data.
    Set XDG_CACHE_HOME to keep it elsewhere.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = cache / "vapo" / f"{name}-{digest_sources()}" / f"{split}.parquet"
    if not path.is_file():
        kinds = DATA[name] if split == "train" else KINDS
        write_dataset(path, split, seed=SHIPPED_SEED, rows=SHIPPED_ROWS[split], kinds=kinds)
    return path


def digest_sources() -> str:
    """Return 16 hexadecimal digits that change whenever the shipped data could."""
    digest = hashlib.sha256(f"{SHIPPED_SEED} {sorted(SHIPPED_ROWS.items())}".encode())
    for name in _SOURCES:
        digest.update((Path(__file__).parent / f"{name}.py").read_bytes())
    return digest.hexdigest()[:16]


def resolve_model(name: str) -> str:
    """Return the folders of the shipped checkpoints for the words `lab` and `lab-writer`; any other name as it is."""
    find = {"lab": shipped_checkpoint, "lab-writer": shipped_writer}.get(name)
    return name if find is None else str(find())


def resolve_data(name: str) -> str:
    """Return the folder of the splits for a word of `DATA`, and any other name as it is."""
    if name not in DATA:
        return name
    splits = [shipped_data(split, name) for split in SHIPPED_ROWS]
    return str(splits[0].parent)


def _find_checkpoint(name: str) -> Path:
    folder = Path(__file__).parent / name
    if not (folder / "model.safetensors").is_file():
        raise ModelError(f"no lab checkpoint in {folder}; make one with `python -m studies build` or reinstall vapo")
    return folder
