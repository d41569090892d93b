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
        "throughput. Of the model, the configuration alone is read; of data on this machine, the number of rows and, "
        "where nothing says how long prompts are, up to 200 prompts. Exits with status 1, and with what to change, if "
        "the run does not fit.",
        epilog="example: vapo plan qwen2_5_vl_7b --gpus 8x80 --rows 36000",
        formatter_class=RAW,
    )
    parser.add_argument("run", help="a run file, or the name of a recipe")
    parser.add_argument("--gpus", required=True, metavar="8x80", help="how many GPUs train, and of how many GB")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another option of the run")
    parser.add_argument(
        "--prompt-tokens",
        type=int,
        help="of the longest prompt; default: max_prompt_tokens, or measured on local data",
    )
    parser.add_argument(
        "--image-tokens", type=int, help="of these, those of images; default: measured, or all but 256"
    )
    parser.add_argument(
        "--rows", type=int, help="of the data, for the number of updates; default: those of local data"
    )
    parser.add_argument("--measured", type=Path, metavar="RUN", help="folder of a run, for its throughput")
    parser.add_argument(
        "--tokens-per-second", type=float, metavar="X", help="throughput: tokens of prompts and completions, all GPUs"
    )
    parser.set_defaults(command=plan)


def plan(options: argparse.Namespace) -> int:
    from vapo.planning.gpus import parse_gpus
    from vapo.training.option_names import check_changes

    gpus = parse_gpus(options.gpus)
    check_changes(options.run, options.set)  # importing what follows takes long
    from vapo.lab.shipped import resolve_data, resolve_model
    from vapo.planning.advice import advise, find_gpus
    from vapo.planning.hours import choose_throughput, estimate_hours
    from vapo.planning.local_data import look_at_data
    from vapo.planning.plan import plan_run
    from vapo.planning.table import write_plan
    from vapo.training.planned_run import parse_planned_run

    speed = choose_throughput(options.measured, options.tokens_per_second)
    # Where there is a GPU, a run computes in bfloat16 unless it says otherwise; here there may be none.
    parsed = parse_planned_run(options.run, options.set, prog="vapo plan", on_cpu=True)
    run = replace(parsed.options, model_name=resolve_model(parsed.options.model_name))
    needs_prompts = options.prompt_tokens is None and run.data.max_prompt_tokens is None
    data = look_at_data(run, resolve_data, needs_prompts=needs_prompts)
    measured = data.prompts if data is not None else None
    image_tokens = options.image_tokens
    if measured is not None and image_tokens is None:
        image_tokens = measured.image_tokens
    model_shape, planned = plan_run(
        run,
        gpus,
        prompt_tokens=measured.tokens if measured is not None else options.prompt_tokens,
        image_tokens=image_tokens,
        num_rows=data.num_rows if data is not None and options.rows is None else options.rows,
        given=parsed.given,
    )
    hours = None if speed is None else estimate_hours(planned, speed)
    steps = [] if planned.fits else advise(planned, model_shape)
    wider = None if planned.fits else find_gpus(planned, model_shape)
    if data is not None:
        print(data)
    print(write_plan(planned, hours, steps, wider))
    return 0 if planned.fits else 1
