"""Peak memory of one side: what it needs beyond the model and the work, which are there before it starts.

On CUDA PyTorch counts. On a CPU each side runs in a process of its own, since memory that one side has freed need not
have gone back to the system; the system's high-water mark is set back once model and work are built (Linux).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import torch

from benchmarks.rollouts import Work
from benchmarks.settings import Settings

ROOT = Path(__file__).parents[1]


def measure_peaks(benchmark: str, sides: Sequence[tuple[str, Work]], settings: Settings) -> list[int | None]:
    """Return the peak of each side in bytes, or None where it cannot be had.

    Args:
        benchmark: name of a module of `benchmarks` with a function `prepare`.
        sides: names of its sides, each with the work it is to do.
        settings: of the run.
    """
    if not settings.memory:
        return [None] * len(sides)
    if settings.device == "cuda":
        prepare = import_module(f"benchmarks.{benchmark}").prepare
        return [_measure_on_cuda(prepare(side, settings, work)) for side, work in sides]
    if not sys.platform.startswith("linux"):
        return [None] * len(sides)
    # Side by side, on one thread each: memory does not depend on how fast they go.
    with ThreadPoolExecutor(settings.threads) as pool:
        return list(pool.map(lambda side: _measure_in_process(benchmark, side[0], settings, side[1]), sides))


def _measure_on_cuda(run: Callable[[], object]) -> int:
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run()
    return torch.cuda.max_memory_allocated() - before


def _measure_in_process(benchmark: str, side: str, settings: Settings, work: Work) -> int:
    order = {"benchmark": benchmark, "side": side, "settings": asdict(settings), "work": asdict(work)}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", json.dumps(order)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"measuring the memory of {benchmark}, {side} failed:\n{done.stderr[-3000:]}")
    return int(done.stdout.splitlines()[-1])


def _carry_out(order: dict[str, dict[str, object]]) -> int:
    torch.set_num_threads(1)
    prepare = import_module(f"benchmarks.{order['benchmark']}").prepare
    run = prepare(order["side"], Settings(**order["settings"]), Work(**order["work"]))  # pyright: ignore
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark falls back to what is held now
    before = _high_water_mark()
    run()
    return _high_water_mark() - before


def _high_water_mark() -> int:
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])


if __name__ == "__main__":
    print(_carry_out(json.loads(sys.argv[1])))
