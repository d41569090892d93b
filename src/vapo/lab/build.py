"""Build a lab: its data set, its tokenizer and its cold-started checkpoint, all from one seed."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from .ability import Ability, measure_ability
from .cold_start import Plan, run_cold_start
from .dataset import write_dataset
from .model import ModelSize, build_model
from .tokens import build_processor, train_tokenizer


@dataclass(frozen=True, slots=True)
class Lab:
    """What was built: the checkpoint's folder, the two parquet files, and what the model can do."""

    checkpoint: Path
    train: Path
    heldout: Path
    ability: Ability | None


@dataclass(slots=True)
class ProgressLine:
    """One line of progress for each stage on a stream: step, loss, time left. Redrawn at most twice a second."""

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    _stage: str = ""
    _started: float = 0.0
    _first: int = 0
    _drawn: float = 0.0
    _loss: float = 0.0

    def __call__(self, stage: str, step: int, steps: int, loss: float) -> None:
        """Note that `step` of `steps` of a stage is done."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._started, self._first, self._loss = stage, now, step - 1, loss
        self._loss += 0.05 * (loss - self._loss)
        if step < steps and now - self._drawn < 0.5:
            return
        self._drawn = now
        left = (now - self._started) / (step - self._first) * (steps - step)
        line = f"{stage}: step {step}/{steps}, loss {self._loss:.3f}, {left / 60:.0f} min {left % 60:02.0f} s left"
        ending = "\n" if step == steps else "\r" if self.stream.isatty() else "\n"
        if step == steps or self.stream.isatty() or step % max(1, steps // 20) == 0:
            print(f"{line:<79}", end=ending, file=self.stream, flush=True)


def build_lab(
    out: str | Path,
    *,
    seed: int = 0,
    train_rows: int = 2000,
    heldout_rows: int = 500,
    size: ModelSize | None = None,
    plan: Plan | None = None,
    measure: bool = True,
    save_every_seconds: float = 60.0,
    report: ProgressLine | None = None,
) -> Lab:
    """Build a lab in the folder `out`: `train.parquet`, `heldout.parquet` and `checkpoint/`.

    Interrupted, the same call goes on where it stopped; `cold_start.pt` in the folder holds the training state and
    is removed at the end. A file that is there already is kept. The data set's bytes depend on the seed, the numbers
    of rows and the plan's grids alone.

    Raises DataError if the folder holds the state of a build with another seed, size or plan.
    """
    size, plan, report = size or ModelSize(), plan or Plan(), report or ProgressLine()
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    train, heldout = folder / "train.parquet", folder / "heldout.parquet"
    for path, split, rows in ((train, "train", train_rows), (heldout, "heldout", heldout_rows)):
        if not path.exists():
            write_dataset(
                path,
                split,
                seed=seed,
                rows=rows,
                canvas=size.canvas,
                grids=plan.grids,
                report=lambda done, total, split=split: report(f"data {split}", done, total, 0.0),
            )
    tokenizer = train_tokenizer(seed=seed)
    processor = build_processor(tokenizer, canvas=size.canvas)
    model = build_model(size, tokenizer, seed=seed)
    state = folder / "cold_start.pt"
    run_cold_start(
        model,
        tokenizer,
        canvas=size.canvas,
        seed=seed,
        plan=plan,
        state_path=state,
        save_every_seconds=save_every_seconds,
        report=report,
    )
    checkpoint = folder / "checkpoint"
    model.save_pretrained(checkpoint)
    processor.save_pretrained(checkpoint)
    ability = measure_ability(model, processor, seed=seed, grids=plan.grids) if measure else None
    state.unlink()
    return Lab(checkpoint, train, heldout, ability)
