"""Look through a sharded checkpoint before torch unpickles parts of it, which would run any code that they hold.

torch's distributed reader unpickles `.metadata`, and each value that is no tensor, without restriction. Tensors are
read safely, and so is whatever else transformers reads when a run goes on. DeepSpeed unpickles all of its own files.
"""

from __future__ import annotations

import io
import pickle
import sys
from pathlib import Path
from typing import Any

import torch

from vapo.errors import ModelError

_METADATA = "torch.distributed.checkpoint.metadata"
ALLOWED = frozenset(
    (
        *((_METADATA, name) for name in ("Metadata", "MetadataIndex", "StorageMeta", "TensorProperties")),
        *((_METADATA, name) for name in ("BytesStorageMetadata", "ChunkStorageMetadata", "TensorStorageMetadata")),
        (_METADATA, "_MEM_FORMAT_ENCODING"),
        ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
        ("torch.serialization", "_get_layout"),
        ("torch", "Size"),
        ("collections", "OrderedDict"),
        *((module, f"{kind}Path") for module in ("pathlib", "pathlib._local") for kind in ("Posix", "Windows")),
    )
)
"""What metadata is made of, beside torch's dtypes: module and name."""


def check_sharded_checkpoint(checkpoint: Path) -> None:
    """Refuse a checkpoint whose files would run code when torch reads them; tell of those that DeepSpeed reads.

    Args:
        checkpoint: of a run that is to go on.

    Raises:
        ModelError: metadata holds something else than metadata, or a value is no plain one.
    """
    for file in sorted(checkpoint.rglob("*.metadata")):
        metadata = read_metadata(file)
        places = dict(metadata.storage_data or {})
        plain = [
            index for index in places if type(metadata.state_dict_metadata.get(index.fqn)).__name__ in _NO_TENSORS
        ]
        for index in plain:
            _check_value(file.parent, str(index.fqn), places[index])
    if any(checkpoint.glob("global_step*")):
        print(
            f"{checkpoint} was written with DeepSpeed, which runs whatever code its files hold; go on only from "
            "checkpoints that come from yourself",
            file=sys.stderr,
        )


_NO_TENSORS = ("BytesStorageMetadata", "NoneType")


def read_metadata(file: Path) -> Any:
    """Return what a `.metadata` file holds. Raises ModelError if that is not metadata alone."""
    try:
        with file.open("rb") as stream:
            metadata = _MetadataUnpickler(stream).load()
    except ModelError as error:
        raise ModelError(f"{file} {error}; do not open it, and go on from a checkpoint that you trust") from None
    except Exception as error:  # unpickling raises nearly anything on broken data
        raise ModelError(f"{file} cannot be read ({type(error).__name__}: {error}); is it damaged?") from error
    if type(metadata).__name__ != "Metadata" or not isinstance(metadata.state_dict_metadata, dict):
        raise ModelError(f"{file} holds no metadata of a checkpoint; go on from another one")
    return metadata


class _MetadataUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in ALLOWED or (module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)):
            return super().find_class(module, name)
        raise ModelError(f"holds {module}.{name}, which is no part of a checkpoint's metadata and could run code")


def _check_value(folder: Path, name: str, place: Any) -> None:
    file = (folder / str(place.relative_path)).resolve()
    if (
        not file.is_relative_to(folder.resolve())
        or not file.is_file()
        or getattr(place, "transform_descriptors", None)
    ):
        raise ModelError(f"{folder} keeps {name!r} in {place.relative_path!r}, which cannot be looked through")
    with file.open("rb") as stream:
        stream.seek(int(place.offset))
        content = stream.read(int(place.length))
    try:
        if not content.startswith(b"PK"):
            raise ValueError("it is no archive of torch")
        torch.load(io.BytesIO(content), weights_only=True)
    except Exception as error:  # as above
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"{file} holds a value {name!r} that torch would not read safely ({said[0]}); do not open it, and go on "
            "from a checkpoint that you trust"
        ) from error
