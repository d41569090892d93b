"""Train and measure every arm with every seed, and write down what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from vapo.diagnosis.row_log import make_folder
from vapo.engines.run_folder import SETTINGS, adopt_settings, write_atomically
from vapo.errors import ConfigError
from vapo.lab.processes.side_by_side import Progress, run_side_by_side

from .arms import Arm
from .claims_as_data import add_claims
from .order import Order
from .results import Run, summarise_run
from .rows import join_runs, read_chains
from .scale import Scale

ROWS, NUMBERS = "chains.parquet", "numbers.json"


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison left behind: numbers by arm and seed, and the file of all measured chains."""

    results: Mapping[str, Mapping[int, Run]]
    rows: Path


def run_arms(
    out: Path,
    arms: Sequence[Arm],
    seeds: Sequence[int],
    scale: Scale,
    *,
    checkpoint: str,
    data: str,
    jobs: int,
    on_progress: Progress,
) -> Compared:
    """Carry out every arm with every seed; stopped and called again, it goes on where it was.

    Args:
        out: folder of it all; each run has its own in it, `ARM/seed-N`.
        arms: what is compared; arms that two comparisons share are trained once if they share the folder.
        seeds: of training.
        scale: what all arms have in common.
        checkpoint: the model that all start from.
        data: folder of `train.parquet` and `heldout.parquet`.
        jobs: runs at a time.
        on_progress: told each stage of each run.

    Raises:
        ConfigError: there are no seeds or no jobs, or `out` holds a comparison of another scale, model or data.
        VapoError: a run failed.
    """
    if len(seeds) == 0 or jobs < 1:
        raise ConfigError(f"there are {len(seeds)} seeds and {jobs} jobs at a time; give at least one of each")
    make_folder(out)
    settings = {"scale": asdict(scale), "checkpoint": checkpoint, "data": data}
    adopt_settings(
        out / SETTINGS,
        json.loads(json.dumps(settings)),
        what="a comparison",
        remedy="give another --out, or delete that folder to start anew",
    )
    with_claims = out / "questions-and-claims"
    if any(arm.data == "questions and claims" for arm in arms):
        add_claims(Path(data), with_claims)
    orders = [
        Order(arm, seed, scale, checkpoint, data, str(with_claims), str(out / arm.name / f"seed-{seed}"))
        for seed in seeds
        for arm in arms
    ]
    run_side_by_side([order for order in orders if not order.is_done], on_progress, jobs)
    return gather(out, orders)


def gather(out: Path, orders: Sequence[Order]) -> Compared:
    """Read what the runs left behind, and keep it in two files."""
    join_runs(out / ROWS, [order.chains for order in orders])
    spent = {(order.arm.name, order.seed): json.loads(order.spent.read_text(encoding="utf-8")) for order in orders}
    results: dict[str, dict[int, Run]] = {}
    for (arm, seed), chains in read_chains(out / ROWS).items():
        results.setdefault(arm, {})[seed] = {**summarise_run(chains), **spent[arm, seed]}
    plain = {arm: {str(seed): dict(run) for seed, run in runs.items()} for arm, runs in results.items()}
    write_atomically(out / NUMBERS, json.dumps(plain, indent=1) + "\n")
    return Compared(results, out / ROWS)
