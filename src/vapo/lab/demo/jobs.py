"""The demo's three jobs: diagnose the model as it is; train it with GRPO and diagnose it; the same with VAPO."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vapo.lab.demo.recipe import Recipe

BEFORE = "before"
SPLIT = "heldout"


@dataclass(frozen=True, slots=True)
class Job:
    """What one process does, in plain values.

    Attributes:
        name: what the page calls the model.
        folder: all that it writes.
        training: words for `vapo train`; none where nothing is trained.
        policy: folder of the model that is diagnosed.
        data: folder of the data set.
        questions: held-out ones, from the first.
        measuring: settings of the diagnosis.
        batch_size: questions diagnosed together.
    """

    name: str
    folder: str
    training: tuple[str, ...]
    policy: str
    data: str
    questions: int
    measuring: dict[str, Any]
    batch_size: int

    def to_json(self) -> str:
        """Return the job as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Return the job that `to_json` wrote."""
        values = json.loads(text)
        return cls(**{**values, "training": tuple(values["training"])})

    @property
    def work(self) -> str:
        """What does the job in a process of its own."""
        return "vapo.lab.demo.work:do_job"

    @property
    def run_folder(self) -> Path:
        """Where the training run is kept."""
        return Path(self.folder) / "run"

    @property
    def log(self) -> Path:
        """What libraries printed."""
        return Path(self.folder) / "log.txt"

    @property
    def is_finished(self) -> bool:
        """Whether this very job has been done."""
        return self._mark.is_file() and self._mark.read_text(encoding="utf-8") == self.to_json()

    def mark_finished(self) -> None:
        """Record that the job has been done."""
        from vapo.atomic_files import write_atomically  # seconds: a worker first reads its job, and watches

        write_atomically(self._mark, self.to_json())

    @property
    def _mark(self) -> Path:
        return Path(self.folder) / "finished.json"


def make_jobs(
    recipe: Recipe, out: Path, *, checkpoint: str, data: str, steps: int, questions: int, seed: int
) -> list[Job]:
    """Return the jobs, the model as it is first.

    Args:
        recipe: how.
        out: folder of the demo.
        checkpoint: folder of the model that all start from.
        data: folder of the data set.
        steps, questions, seed: of training and diagnosing.
    """
    measuring = {
        "max_completion_tokens": recipe.training["max_completion_length"],
        "temperature": recipe.training["temperature"],  # responses as they were trained
        "step": 100 / recipe.num_depths,
        "num_depths": recipe.num_depths,
        "claims_per_depth": recipe.claims_per_depth,
        "closing": recipe.closing,
        "max_answer_tokens": recipe.max_answer_tokens,
        "seed": seed,
    }

    def make(name: str, training: dict[str, Any] | None) -> Job:
        folder = out / name.lower()
        policy = checkpoint
        words: list[str] = []
        if training is not None:
            policy = str(folder / "run")
            options = {**training, "output_dir": policy, "model_name_or_path": checkpoint, "data": data}
            words = [word for option, value in options.items() for word in (f"--{option}", str(value))]
        return Job(name, str(folder), tuple(words), policy, data, questions, measuring, recipe.batch_size)

    shared = {
        **recipe.training,
        "max_steps": steps,
        "seed": seed,
        "use_cpu": True,
        "bf16": False,
        "log_completions": True,  # the learning curves are drawn from these tables
        "num_completions_to_print": 0,
        "disable_tqdm": True,
    }
    return [make(BEFORE, None), *(make(name, {**shared, **own}) for name, own in recipe.own.items())]
