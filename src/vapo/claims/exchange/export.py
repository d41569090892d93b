"""Write a store's claims as a file, or as a folder that can be uploaded to the Hugging Face hub as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from vapo.claims.contents import count_contents
from vapo.claims.exchange.card import write_card
from vapo.claims.exchange.formats import split_shards, write_json_lines, write_parquet
from vapo.claims.exchange.rows import export_rows
from vapo.claims.quality.quality import measure_quality
from vapo.claims.repair import count_repaired
from vapo.claims.store.store import Store
from vapo.errors import ConfigError, DataError

CARD = "README.md"


def write_hub_folder(folder: Path, store: Store, version: str, *, repaired: bool = True) -> tuple[int, int]:
    """Write a store's claims with a card that tells how they were made and how good they are.

    Args:
        folder: made if it is not there; what it may hold must be such a folder.
        store: the store.
        version: of vapo, for the card.
        repaired: whether claims are as their reviewers would have them, or as they were made.

    Returns:
        How many rows and how many claims were written.

    Raises:
        ConfigError: the folder holds something else.
        OSError: it cannot be written.
    """
    data = folder / "data"
    old = sorted(data.glob("train-*.parquet"))
    foreign = [file.name for file in folder.iterdir() if file.name not in (CARD, "data")] if folder.is_dir() else []
    foreign += [file.name for file in data.iterdir() if file not in old] if data.is_dir() else []
    if foreign or (folder.is_dir() and (folder / CARD).exists() and not old):
        raise ConfigError(f"{folder} holds other files ({', '.join(foreign) or CARD}); choose an empty folder")
    data.mkdir(parents=True, exist_ok=True)
    num_rows = num_claims = 0
    written: list[Path] = []
    for shard in split_shards(export_rows(store, repaired=repaired)):
        written.append(data / f"train-{len(written):05d}.parquet")
        rows, claims = write_parquet(written[-1], shard)
        num_rows, num_claims = num_rows + rows, num_claims + claims
    for file in old:
        if file not in written:
            file.unlink()
    contents, quality = count_contents(store), measure_quality(store)
    card = write_card(folder.resolve().name, num_rows, num_claims, contents, quality, version)
    (folder / CARD).write_text(card, encoding="utf-8")
    return num_rows, num_claims


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
        repaired = f", {self.num_changed} as reviewers corrected them" if self.num_changed else ""
        left_out = f"; {self.num_left_out} were left out as unclear or disputed" if self.num_left_out else ""
        return f"{self.num_claims} claims of {self.num_rows} rows{repaired}{left_out}"


def export_claims(store: Store, form: Form, out: Path, version: str, *, repaired: bool = True) -> Exported:
    """Write the claims that are kept, row by row.

    Args:
        store: the store.
        form: one file, or a folder for the Hugging Face hub.
        out: where to.
        version: of vapo, for the card of a folder.
        repaired: whether claims are as their reviewers would have them, or as they were made.

    Raises:
        DataError: the store has no rows.
        ConfigError: `out` is a folder with other files.
        OSError: it cannot be written.
    """
    if store.read_one("SELECT 1 FROM rows") is None:
        raise DataError(f"{store.path} holds no rows; make claims with `vapo claims make`, or import some")
    if form == "hub-folder":
        counts = write_hub_folder(out, store, version, repaired=repaired)
    else:
        write = write_parquet if form == "parquet" else write_json_lines
        counts = write(out, export_rows(store, repaired=repaired))
    return Exported(*counts, *(count_repaired(store) if repaired else (0, 0)))
