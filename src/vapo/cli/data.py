"""`vapo data`: look at data sets."""

from __future__ import annotations

import argparse

from vapo.cli.data_options import add_data_options, read_columns
from vapo.cli.parser import RAW, Commands
from vapo.cli.progress import show_progress


def add_data(commands: Commands) -> None:
    group = commands.add_parser("data", help="look at data sets").add_subparsers(required=True, metavar="COMMAND")
    parser = group.add_parser(
        "inspect",
        help="what a data set holds, and every problem with its row",
        description="Print counts, sizes, claims and lengths of a data set, and every problem with its row number.",
        epilog="example: vapo data inspect lab --split heldout --processor lab",
        formatter_class=RAW,
    )
    add_data_options(parser, split="train", positional=True)
    parser.add_argument("--processor", metavar="MODEL", help="count prompt tokens under this model's processor")
    parser.add_argument("--system-prompt", help="text put before every question")
    parser.add_argument("--require-claims", action="store_true", help="count rows without claims as problems")
    parser.set_defaults(command=inspect)


def inspect(options: argparse.Namespace) -> int:
    from vapo.data.inspection import inspect_samples
    from vapo.data.inspection_table import format_inspection
    from vapo.lab.shipped import resolve_data, resolve_model

    processor = neutralise = None
    if options.processor:
        from vapo.engines.policy.checkpoint import load_processor
        from vapo.models.plain_text import make_neutraliser

        processor = load_processor(resolve_model(options.processor))
        neutralise = make_neutraliser(processor)
    inspection = inspect_samples(
        resolve_data(options.data),
        split=options.split,
        columns=read_columns(options),
        require_claims=options.require_claims,
        image_folder=options.image_folder,
        allow_urls=options.allow_urls,
        limit=options.limit,
        processor=processor,
        system_prompt=options.system_prompt,
        neutralise=neutralise,
        progress=show_progress("checking pictures"),
    )
    print(format_inspection(inspection))
    return 1 if inspection.problems and options.on_bad_row == "error" else 0
