"""`vapo demo`."""

from __future__ import annotations

import argparse
from pathlib import Path

from vapo.cli.parser import RAW, Commands
from vapo.cli.progress import show_progress


def add_demo(commands: Commands) -> None:
    parser = commands.add_parser(
        "demo",
        help="a short VAPO run on the lab model: accuracy and perception before and after",
        description="Train the shipped lab model with VAPO for some minutes on a CPU and show what changed.",
        epilog="example: vapo demo --out runs/demo",
        formatter_class=RAW,
    )
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder of the run (default: runs/demo)")
    parser.add_argument("--steps", type=int, default=40, help="training steps (default: 40)")
    parser.add_argument("--questions", type=int, default=200, help="held-out questions asked (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    parser.set_defaults(command=demo)


def demo(options: argparse.Namespace) -> int:
    from vapo.lab.demo import format_demo, run_demo

    result = run_demo(
        options.out,
        steps=options.steps,
        questions=options.questions,
        seed=options.seed,
        on_progress=show_progress,
    )
    print(format_demo(result))
    return 0
