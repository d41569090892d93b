"""`vapo verl`: runs on many machines."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from vapo.cli.data_options import add_data_options, load_questions, open_reader
from vapo.cli.parser import RAW, Commands
from vapo.cli.progress import show_progress


def add_verl(commands: Commands) -> None:
    group = commands.add_parser("verl", help="train on many machines, with verl on Ray").add_subparsers(
        required=True, metavar="COMMAND"
    )
    add_config(group)
    add_convert(group)
    add_check(group)


def add_config(group: Commands) -> None:
    parser = group.add_parser(
        "config",
        help="a run file of `vapo train` in verl's terms",
        description="Write the files that a run on verl needs, and print the commands that make its data, check the "
        "machines, and train. Takes run files of `vapo train` and the names of recipes.",
        epilog="example: vapo verl config qwen2_5_vl_7b --out runs/7b --nodes 4",
        formatter_class=RAW,
    )
    add = parser.add_argument
    add("recipe", help="run file, or name of a recipe; `vapo recipes` lists them")
    add("--out", type=Path, help="folder for the files, which all machines see (default: the run's output_dir)")
    add("--nodes", type=int, default=1, metavar="N", help="machines (default: 1)")
    add("--gpus-per-node", type=int, default=8, metavar="N", help="GPUs of each (default: 8)")
    add(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of `vapo train` in place of the run file's; may be given several times",
    )
    parser.set_defaults(command=config)


def add_convert(group: Commands) -> None:
    parser = group.add_parser(
        "convert",
        help="a data set as the rows that verl reads",
        description="Write a data set with claims as a Parquet file for verl: prompts, images, answers, and the "
        "claims beside them. Every row is checked first.",
        epilog="example: vapo verl convert lab --limit 100 --out train.parquet",
        formatter_class=RAW,
    )
    add_data_options(parser, split="train", positional=True)
    parser.add_argument("--out", type=Path, required=True, help="Parquet file to write")
    parser.add_argument("--system-prompt", help="text put before every question")
    parser.add_argument("--validation", action="store_true", help="rows to validate on, which are not probed")
    parser.add_argument("--processor", metavar="MODEL", help="refuse images of shapes that its processor refuses")
    parser.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the processor")
    parser.set_defaults(command=convert)


def add_check(group: Commands) -> None:
    parser = group.add_parser(
        "check",
        help="whether a run on verl can start: files, data, tokenizer, and every machine of the Ray cluster",
        description="Look through a folder of `vapo verl config`, its data and its model, and whether each machine of "
        "the running Ray cluster has the same vapo, verl and files. Takes no GPU.",
        epilog="example: vapo verl check runs/7b",
        formatter_class=RAW,
    )
    parser.add_argument("folder", type=Path, help="folder that `vapo verl config` wrote")
    parser.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the checkpoint")
    parser.set_defaults(command=check)


def config(options: argparse.Namespace) -> int:
    from vapo.training.option_names import check_changes

    check_changes(options.recipe, options.set)  # importing what follows takes long
    from vapo.lab.shipped import resolve_model
    from vapo.verl.derived import Machines
    from vapo.verl.planning import plan_recipe, save_files

    machines = Machines(options.nodes, options.gpus_per_node)
    planned = plan_recipe(options.recipe, options.set, machines, options.out, resolve_model=resolve_model)
    save_files(planned)
    print(f"# written to {planned.folder}: {', '.join(planned.run.files)}")
    print("\n".join(planned.run.commands))
    return 0


def convert(options: argparse.Namespace) -> int:
    from vapo.data.images import ImagePolicy
    from vapo.data.row_files import check_parquet_name
    from vapo.lab.shipped import resolve_data, resolve_model
    from vapo.verl.convert import convert as write

    check_parquet_name(options.out)
    processors: list[Any] = []
    if options.processor:
        from vapo.models.policy.checkpoint import load_processor

        processors = [load_processor(resolve_model(options.processor), options.trust_remote_code)]
    samples = load_questions(options, resolve_data(options.data), processors)
    reader, _ = open_reader(options, whole_rows=False)
    count = write(
        samples,
        reader,
        options.out,
        name=Path(options.data).name,
        validation=options.validation,
        system_prompt=options.system_prompt,
        policy=ImagePolicy(options.allow_urls),
        progress=show_progress("writing rows"),
    )
    print(f"{count} rows are in {options.out}")
    for problem in samples.skipped:
        print(f"left out: {problem}")
    if not processors:
        print("no shape of an image was checked: name the model that is trained with --processor")
    return 0


def check(options: argparse.Namespace) -> int:
    from vapo.verl.check import check_run

    checked = check_run(options.folder, trust_remote_code=options.trust_remote_code)
    print(f"the run can start: {checked.num_rows} rows, {checked.num_nodes} machine(s)")
    return 0
