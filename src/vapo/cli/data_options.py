"""The options by which every command names its data: those of a run, as far as the command reads them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, get_type_hints

from vapo.algorithms.options import list_choices
from vapo.cli.parser import Parser
from vapo.cli.progress import show_progress
from vapo.data.options import DataOptions

if TYPE_CHECKING:
    from vapo.data.columns import Columns
    from vapo.data.row_reader import RowReader
    from vapo.data.samples import Samples

IMAGES = (
    "data", "split", "question_column", "answer_column", "images_column", "id_column", "image_folder", "allow_urls",
    "limit",
)  # fmt: skip
"""What a command asks for that looks at images alone, where questions and answers may be missing."""

ROWS = (*IMAGES, "claims_column", "on_bad_row")
"""What a command asks for that reads whole rows."""


THINK_TAGS_HELP = (
    "tags around the thinking part: auto, tokenizer, text, or two tags (default: those of the model's run, else auto)"
)


def add_data_options(
    parser: Parser, *, split: str, positional: bool = False, needed: str = "", names: Sequence[str] = ROWS
) -> None:
    hints = get_type_hints(DataOptions)
    for option in (option for option in fields(DataOptions) if option.name in names):
        spelling, words = f"--{option.name.replace('_', '-')}", describe_option(option, hints[option.name])
        if option.name == "data" and positional:
            spelling = "data"
        elif option.name == "data":
            words |= {"required": not needed, "help": f"{words['help']}; needed {needed}" if needed else words["help"]}
        elif option.name == "split":
            words |= {"default": None, "help": f"split of it (default: the only one, or {split})"}
        parser.add_argument(spelling, **words)
    parser.set_defaults(preferred_split=split)


def describe_option(option: Any, hint: Any) -> dict[str, Any]:
    """Return how argparse takes an option of a run."""
    meaning = option.metadata["help"][0].lower() + option.metadata["help"][1:].rstrip(".")
    if hint is bool:
        return {"action": "store_true", "help": meaning}
    shown = meaning if option.default is None else f"{meaning} (default: {option.default})"
    choices = list_choices(hint) or None
    kind = int if "int" in str(hint) else str
    return {"type": kind, "choices": choices, "default": option.default, "help": shown}


def read_split(options: argparse.Namespace, source: str) -> str | None:
    """Return the split to read: the one named, or the one that the command prefers."""
    from vapo.data.sources import choose_split

    return options.split if options.split is not None else choose_split(source, options.preferred_split)


def load_questions(options: argparse.Namespace, source: str, processors: Sequence[Any] = ()) -> Samples:
    from vapo.data.samples import load_samples

    return load_samples(
        source,
        split=read_split(options, source),
        columns=read_columns(options),
        on_bad_row=options.on_bad_row,
        image_folder=options.image_folder,
        allow_urls=options.allow_urls,
        limit=options.limit,
        progress=show_progress("checking images"),
        processors=processors,
    )


def load_processors(models: Sequence[str], trust_remote_code: bool) -> list[Any]:
    """Return the processors of models by name, each once."""
    from vapo.lab.shipped import resolve_model
    from vapo.models.policy.checkpoint import find_parts, load_processor

    named = dict.fromkeys(find_parts(resolve_model(name)).processor for name in models)
    return [load_processor(source, trust_remote_code) for source in named]


def open_reader(options: argparse.Namespace, *, whole_rows: bool) -> tuple[RowReader, int]:
    from vapo.data.samples import prepare_reader
    from vapo.lab.shipped import resolve_data

    source = resolve_data(options.data)
    return prepare_reader(
        source,
        split=read_split(options, source),
        columns=read_columns(options),
        image_folder=options.image_folder,
        limit=options.limit,
        whole_rows=whole_rows,
    )


def read_columns(options: argparse.Namespace) -> Columns:
    from vapo.data.columns import DEFAULT_COLUMNS, Columns

    return Columns(
        question=options.question_column,
        answer=options.answer_column,
        images=options.images_column,
        claims=vars(options).get("claims_column", DEFAULT_COLUMNS.claims),
        id=options.id_column,
    )
