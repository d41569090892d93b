"""What one run of a comparison is asked to do, in plain values."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from .arms import Arm
from .scale import Scale


@dataclass(frozen=True, slots=True)
class Order:
    """One arm with one seed; satisfies the `Job` that `run_side_by_side` does.

    Attributes:
        arm, seed, scale: see there; the seed of an arm that is not trained tells nothing.
        checkpoint: the model that all arms start from.
        data: folder of `train.parquet` and `heldout.parquet`.
        data_with_claims: the same, with claims as questions of their own in `train.parquet`.
        folder: of this run.
    """

    arm: Arm
    seed: int
    scale: Scale
    checkpoint: str
    data: str
    data_with_claims: str
    folder: str

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.arm.name}, seed {self.seed}"

    @property
    def work(self) -> str:
        """What carries it out in a process of its own."""
        return "studies.comparison.one_run:carry_out"

    @property
    def log(self) -> Path:
        """What libraries printed."""
        return Path(self.folder) / "log.txt"

    @property
    def trained(self) -> Path:
        """Folder of the training run."""
        return Path(self.folder) / "train"

    @property
    def policy(self) -> str:
        """Folder of the model that is measured."""
        return str(self.trained) if self.arm.is_trained else self.checkpoint

    @property
    def responses(self) -> Path:
        """What was measured; written last."""
        return Path(self.folder) / "responses.parquet"

    @property
    def is_done(self) -> bool:
        """Whether it has been run and measured."""
        return self.responses.is_file()

    def to_json(self) -> str:
        """Return the order as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Order:
        """Return the order that `to_json` wrote."""
        values = json.loads(text)
        return cls(**{**values, "arm": Arm(**values["arm"]), "scale": Scale(**values["scale"])})
