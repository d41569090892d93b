"""Claims as a folder that can be uploaded to the Hugging Face hub as it is: Parquet files and a card."""

from __future__ import annotations

from pathlib import Path

from vapo.claims.contents import count_contents
from vapo.claims.exchange.card import write_card
from vapo.claims.exchange.parquet import split_shards, write_parquet
from vapo.claims.exchange.rows import read_out
from vapo.claims.quality.quality import measure_quality
from vapo.claims.store.store import Store
from vapo.errors import ConfigError

CARD = "README.md"


def write_hub_folder(folder: Path, store: Store, version: str, *, mended: bool = True) -> tuple[int, int]:
    """Write a store's claims with a card that tells how they were made and how good they are.

    Args:
        folder: made if it is not there; what it may hold must be such a folder.
        store: the store.
        version: of vapo, for the card.
        mended: whether claims are as their reviewers would have them, or as they were made.

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
    for shard in split_shards(read_out(store, mended=mended)):
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
