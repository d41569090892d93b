"""The rival of probes that needs no probes: claims asked as questions of their own, among the others."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from vapo.atomic_files import atomic_file
from vapo.lab.questions import ask_claim
from vapo.types import Claim

CLAIMS_PER_IMAGE = 5
"""As in the paper's comparison (arXiv 2509.25848, Section 5: K = 5)."""

_DRAWS = 33  # keeps this generator apart from others with the same seed


def add_claims(data: Path, out: Path) -> None:
    """Write a data set with the rows of another and, behind each, some of its claims as questions.

    Args:
        data: folder of `train.parquet` and `heldout.parquet`, as the lab writes them.
        out: folder to write; one that is complete is left as it is.
    """
    import pyarrow
    import pyarrow.parquet

    train = out / "train.parquet"
    if train.is_file():
        return
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(data / "heldout.parquet", out / "heldout.parquet")
    table = pyarrow.parquet.read_table(data / "train.parquet")
    rows: list[dict[str, Any]] = []
    for number, row in enumerate(table.to_pylist()):
        rng = np.random.default_rng([_DRAWS, number])
        rows.append(row)
        for place in rng.permutation(len(row["claims"]))[:CLAIMS_PER_IMAGE]:
            claim = row["claims"][place]
            question, answer = ask_claim(Claim(claim["text"], claim["is_true"]))
            rows.append(
                {**row, "id": f"{row['id']}-claim-{place}", "problem": question, "answer": answer, "kind": "claim"}
            )
    with atomic_file(train) as temporary:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=table.schema), temporary)
