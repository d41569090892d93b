"""Write a store's claims in the form that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from vapo.claims.exchange.hub_folder import write_hub_folder
from vapo.claims.exchange.json_lines import write_json_lines
from vapo.claims.exchange.parquet import write_parquet
from vapo.claims.exchange.rows import read_out
from vapo.claims.mending import count_mended
from vapo.claims.store.store import Store
from vapo.errors import DataError

Form = Literal["parquet", "jsonl", "hub-folder"]
FORMS: tuple[Form, ...] = get_args(Form)


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: rows and claims, and claims of the store that reviewers changed or left out."""

    num_rows: int
    num_claims: int
    num_changed: int
    num_left_out: int

    def __str__(self) -> str:
        mended = f", {self.num_changed} as reviewers mended them" if self.num_changed else ""
        left_out = f"; {self.num_left_out} were left out as unclear or disputed" if self.num_left_out else ""
        return f"{self.num_claims} claims of {self.num_rows} rows{mended}{left_out}"


def export_claims(store: Store, form: Form, out: Path, version: str, *, mended: bool = True) -> Exported:
    """Write the claims that are kept, row by row.

    Args:
        store: the store.
        form: one file, or a folder for the Hugging Face hub.
        out: where to.
        version: of vapo, for the card of a folder.
        mended: whether claims are as their reviewers would have them, or as they were made.

    Raises:
        DataError: the store has no rows.
        ConfigError: `out` is a folder with other files.
        OSError: it cannot be written.
    """
    if store.read_one("SELECT 1 FROM rows") is None:
        raise DataError(f"{store.path} holds no rows; make claims with `vapo claims make`, or import some")
    if form == "hub-folder":
        counts = write_hub_folder(out, store, version, mended=mended)
    else:
        write = write_parquet if form == "parquet" else write_json_lines
        counts = write(out, read_out(store, mended=mended))
    return Exported(*counts, *(count_mended(store) if mended else (0, 0)))
