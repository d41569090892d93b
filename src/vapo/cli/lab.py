"""`vapo lab`: the small real world."""

from __future__ import annotations

import argparse
from pathlib import Path

from vapo.cli.parser import RAW, Commands


def add_lab(commands: Commands) -> None:
    lab = commands.add_parser("lab", help="the small real world")
    lab.moved = {name: f"python -m studies {name}" for name in ("compare", "build", "ablate")}
    group = lab.add_subparsers(required=True, metavar="COMMAND")
    parser = group.add_parser(
        "save",
        help="save the lab's models for vLLM",
        description="Save a checkpoint of the lab in the form that `vllm serve` reads: the model, or the copy of it "
        "that writes claims.",
        epilog="example: vapo lab save --out lab-for-vllm\n"
        "         vapo lab save --model lab-writer --out writer-for-vllm",
        formatter_class=RAW,
    )
    parser.add_argument(
        "--model", default="lab", help="lab, lab-writer, or the folder of one trained from them (default: lab)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    parser.set_defaults(command=save)
    parser = group.add_parser(
        "score",
        help="how many labels of claims about the lab's images are right",
        description="Compare the labels in a store of claims with what the lab's images are known to show.",
        epilog="example: vapo lab score claims.db",
        formatter_class=RAW,
    )
    parser.add_argument("store", type=Path, help="the store")
    parser.add_argument("--split", choices=("train", "heldout"), default="train", help="(default: train)")
    parser.set_defaults(command=score)


def save(options: argparse.Namespace) -> int:
    from vapo.lab.serving import save_for_vllm

    print(f"the lab's checkpoint for vLLM is in {save_for_vllm(options.out, options.model)}")
    return 0


def score(options: argparse.Namespace) -> int:
    from vapo.claims.store.store import Store
    from vapo.lab.claim_truth import score_claims
    from vapo.lab.judge import read_grids
    from vapo.lab.shipped import shipped_data

    with Store(options.store) as store:
        print(score_claims(store, read_grids(shipped_data(options.split))))
    return 0
