"""`vapo lab`: the small real world."""

from __future__ import annotations

import argparse
from pathlib import Path

from vapo.cli.parser import RAW, Commands


def add_lab(commands: Commands) -> None:
    group = commands.add_parser("lab", help="the small real world").add_subparsers(required=True, metavar="COMMAND")
    parser = group.add_parser(
        "build",
        help="make the lab's data set, tokenizer and cold-started checkpoint",
        description="Make the lab from a seed: pictures of real handwritten digits, questions, claims with exact "
        "truth, and a small vision-language model that has learned to read them.",
        epilog="example: vapo lab build --out runs/lab",
        formatter_class=RAW,
    )
    parser.add_argument("--out", type=Path, default=Path("runs/lab"), help="folder to write (default: runs/lab)")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    parser.add_argument("--train-rows", type=int, default=2000, help="(default: 2000)")
    parser.add_argument("--heldout-rows", type=int, default=500, help="(default: 500)")
    parser.set_defaults(command=build)


def build(options: argparse.Namespace) -> int:
    from vapo.lab.build import build_lab

    lab = build_lab(options.out, seed=options.seed, train_rows=options.train_rows, heldout_rows=options.heldout_rows)
    print(f"checkpoint: {lab.checkpoint}\ntraining data: {lab.train}\nheld-out data: {lab.heldout}")
    if lab.ability is not None:
        print(lab.ability)
    return 0
