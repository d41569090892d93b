"""`vapo data`: look at data sets."""

from __future__ import annotations

import argparse
from pathlib import Path

from vapo.cli.data_grade import add_grade
from vapo.cli.data_options import add_data_options, open_reader, read_columns, read_split
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
    add_grade(group)
    add_deduplicate(group)
    add_attach(group)


def add_deduplicate(group: Commands) -> None:
    parser = group.add_parser(
        "deduplicate",
        help="which images of a training set stand in evaluation data too, and the set without them",
        description="Compare the images of two data sets by their pixels and by a perceptual hash, which finds "
        "resized, recompressed and brightened copies. With --out, write the first one without the rows they have in "
        "common.",
        epilog="example: vapo data deduplicate train.parquet --against lab --against-split heldout --out rest.parquet",
        formatter_class=RAW,
    )
    add_data_options(parser, split="train", positional=True)
    add = parser.add_argument_group("evaluation data").add_argument
    add("--against", required=True, metavar="DATA", help="data set, named likewise")
    add("--against-split", metavar="SPLIT", help="(default: the only one, or test)")
    add("--against-images-column", default="images", metavar="NAME", help="(default: images)")
    add("--against-image-folder", type=Path, metavar="FOLDER", help="folder that its image paths are relative to")
    parser.add_argument("--max-distance", type=int, default=20, help="bits of 255 that may differ (default: 20)")
    parser.add_argument("--out", type=Path, help="Parquet file for the rows that are not in the evaluation data")
    parser.add_argument("--report", type=Path, help="JSON file for all pairs that were found")
    parser.set_defaults(command=deduplicate)


def add_attach(group: Commands) -> None:
    parser = group.add_parser(
        "attach",
        help="give the rows of a data set the claims of a store",
        description="Write a training set: the rows of a data set with the claims that a store holds about their "
        "images, as reviewers would have them, in place of those that they may have.",
        epilog="example: vapo data attach claims.db lab --limit 100 --out train.parquet",
        formatter_class=RAW,
    )
    parser.add_argument("store", type=Path, help="store of claims, see `vapo claims`")
    add_data_options(parser, split="train", positional=True)
    parser.add_argument("--as-made", action="store_true", help="ignore what reviewers say of claims")
    parser.add_argument("--out", type=Path, help="Parquet file (default: the data's name with _claims.parquet)")
    parser.set_defaults(command=attach)


def inspect(options: argparse.Namespace) -> int:
    from vapo.data.inspection import inspect_samples
    from vapo.data.inspection_table import format_inspection
    from vapo.lab.shipped import resolve_data, resolve_model

    processor = escape = None
    if options.processor:
        from vapo.models.plain_text import make_escaper
        from vapo.models.policy.checkpoint import load_processor

        processor = load_processor(resolve_model(options.processor))
        escape = make_escaper(processor)
    source = resolve_data(options.data)
    inspection = inspect_samples(
        source,
        split=read_split(options, source),
        columns=read_columns(options),
        require_claims=options.require_claims,
        image_folder=options.image_folder,
        allow_urls=options.allow_urls,
        limit=options.limit,
        processor=processor,
        system_prompt=options.system_prompt,
        escape=escape,
        progress=show_progress("checking images"),
    )
    print(format_inspection(inspection))
    return 1 if inspection.problems and options.on_bad_row == "error" else 0


def deduplicate(options: argparse.Namespace) -> int:
    from vapo.data.columns import Columns
    from vapo.data.duplicates import find_duplicates
    from vapo.data.duplicates_table import dump_duplicates, format_duplicates
    from vapo.data.images import ImagePolicy
    from vapo.data.row_files import check_parquet_name, write_rows
    from vapo.data.samples import prepare_reader
    from vapo.data.sources import choose_split
    from vapo.lab.shipped import resolve_data

    if options.out:
        check_parquet_name(options.out)
    policy = ImagePolicy(options.allow_urls)
    reader, count = open_reader(options, whole_rows=True)
    against = resolve_data(options.against)
    other, _ = prepare_reader(
        against,
        split=options.against_split or choose_split(against, "test"),
        columns=Columns(images=options.against_images_column),
        image_folder=options.against_image_folder,
    )
    duplicates = find_duplicates(
        reader,
        other,
        policy=policy,
        count=count,
        max_distance=options.max_distance,
        skip_bad_rows=options.on_bad_row == "skip",
        progress=show_progress("comparing images"),
    )
    print(format_duplicates(duplicates))
    if options.report:
        options.report.write_text(dump_duplicates(duplicates), encoding="utf-8")
    if options.out:
        write_rows(options.out, reader, duplicates.clean_rows, policy=policy)
        print(f"{len(duplicates.clean_rows)} rows without an image of the evaluation data are in {options.out}")
    return 0


def attach(options: argparse.Namespace) -> int:
    from functools import partial

    from vapo.claims.repair import find_pool
    from vapo.claims.store.store import Store
    from vapo.data.attachment import attach_claims
    from vapo.data.images import ImagePolicy
    from vapo.data.row_files import check_parquet_name

    out = options.out or Path(f"{Path(options.data).stem}_claims.parquet")
    check_parquet_name(out)
    with Store(options.store) as store:
        reader, count = open_reader(options, whole_rows=True)
        attached = attach_claims(
            reader,
            count,
            partial(find_pool, store, repaired=not options.as_made),
            out,
            policy=ImagePolicy(options.allow_urls),
            skip_bad_rows=options.on_bad_row == "skip",
            progress=show_progress("looking at images"),
        )
    print(f"{attached.num_rows} rows with {attached.num_claims} claims are in {out}")
    for problem in attached.left_out:
        print(f"left out: {problem}")
    return 0
