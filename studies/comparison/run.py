"""Train and measure every arm with every seed, and write down what came of it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from studies.cold_start.build import build_lab
from studies.cold_start.sizes import SIZES, Size
from vapo.atomic_files import write_atomically
from vapo.diagnosis.row_log import make_folder
from vapo.errors import ConfigError
from vapo.lab.processes.side_by_side import Job, Progress, run_side_by_side
from vapo.lab.shipped import resolve_data, shipped_checkpoint
from vapo.run_folder import SETTINGS, adopt_settings

from .arms import START, Arm
from .order import Order
from .results import ENTROPY, SECONDS, Run, summarise_run
from .rows import join_runs, read_responses
from .scale import Scale
from .steps import join_steps, read_steps
from .training_data import add_claims, keep_late_share


@dataclass(frozen=True, slots=True)
class Lab:
    """Where all runs of a comparison start: a checkpoint, and a folder of `train.parquet` and `heldout.parquet`."""

    checkpoint: str
    data: str


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison left behind.

    Attributes:
        results: numbers by arm and seed.
        rows: file of all measured responses.
        steps: file of every step of every run.
    """

    results: Mapping[str, Mapping[int, Run]]
    rows: Path
    steps: Path


def prepare_lab(out: Path, size: Size, folder: Path | None = None) -> Lab:
    """Return the lab that a comparison of a size starts from: one that was built, the shipped one, or one made now.

    Raises ConfigError if there is no finished lab in `folder`.
    """
    if folder is None:
        if size == "small":
            return Lab(str(shipped_checkpoint()), resolve_data("lab"))
        folder = out / "lab"
        build_lab(folder, train_rows=20_000, heldout_rows=1000, size=SIZES[size].model, plan=SIZES[size].plan)
    elif not (folder / "checkpoint" / "README.md").is_file():
        raise ConfigError(
            f"there is no finished lab in {folder}; make one with `python -m studies build --out {folder}`"
        )
    return Lab(str(folder / "checkpoint"), str(folder))


def choose_jobs() -> int:
    """Return how many runs share this machine: one a core, or one where there is a GPU."""
    return 1 if torch.cuda.is_available() else os.cpu_count() or 1


def run_arms(
    out: Path,
    name: str,
    arms: Sequence[Arm],
    seeds: Sequence[int],
    scale: Scale,
    lab: Lab,
    *,
    late_share: float | None = None,
    jobs: int,
    on_progress: Progress,
) -> Compared:
    """Carry out every arm with every seed; stopped and called again, it goes on where it was.

    Args:
        out: folder of it all; each run has its own in it, `ARM/seed-N`. Comparisons that share the folder share runs.
        name: of this comparison's files: `NAME.parquet`, `NAME-steps.parquet` and `NAME.json`.
        arms: what is compared.
        seeds: of training.
        scale: what all arms have in common.
        lab: what all start from.
        late_share: share of late questions in training, in [0, 1]; None leaves the lab's own.
        jobs: runs at a time.
        on_progress: told each stage of each run.

    Raises:
        ConfigError: there are no seeds, jobs or steps, `late_share` is outside [0, 1], or `out` holds a comparison of
            another scale, lab or share.
        VapoError: a run failed.
    """
    if len(seeds) == 0 or jobs < 1 or scale.steps < 1:
        given = f"{len(seeds)} seeds, {jobs} jobs at a time and {scale.steps} steps"
        raise ConfigError(f"there are {given}; give at least one of each")
    make_folder(out)
    settings = {"scale": asdict(scale), "lab": asdict(lab), "late_share": late_share}
    adopt_settings(
        out / SETTINGS,
        json.loads(json.dumps(settings)),
        what="a comparison",
        remedy="give another --out, or delete that folder to start anew",
    )
    data, with_claims = Path(lab.data), out / "questions-and-claims"
    if late_share is not None:
        data = out / "questions"
        keep_late_share(Path(lab.data), data, late_share)
    if any(arm.data == "questions and claims" for arm in arms):
        add_claims(data, with_claims)
    orders = [
        Order(arm, seed, scale, lab.checkpoint, str(data), str(with_claims), str(out / arm.name / f"seed-{seed}"))
        for arm, seed in [(START, seeds[0]), *((arm, seed) for seed in seeds for arm in arms)]
    ]
    waiting: list[Job] = [order for order in orders if not order.is_done]
    run_side_by_side(waiting, on_progress, jobs)
    return _gather(out, name, orders)


def _gather(out: Path, name: str, orders: Sequence[Order]) -> Compared:
    """Read what the runs left behind, and keep it in three files."""
    rows, steps = out / f"{name}.parquet", out / f"{name}-steps.parquet"
    join_runs(rows, [order.responses for order in orders])
    join_steps(steps, [(order.arm.name, order.seed, order.trained) for order in orders if order.arm.is_trained])
    compared = Compared(summarise_runs(rows, steps), rows, steps)
    runs = {arm: {str(seed): dict(run) for seed, run in runs.items()} for arm, runs in compared.results.items()}
    write_atomically(out / f"{name}.json", json.dumps(runs, indent=1) + "\n")
    return compared


def summarise_runs(rows: Path, steps: Path) -> dict[str, dict[int, Run]]:
    """Return the numbers of every run, by arm and seed, from the files of responses and of steps."""
    seconds, entropies = read_steps(steps, "seconds"), read_steps(steps, "entropy")
    results: dict[str, dict[int, Run]] = {}
    for (arm, seed), responses in read_responses(rows).items():
        last = [entropy for entropy in entropies.get((arm, seed), [])[-10:] if entropy is not None]
        entropy = sum(last) / len(last) if last else float("nan")
        of_steps = {ENTROPY: entropy, SECONDS: sum(seconds.get((arm, seed), []))}
        run = {**summarise_run(responses), **of_steps}
        results.setdefault(arm, {})[seed] = run
    return results
