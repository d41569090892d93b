"""`vapo claims import` and `vapo claims export`."""

from __future__ import annotations

import argparse
from pathlib import Path

from vapo.cli.data_options import ROWS, add_data_options, read_columns, read_split
from vapo.cli.parser import RAW, Commands
from vapo.cli.progress import show_progress


def add_import(group: Commands) -> None:
    parser = group.add_parser(
        "import",
        help="take claims over from a data set or table",
        description="Put the claims of a data set into a store: a column of {text, is_true}, the numbered columns of "
        "the published training data, or a CSV file with one claim a line. The same file can be imported twice.",
        epilog="example: vapo claims import train.parquet --out claims.db\n"
        "         vapo claims import claims.csv --image-folder photos --out claims.db",
        formatter_class=RAW,
    )
    add_data_options(parser, split="train", positional=True, names=ROWS)
    add = parser.add_argument
    add("--out", type=Path, required=True, help="the store, made if it is not there")
    add("--maker", metavar="NAME", help="who made the claims (default: the file's name)")
    add("--max-pixels", type=int, default=1_003_520, help="of an image as it is kept (default: 1003520)")
    parser.set_defaults(command=import_claims)


def add_export(group: Commands) -> None:
    parser = group.add_parser(
        "export",
        help="write claims to a file, or to a folder for the Hugging Face hub",
        description="Write the claims that are kept, row by row, as reviewers would have them: labels found wrong are "
        "put right, what is unclear or disputed is left out. A folder for the hub gets a card that tells how the "
        "claims were made and how good they are.",
        epilog="example: vapo claims export claims.db --to hub-folder --out my-claims\n"
        "         vapo claims export claims.db --to jsonl --out claims.jsonl",
        formatter_class=RAW,
    )
    add = parser.add_argument
    add("store", type=Path, help="the store")
    add("--to", required=True, choices=("parquet", "jsonl", "hub-folder"), help="form")
    add("--out", type=Path, required=True, help="file or folder to write")
    add("--as-made", action="store_true", help="ignore what reviewers say")
    add("--overwrite", action="store_true", help="replace the file, or an export that the folder holds")
    parser.set_defaults(command=export)


def import_claims(options: argparse.Namespace) -> int:
    from vapo.claims.exchange.rows import import_rows, prepare_rows
    from vapo.claims.store.store import Store
    from vapo.data.claimed import ClaimedRows
    from vapo.lab.shipped import resolve_data

    source = resolve_data(options.data)
    rows = ClaimedRows(
        source,
        split=read_split(options, source),
        columns=read_columns(options),
        image_folder=options.image_folder,
        allow_urls=options.allow_urls,
        limit=options.limit,
        skip_bad_rows=options.on_bad_row == "skip",
        progress=show_progress("importing"),
    )
    maker = options.maker if options.maker is not None else Path(options.data).name
    with Store(options.out, create=True) as store:
        imported = import_rows(store, prepare_rows(rows, maker, options.max_pixels))
    print(imported)
    for problem in rows.problems:
        print(f"left out: {problem}")
    print(f"the claims are in {options.out}; see `vapo claims stats {options.out}`")
    return 0


def export(options: argparse.Namespace) -> int:
    from vapo.claims.exchange.export import CARD, export_claims
    from vapo.claims.store.store import Store
    from vapo.errors import ConfigError
    from vapo.versions import OWN

    if not options.overwrite and (options.out.is_file() or options.out.joinpath(CARD).is_file()):
        raise ConfigError(f"{options.out} is there already; name another place, or replace it with --overwrite")
    with Store(options.store) as store:
        exported = export_claims(store, options.to, options.out, OWN, repaired=not options.as_made)
    print(f"{exported} are in {options.out}")
    return 0
