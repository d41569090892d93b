"""The embeddings of a checkpoint, read from its files without opening the model."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from safetensors import safe_open

from vapo.models.policy.checkpoint import find_folder, find_parts, read_config


@contextmanager
def opened_embeddings(
    source: str | Path, trust_remote_code: bool = False, revision: str = "main"
) -> Generator[list[Any]]:
    """Open the matrices of shape (vocabulary, hidden) in a checkpoint's files; only rows that are asked for are read.

    Args:
        source: as for `load_policy`; of an adapter, its base.
        trust_remote_code: whether code that comes with the checkpoint may run.
        revision: of a checkpoint on the hub.

    Raises:
        ModelError: there is no such checkpoint.
    """
    weights = find_parts(source).weights
    hidden = read_config(weights, trust_remote_code).get_text_config().hidden_size
    with ExitStack() as stack:
        files = [stack.enter_context(safe_open(file, "pt")) for file in _find_files(weights, revision)]
        tables = [file.get_slice(name) for file in files for name in file.keys()]  # noqa: SIM118 (it is no mapping)
        shapes = [table.get_shape() for table in tables]
        widest = max((shape[0] for shape in shapes if len(shape) == 2 and shape[1] == hidden), default=0)
        yield [table for table, shape in zip(tables, shapes, strict=True) if shape == [widest, hidden]]


def _find_files(source: str, revision: str) -> list[str]:
    """Return the files of a checkpoint's weights; those of one on the hub are fetched, as they are to load it."""
    from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, cached_file
    from transformers.utils.hub import get_checkpoint_shard_files

    folder = find_folder(source)
    if folder is not None:
        return sorted(map(str, folder.glob("*.safetensors")))
    missing: Any = {"revision": revision, "_raise_exceptions_for_missing_entries": False}
    index = cached_file(source, SAFE_WEIGHTS_INDEX_NAME, **missing)
    if index is not None:
        return list(get_checkpoint_shard_files(source, index, revision=revision)[0] or ())
    file = cached_file(source, SAFE_WEIGHTS_NAME, **missing)
    return [] if file is None else [file]
