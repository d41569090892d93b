"""What arms train on: questions of which a share needs the image late, with or without claims asked among them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vapo.atomic_files import atomic_file
from vapo.errors import ConfigError
from vapo.lab.questions import LATE, ask_claim
from vapo.types import Claim

CLAIMS_PER_IMAGE = 5
"""As in the paper's comparison (arXiv 2509.25848, Section 5: K = 5)."""

_DRAWS = 33  # keeps this generator apart from others with the same seed
_TRAIN, _HELDOUT = "train.parquet", "heldout.parquet"

Row = dict[str, Any]


def keep_late_share(data: Path, out: Path, share: float) -> None:
    """Write a data set with as many of another's questions as give a share of late ones, the first of each, in order.

    Args:
        data: folder of `train.parquet` and `heldout.parquet`, as the lab writes them. What is held out stays whole.
        out: folder to write; one that is complete is left as it is.
        share: of late questions, in [0, 1].

    Raises:
        ConfigError: `share` is outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"the share of late questions is {share}; it must be between 0 and 1")

    def choose(rows: list[Row]) -> list[Row]:
        late = sum(row["kind"] in LATE for row in rows)
        early = len(rows) - late
        number = min(late / share if share > 0 else early, early / (1 - share) if share < 1 else late)
        left = {True: round(share * number), False: round((1 - share) * number)}
        kept: list[Row] = []
        for row in rows:
            is_late = row["kind"] in LATE
            if left[is_late] > 0:
                left[is_late] -= 1
                kept.append(row)
        return kept

    _rewrite(data, out, choose)


def add_claims(data: Path, out: Path) -> None:
    """Write a data set with the rows of another and, behind each, some of its claims as questions.

    This is the rival of probes that needs no probes.

    Args:
        data: folder of `train.parquet` and `heldout.parquet`, as the lab writes them.
        out: folder to write; one that is complete is left as it is.
    """

    def ask(rows: list[Row]) -> list[Row]:
        asked: list[Row] = []
        for number, row in enumerate(rows):
            rng = np.random.default_rng([_DRAWS, number])
            asked.append(row)
            for place in rng.permutation(len(row["claims"]))[:CLAIMS_PER_IMAGE]:
                claim = row["claims"][place]
                question, answer = ask_claim(Claim(claim["text"], claim["is_true"]))
                asked.append(
                    {**row, "id": f"{row['id']}-claim-{place}", "problem": question, "answer": answer, "kind": "claim"}
                )
        return asked

    _rewrite(data, out, ask)


def _rewrite(data: Path, out: Path, change: Callable[[list[Row]], list[Row]]) -> None:
    import pyarrow
    import pyarrow.parquet

    if (out / _TRAIN).is_file():
        return
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(data / _HELDOUT, out / _HELDOUT)
    table = pyarrow.parquet.read_table(data / _TRAIN)
    with atomic_file(out / _TRAIN) as temporary:
        rows = change(table.to_pylist())
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=table.schema), temporary)
