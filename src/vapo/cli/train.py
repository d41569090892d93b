"""`vapo train`."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser
from collections.abc import Sequence
from dataclasses import replace

from vapo.cli.parser import RAW, Commands

EXAMPLE = """\
example:
  vapo train --config run.yaml --learning_rate 1e-5
  vapo train --config qwen2_5_vl_7b --data my.parquet    (a recipe; `vapo recipes` lists them)
  vapo train --config run.yaml --accelerate_config fsdp2 --num_processes 4

  where run.yaml holds any of these options:
    model_name_or_path: lab
    data: lab
    output_dir: runs/first
    num_generations: 8
    num_anchors: 8
    max_steps: 100
"""


def add_train(commands: Commands) -> None:
    commands.add_parser("train", help="train a model with VAPO or GRPO", add_help=False)


def print_help() -> None:
    """Print the options of a run without importing what declares them, if that can be done."""
    from vapo.training.declared_options import UNKNOWN, UnreadableSourceError, read_run_options

    try:
        groups = read_run_options()
    except UnreadableSourceError:
        from vapo.training.options import import_run_options

        groups = {"Options": import_run_options()}
    usage = "vapo train [--config FILE] [--NAME VALUE ...]"
    parser = ArgumentParser("vapo train", usage, epilog=EXAMPLE, formatter_class=RAW, add_help=False)
    parser.add_argument("--config", metavar="FILE", help="run file with any of these options, or name of a recipe")
    for title, options in groups.items():
        group = parser.add_argument_group(title)
        for option in options:
            default = "" if option.default in (UNKNOWN, None, "", SUPPRESS) else f" (default: {option.default})"
            value = "true|false" if isinstance(option.default, bool) else "VALUE"
            value = f"{{{','.join(option.choices)}}}" if option.choices else value
            group.add_argument(f"--{option.name}", metavar=value, help=f"{option.help}{default}".replace("%", "%%"))
    parser.print_help()


def train(arguments: Sequence[str]) -> int:
    from vapo.training.option_names import check_words

    check_words(arguments)  # importing what follows takes long
    from vapo.lab.shipped import resolve_data, resolve_model
    from vapo.training.launch import launch, wants_launch
    from vapo.training.options import read_options
    from vapo.training.run import leave_other_processes
    from vapo.training.run import train as run

    given = read_options(arguments)
    processes = given.parse_launch()
    if wants_launch(processes):
        return launch(processes, arguments)
    options = given.parse_run()
    options = replace(options, model_name=resolve_model(options.model_name), source=resolve_data(options.source))
    finished = run(options)
    if options.training.process_index == 0:
        if finished.stopped is not None:
            print(f"the run was ended: {finished.stopped}")
        print(f"{finished.steps} steps done ({finished.new_steps} of them now); the policy is in {finished.folder}")
    leave_other_processes()
    return 0
