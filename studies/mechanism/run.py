"""Measure every seed, and write down what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from vapo.atomic_files import write_atomically
from vapo.data.samples import load_samples
from vapo.diagnosis.row_log import make_folder
from vapo.errors import ConfigError
from vapo.lab.processes.side_by_side import Progress, run_side_by_side
from vapo.models.policy.checkpoint import load_policy
from vapo.run_folder import SETTINGS, adopt_settings

from .measuring import Measured, measure
from .noise_job import NoiseJob
from .shares import Numbers, count_all
from .training import ARMS, ShortRun, count_steps

Found = Mapping[str, dict[str, dict[str, Numbers]]]
"""By seed, table, row and column."""


def run_mechanism(
    out: Path,
    seeds: Sequence[int],
    *,
    checkpoint: str,
    data: str,
    max_completion_tokens: int,
    trained_seeds: int,
    jobs: int,
    on_progress: Progress,
) -> Found:
    """Measure each seed, and keep it in `out`; stopped and called again, it goes on where it was.

    Args:
        out: folder; `mechanism.json` in it holds every number of the seeds, `seed-N.npz` and `runs/` what it was
            counted from, `noise/noise.json` the spread of the perception reward.
        seeds: of questions, responses and probes.
        trained_seeds: with how many of them to train, too; see `training`.
        jobs: runs at a time.
        checkpoint: the policy.
        data: folder with `train.parquet`.
        max_completion_tokens: longest response.
        on_progress: called with seed and stage; returns what is called with (done, in all).

    Raises:
        ConfigError: there are no seeds, or `out` holds another measurement.
    """
    if len(seeds) == 0:
        raise ConfigError("there are no seeds; give at least one")
    make_folder(out)
    settings = {"checkpoint": checkpoint, "data": data, "max_completion_tokens": max_completion_tokens}
    adopt_settings(
        out / SETTINGS,
        settings,
        what="a measurement",
        remedy="give another --out, or delete that folder to start anew",
    )
    if not torch.cuda.is_available():
        torch.set_num_threads(1)
    found: dict[str, dict[str, dict[str, Numbers]]] = {}
    for seed in seeds:
        held = out / f"seed-{seed}.npz"
        if not held.exists():
            measured = measure(
                load_policy(checkpoint),
                load_samples(data, split="train", require_claims=True),
                seed=seed,
                max_completion_tokens=max_completion_tokens,
                on_progress=lambda stage, seed=seed: on_progress(f"seed {seed}, {stage}"),
            )
            measured.save(held)
        found[str(seed)] = count_all(Measured.load(held))
    runs = [
        ShortRun(arm, seed, checkpoint, data, str(out / "runs" / f"{number}-{seed}"))
        for seed in seeds[:trained_seeds]
        for number, arm in enumerate(ARMS)
    ]
    noise = NoiseJob(checkpoint, data, max_completion_tokens, str(out / "noise"))
    run_side_by_side([job for job in (*runs, noise) if not job.found.exists()], on_progress, jobs)
    for run in runs:
        found[str(run.seed)].setdefault("runs", {})[run.arm] = count_steps(run)
    write_atomically(out / "mechanism.json", json.dumps(found, indent=1) + "\n")
    return found
