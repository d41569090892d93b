"""The options by which every command names its data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vapo.cli.parser import Parser
from vapo.cli.progress import show_progress

if TYPE_CHECKING:
    from vapo.data.columns import Columns
    from vapo.data.samples import Samples


def add_data_options(parser: Parser, *, split: str, positional: bool = False, needed: str = "") -> None:
    data_help = "data set on the hub, folder, parquet or JSONL file, or 'lab'"
    if positional:
        parser.add_argument("data", help=data_help)
    elif needed:
        parser.add_argument("--data", help=f"{data_help}; needed {needed}")
    else:
        parser.add_argument("--data", required=True, help=data_help)
    parser.add_argument("--split", default=split, help=f"(default: {split})")
    for role, default in (("question", "problem"), ("answer", "answer"), ("images", "images"), ("claims", "claims")):
        parser.add_argument(f"--{role}-column", default=default, metavar="NAME", help=f"(default: {default})")
    parser.add_argument("--image-folder", type=Path, help="folder that image paths are relative to")
    parser.add_argument("--on-bad-row", choices=("error", "skip"), default="error", help="(default: error)")
    parser.add_argument("--allow-urls", action="store_true", help="fetch images from the web")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N rows only")


def load_questions(options: argparse.Namespace, source: str) -> Samples:
    from vapo.data.samples import load_samples

    return load_samples(
        source,
        split=options.split,
        columns=read_columns(options),
        on_bad_row=options.on_bad_row,
        image_folder=options.image_folder,
        allow_urls=options.allow_urls,
        limit=options.limit,
        progress=show_progress("checking pictures"),
    )


def read_columns(options: argparse.Namespace) -> Columns:
    from vapo.data.columns import Columns

    return Columns(
        question=options.question_column,
        answer=options.answer_column,
        images=options.images_column,
        claims=options.claims_column,
    )
