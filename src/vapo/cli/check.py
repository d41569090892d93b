"""`vapo check`."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vapo.cli.parser import RAW, Commands

if TYPE_CHECKING:
    from vapo.training.planned_run import ParsedRun

LAB = "lab"


def add_check(commands: Commands) -> None:
    parser = commands.add_parser(
        "check",
        help="look through a run before it takes its GPUs, and say what would stop it",
        description="Look through a run with its own model, data and options: versions, data, a prompt with its "
        "special tokens, think tags, tokens that are never sampled, the ways of computing compared with plain passes, "
        "some responses and their probes, memory, what vLLM and verl would refuse. Exits with status 1 if something "
        "would stop the run.",
        epilog="example: vapo check lab\n"
        "         vapo check qwen2_5_vl_7b --gpus 8x80 --set data=my.parquet\n"
        "         vapo check qwen2_5_vl_7b --gpus 8x80 --set data=my.parquet --offline-model",
        formatter_class=RAW,
    )
    parser.add_argument("run", help="a run file, the name of a recipe, a run's folder, or 'lab'")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another option of the run")
    parser.add_argument("--gpus", metavar="8x80", help="how many GPUs will train, and of how many GB (default: these)")
    parser.add_argument("--rows", type=int, default=200, help="of the data, from the first (default: 200)")
    parser.add_argument("--prompts", type=int, default=4, help="answered, each as often as in the run (default: 4)")
    parser.add_argument(
        "--max-completion-tokens", type=int, default=512, metavar="N", help="longest response (default: 512)"
    )
    parser.add_argument(
        "--offline-model", action="store_true", help="read no weights: build the model's outline of its configuration"
    )
    parser.add_argument("--device", default="auto", help="torch device (default: a GPU if there is one)")
    parser.add_argument("--dtype", default="auto", help="float32, bfloat16 or float16 (default: by device)")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.set_defaults(command=check)


def check(options: argparse.Namespace) -> int:
    from vapo.errors import ConfigError
    from vapo.planning.gpus import parse_gpus

    for name in ("rows", "prompts", "max_completion_tokens"):
        if getattr(options, name) < 1:
            raise ConfigError(f"--{name.replace('_', '-')} is {getattr(options, name)}; it must be at least 1")
    gpus = None if options.gpus is None else parse_gpus(options.gpus)
    parsed = parse(options.run, options.set)
    from vapo.check.check_run import CheckOptions, check_run
    from vapo.check.section import format_page, to_json
    from vapo.verl.obstacles import find_obstacles

    how = CheckOptions(
        rows=options.rows,
        num_prompts=options.prompts,
        max_completion_tokens=options.max_completion_tokens,
        gpus=gpus,
        has_weights=not options.offline_model,
        device=options.device,
        dtype=options.dtype,
    )
    with redirect_stdout(sys.stderr):  # what trainers say of themselves
        sections = check_run(parsed, how, lambda run: find_obstacles(run, parsed.given))
    print(json.dumps(to_json(sections), indent=2, default=str) if options.json else format_page(sections))
    return 1 if any(section.problems for section in sections) else 0


def parse(run: str, changes: list[str]) -> ParsedRun:
    from vapo.training.option_names import check_changes

    folder = Path(run)
    if run != LAB and not folder.is_dir():
        check_changes(run, changes)  # importing what follows takes long
    from vapo.lab.shipped import resolve_data, resolve_model
    from vapo.training.planned_run import parse_given_run, parse_planned_run, parse_recorded_run

    if run == LAB:
        lab = {"model_name_or_path": LAB, "data": LAB, "output_dir": "runs/lab"}
        parsed = parse_given_run(lab, changes, prog="vapo check")
    elif folder.is_dir():
        parsed = parse_recorded_run(folder, changes, prog="vapo check")
    else:
        parsed = parse_planned_run(run, changes, prog="vapo check")
    own = parsed.options
    own = replace(own, model_name=resolve_model(own.model_name), source=resolve_data(own.source))
    return replace(parsed, options=own)
