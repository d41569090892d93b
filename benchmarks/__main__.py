"""The command line: `python -m benchmarks probe|step|floor|growth|attention`."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from itertools import product
from pathlib import Path

import torch

from benchmarks.clock import CLOCKS
from benchmarks.models import SHAPES
from benchmarks.rollouts import Work
from benchmarks.settings import Settings

QUICK_REPEATS = {"step": 1}
"""Rounds that fit into a minute on two cores, where these are not two."""
QUICK_RESPONSES = 2


def main(arguments: list[str] | None = None) -> int:
    """Run one benchmark and print what it found."""
    options = _parse(arguments)
    benchmark = import_module(f"benchmarks.{options.benchmark}")
    settings = Settings(
        model=options.model,
        device=options.device,
        threads=options.threads,
        repeats=options.repeats or (QUICK_REPEATS.get(options.benchmark, 2) if options.quick else Settings.repeats),
        clock=options.clock,
        checkpointing=not options.no_checkpointing,
        responses=QUICK_RESPONSES if options.quick else None,
    )
    torch.set_num_threads(settings.threads)
    axes = [options.group, options.probes, options.image_tokens, options.completion_tokens]
    if options.quick:
        works = benchmark.QUICK
    elif any(axes):
        base = benchmark.QUICK[0]
        own = [base.group, base.probes, base.image_tokens, base.completion_tokens]
        works = tuple(
            Work(*point) for point in product(*([v] if a is None else a for a, v in zip(axes, own, strict=True)))
        )
    else:
        works = benchmark.GRID
    report = benchmark.run(settings, works)
    report.print()
    if options.json is not None:
        report.write(options.json)
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=sys.modules["benchmarks"].__doc__)
    parser.add_argument("benchmark", choices=("probe", "step", "floor", "growth", "attention"))
    parser.add_argument("--quick", action="store_true", help="one grid point, in under a minute on two cores")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the findings there as well")
    parser.add_argument("--model", choices=SHAPES, help="default: 10m on a CPU, 3b on CUDA")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="CPU threads (default: %(default)s)"
    )
    parser.add_argument("--repeats", type=int, help=f"timed rounds (default: {Settings.repeats}, quick 1 or 2)")
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="cpu: computing time, for a machine that is busy"
    )
    parser.add_argument(
        "--no-checkpointing", action="store_true", help="step: keep activations; TRL's default is not to"
    )
    for name, meaning in (
        ("group", "completions of the prompt"),
        ("probes", "questions to each completion"),
        ("image-tokens", "tokens of the picture"),
        ("completion-tokens", "tokens of each completion"),
    ):
        parser.add_argument(f"--{name}", type=int, nargs="+", metavar="N", help=f"grid: {meaning}")
    options = parser.parse_args(arguments)
    options.model = options.model or ("3b" if options.device == "cuda" else "10m")
    return options


if __name__ == "__main__":
    sys.exit(main())
