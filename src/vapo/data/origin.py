"""Where samples come from, told so that others can see whether they have the same ones."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from vapo.data.samples import Samples
from vapo.data.sources import find_commit, list_files

_CHUNK_BYTES = 1 << 20


def describe_origin(source: str, split: str | None, samples: Samples) -> dict[str, Any]:
    """Return where samples come from, how many rows and claims they are, and what identifies them.

    Files are told by name, size and SHA-256, which takes a second for a gigabyte or so; a data set of the Hugging Face
    hub by its commit. Images that lie beside a table are not looked at.

    Args:
        source: a name on the hub, a file or a folder, as `load_samples` took it.
        split: the part that was loaded.
        samples: what came of it.
    """
    files = list_files(source, split)
    true, false = samples.num_claims
    return {
        "source": source,
        "split": split,
        "rows": len(samples),
        "rows_left_out": len(samples.skipped),
        "true_claims": true,
        "false_claims": false,
        "files": [describe_file(file) for file in files],
        "commit": None if files else find_commit(source),
    }


def describe_file(path: Path) -> dict[str, Any]:
    """Return a file's name, size and SHA-256."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": digest.hexdigest()}
