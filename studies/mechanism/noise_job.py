"""The measurement of noise as a job beside short runs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from vapo.atomic_files import write_atomically
from vapo.data.samples import load_samples
from vapo.lab.processes.side_by_side import Report
from vapo.models.policy.checkpoint import load_policy

from .noise import measure_noise
from .variance import Spread


@dataclass(frozen=True, slots=True)
class NoiseJob:
    """Whose perception rewards are drawn again and again; satisfies the `Job` that `run_side_by_side` does.

    Attributes:
        checkpoint: the model.
        data: folder with `heldout.parquet`.
        max_completion_tokens: longest response.
        folder: of this measurement.
        num_questions: one group of responses each.
    """

    checkpoint: str
    data: str
    max_completion_tokens: int
    folder: str
    num_questions: int = 32

    @property
    def name(self) -> str:
        """What people call it."""
        return "noise"

    @property
    def work(self) -> str:
        """What carries it out in a process of its own."""
        return "studies.mechanism.noise_job:carry_out"

    @property
    def log(self) -> Path:
        """What libraries printed."""
        return Path(self.folder) / "log.txt"

    @property
    def found(self) -> Path:
        """What was measured."""
        return Path(self.folder) / "noise.json"

    def to_json(self) -> str:
        """Return the order as text."""
        return json.dumps(asdict(self))


def read_noise(path: Path) -> dict[tuple[str, str], Spread]:
    """Return what was measured, by (sharing, verdict)."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return {(entry["sharing"], entry["verdict"]): Spread(**entry["spread"]) for entry in found}


def carry_out(text: str, report: Report) -> None:
    """Measure; `text` is an order as `NoiseJob.to_json` wrote it, `report` is told each question."""
    order = NoiseJob(**json.loads(text))
    if not torch.cuda.is_available():
        torch.set_num_threads(1)
    found = measure_noise(
        load_policy(order.checkpoint),
        load_samples(order.data, split="heldout", require_claims=True, limit=order.num_questions),
        max_completion_tokens=order.max_completion_tokens,
        on_progress=lambda done, total: report("measuring", done, total),
    )
    plain = [
        {"sharing": sharing, "verdict": verdict, "spread": asdict(spread)}
        for (sharing, verdict), spread in found.items()
    ]
    write_atomically(order.found, json.dumps(plain) + "\n")
