"""`vapo plan`."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from vapo.cli.parser import RAW, Commands


def add_plan(commands: Commands) -> None:
    parser = commands.add_parser(
        "plan",
        help="say what a run needs of its GPUs, and what to change if it does not fit",
        description="Say what a run needs: memory of a GPU by part, tokens and passes of an update, hours by a "
        "throughput. The model's configuration alone is read. Exits with status 1, and with what to change, if the "
        "run does not fit.",
        epilog="example: vapo plan qwen2_5_vl_7b --gpus 8x80 --rows 36000",
        formatter_class=RAW,
    )
    parser.add_argument("run", help="a run file, or the name of a recipe")
    parser.add_argument("--gpus", required=True, metavar="8x80", help="how many GPUs train, and of how many GB")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another option of the run")
    parser.add_argument("--prompt-tokens", type=int, help="of the longest prompt; default: max_prompt_tokens")
    parser.add_argument("--image-tokens", type=int, help="of these, those of images; default: all but 256")
    parser.add_argument("--rows", type=int, help="of the data, for the number of updates")
    parser.add_argument("--measured", type=Path, metavar="RUN", help="folder of a run, for its throughput")
    parser.add_argument(
        "--tokens-per-second", type=float, metavar="X", help="throughput: tokens of prompts and completions, all GPUs"
    )
    parser.set_defaults(command=plan)


def plan(options: argparse.Namespace) -> int:
    from vapo.lab.shipped import resolve_model
    from vapo.planning.advice import advise, find_gpus
    from vapo.planning.gpus import parse_gpus
    from vapo.planning.hours import choose_throughput, estimate_hours
    from vapo.planning.plan import plan_run
    from vapo.planning.table import write_plan
    from vapo.training.planned_run import parse_planned_run

    gpus = parse_gpus(options.gpus)
    speed = choose_throughput(options.measured, options.tokens_per_second)
    # Where there is a GPU, a run computes in bfloat16 unless it says otherwise; here there may be none.
    parsed = parse_planned_run(options.run, options.set, prog="vapo plan", on_cpu=True)
    model_shape, planned = plan_run(
        replace(parsed.options, model_name=resolve_model(parsed.options.model_name)),
        gpus,
        prompt_tokens=options.prompt_tokens,
        image_tokens=options.image_tokens,
        num_rows=options.rows,
        given=parsed.given,
    )
    hours = None if speed is None else estimate_hours(planned, speed)
    steps = [] if planned.fits else advise(planned, model_shape)
    wider = None if planned.fits else find_gpus(planned, model_shape)
    print(write_plan(planned, hours, steps, wider))
    return 0 if planned.fits else 1
