"""The command line: `python -m benchmarks probe|step|whole|methods|floor|growth|attention|claims|store|rows`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

import torch

from benchmarks.clock import CLOCKS
from benchmarks.models import SHAPES
from benchmarks.settings import Settings

QUICK_REPEATS = {"step": 1, "whole": 1, "methods": 1}
"""Rounds that fit into a minute on two cores, where these are not two."""
QUICK_RESPONSES = 2

AXES: Mapping[str, tuple[type, str]] = {
    "group": (int, "completions of the prompt"),
    "probes": (int, "questions to each completion"),
    "image_tokens": (int, "tokens of the image"),
    "completion_tokens": (int, "tokens of each completion"),
    "concurrency": (int, "claims: requests at a time"),
    "latency_s": (float, "claims: seconds until a request is answered"),
    "waves": (int, "claims: images over requests at a time"),
    "images": (int, "store: images"),
    "prompts": (int, "rows: prompts of a rollout"),
    "micro_steps": (int, "rows: micro-steps that train on a rollout"),
}
"""What grids vary, by the names of the works' fields."""


def main(arguments: list[str] | None = None) -> int:
    """Run one benchmark and print what it found."""
    options = _parse(arguments)
    benchmark = import_module(f"benchmarks.{options.benchmark}")
    settings = Settings(
        model=options.model,
        device=options.device,
        threads=options.threads,
        repeats=options.repeats or (QUICK_REPEATS.get(options.benchmark, 2) if options.quick else Settings().repeats),
        clock=options.clock,
        checkpointing=not options.no_checkpointing,
        responses=QUICK_RESPONSES if options.quick else None,
    )
    torch.set_num_threads(settings.threads)
    works = _choose_works(benchmark, options)
    report = benchmark.run(settings, works)
    report.print()
    if options.json is not None:
        report.write(options.json)
    return 0


def _choose_works(benchmark: Any, options: argparse.Namespace) -> Sequence[Any]:
    """Return the benchmark's named point or grid, or the grid that the options span from its first point."""
    if options.quick:
        return benchmark.QUICK
    base = benchmark.QUICK[0]
    given = {axis: values for axis in AXES if (values := getattr(options, axis)) is not None}
    foreign = sorted(given.keys() - {field.name for field in fields(base)})
    if foreign:
        raise SystemExit(f"{options.benchmark} has no --{foreign[0].replace('_', '-')}; see --help")
    if not given:
        return benchmark.GRID
    return [replace(base, **dict(zip(given, point, strict=True))) for point in product(*given.values())]


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=sys.modules["benchmarks"].__doc__)
    parser.add_argument(
        "benchmark",
        choices=("probe", "step", "whole", "methods", "floor", "growth", "attention", "claims", "store", "rows"),
    )
    parser.add_argument("--quick", action="store_true", help="one grid point, in under a minute on two cores")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the findings there as well")
    parser.add_argument("--model", choices=SHAPES, help="default: 10m on a CPU, 3b on CUDA")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="CPU threads (default: %(default)s)"
    )
    parser.add_argument("--repeats", type=int, help=f"timed rounds (default: {Settings().repeats}, quick 1 or 2)")
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="cpu: computing time, for a machine that is busy"
    )
    parser.add_argument(
        "--no-checkpointing", action="store_true", help="step: keep activations; TRL's default is not to"
    )
    for axis, (kind, meaning) in AXES.items():
        parser.add_argument(f"--{axis.replace('_', '-')}", type=kind, nargs="+", metavar="N", help=f"grid: {meaning}")
    options = parser.parse_args(arguments)
    options.model = options.model or ("3b" if options.device == "cuda" else "10m")
    return options


if __name__ == "__main__":
    sys.exit(main())
