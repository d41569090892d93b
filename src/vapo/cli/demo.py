"""`vapo demo`."""

from __future__ import annotations

import argparse
from pathlib import Path

from vapo.cli.parser import RAW, Commands
from vapo.cli.progress import show_progress
from vapo.lab.demo.recipe import RECIPE


def add_demo(commands: Commands) -> None:
    parser = commands.add_parser(
        "demo",
        help="train the lab's model with GRPO and with VAPO, and see on one page what each does to its perception",
        description="Train the lab's model twice from the same checkpoint, with the same seed and as many rollouts: "
        "with GRPO and with VAPO. Diagnose both and what they started from, and write one page that opens offline: "
        "learning curves, accuracy and perception by depth of the response, and every response with its anchors. "
        "Takes ten minutes on two CPU cores; the same command goes on where it was stopped.",
        epilog="example: vapo demo --out runs/demo",
        formatter_class=RAW,
    )
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder to write (default: runs/demo)")
    parser.add_argument(
        "--steps", type=int, default=RECIPE.steps, help=f"training steps of each run (default: {RECIPE.steps})"
    )
    parser.add_argument(
        "--questions",
        type=int,
        default=RECIPE.questions,
        help=f"held-out questions for each model (default: {RECIPE.questions})",
    )
    parser.add_argument("--seed", type=int, default=0, help="of training and of what is asked (default: 0)")
    parser.set_defaults(command=demo)


def demo(options: argparse.Namespace) -> int:
    from vapo.lab.demo.run import run_demo
    from vapo.lab.demo.table import format_outcome

    outcome = run_demo(
        options.out,
        steps=options.steps,
        questions=options.questions,
        seed=options.seed,
        on_progress=show_progress,
    )
    print(format_outcome(outcome, options.out))
    return 0
