"""Build a lab: its data set, its tokenizer and its cold-started checkpoint, all from one seed."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

import torch

from vapo.atomic_files import write_atomically
from vapo.errors import DataError
from vapo.lab.dataset import write_dataset
from vapo.lab.world import Split
from vapo.run_folder import record_system_prompt

from .ability import Ability, measure_ability
from .claim_writer import build_writer
from .model import ModelSize, build_model
from .plan import Plan, run_cold_start
from .sizes import SIZES
from .tokens import build_processor, train_tokenizer


@dataclass(frozen=True, slots=True)
class Lab:
    """What was built: the checkpoint, the two parquet files, what the model can do, and its copy
    that writes claims, which is None if the plan has no such course."""

    checkpoint: Path
    train: Path
    heldout: Path
    ability: Ability | None
    writer: Path | None


@dataclass(slots=True)
class ProgressLine:
    """Step, loss and time left on a stream: a line redrawn on a terminal, twenty lines a stage elsewhere."""

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
        live = self.stream.isatty()
        if step < steps and (now - self._drawn < 0.5 if live else step % max(1, steps // 20)):
            return
        self._drawn = now
        left = (now - self._started) / (step - self._first) * (steps - step)
        line = f"{stage}: step {step}/{steps}, loss {self._loss:.3f}, {left // 60:.0f} min {left % 60:02.0f} s left"
        print(f"{line:<79}", end="\r" if live and step < steps else "\n", file=self.stream, flush=True)


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
    """Build a lab in the folder `out`: `train.parquet`, `heldout.parquet`, `checkpoint/` and `writer/`.

    Interrupted, the same call goes on where it stopped; called once more after the end, it returns what is there.
    `lab.json` says what the folder was made for and, at the end, what the model can do. The data set's bytes depend
    on the seed, the numbers of rows, the canvas and the plan's grids alone.

    Raises DataError if the folder was made with other arguments.
    """
    size, plan, report = size or ModelSize(), plan or Plan(), report or ProgressLine()
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    train, heldout, checkpoint = folder / "train.parquet", folder / "heldout.parquet", folder / "checkpoint"
    writer = folder / "writer" if plan.writing is not None else None
    note = _read_note(folder, repr((seed, train_rows, heldout_rows, size, plan)))
    ability = None if note["ability"] is None else Ability(**note["ability"])
    if note["finished"]:
        return Lab(checkpoint, train, heldout, ability, writer)
    _write_note(folder, note)
    parts: list[tuple[Path, Split, int]] = [(train, "train", train_rows), (heldout, "heldout", heldout_rows)]
    for path, split, rows in parts:
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
    model = build_model(size, tokenizer, seed=seed).to("cuda" if torch.cuda.is_available() else "cpu")
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
    if ability is None:
        model.save_pretrained(checkpoint)
        processor.save_pretrained(checkpoint)
        record_system_prompt(checkpoint, None)
        ability = measure_ability(model, processor, seed=seed, grids=plan.grids) if measure else None
        (checkpoint / "README.md").write_text(describe_checkpoint(seed, size, model.num_parameters(), ability))
        note["ability"] = None if ability is None else asdict(ability)
        _write_note(folder, note)
    if writer is not None and plan.writing is not None:
        build_writer(
            model,
            processor,
            writer,
            seed=seed,
            plan=plan.writing,
            grids=plan.grids,
            measure=measure,
            state_path=folder / "writing.pt",
            save_every_seconds=save_every_seconds,
            report=report,
        )
    _write_note(folder, {**note, "finished": True})
    state.unlink(missing_ok=True)
    return Lab(checkpoint, train, heldout, ability, writer)


def describe_checkpoint(seed: int, size: ModelSize, num_parameters: int, ability: Ability | None) -> str:
    """Return the README of a checkpoint: how it was made, what it can do, whose digits it has seen."""
    name = next((name for name, known in SIZES.items() if known.model == size), "small")
    chosen = "" if name == "small" else f" --size {name}"
    return f"""---
license: apache-2.0
pipeline_tag: image-text-to-text
---
# The lab model of vapo

A vision-language model of {num_parameters / 1e6:.1f} million parameters (LLaVA: a SigLIP tower, a Qwen2 text model).
It reads grids of real handwritten digits, judges claims about them and reasons a little. It exists to be trained
further, in minutes, by the code that trains large models. Made from nothing by

    python -m studies build --out runs/lab{chosen} --seed {seed}

and opened by `AutoProcessor.from_pretrained` and `AutoModelForImageTextToText.from_pretrained`.

## What it can do

On newly drawn images of held-out digits (seed {seed}):

{ability if ability is not None else "Not measured."}

A response notes every cell, works an answer out or guesses it, and checks three times; a check either reads all cells
once more or muses, at equal length, and repeats what the work came to either way. That is the answer to an early
question; to a late one, it is a cell, whose digit is read behind the checks.
{_describe_reach(size.sliding_window)}

## The digits

Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository (1998),
https://doi.org/10.24432/C50P49, licence CC BY 4.0, in the copy that scikit-learn carries. Four fifths of the 1,797
images were trained on, also turned and slanted a little; one fifth was held out.
"""


def _describe_reach(window: int | None) -> str:
    if window is None:
        return "Its text layers reach back without limit."
    return (
        f"Its text layers reach {window} tokens back: what a response has not written down since is out of its reach."
    )


def _read_note(folder: Path, made_for: str) -> dict[str, Any]:
    path = folder / "lab.json"
    if not path.exists():
        return {"made_for": made_for, "finished": False, "ability": None}
    note = json.loads(path.read_text())
    if note["made_for"] != made_for:
        raise DataError(
            f"{folder} holds a lab made with another seed, size or plan; remove it or choose another folder"
        )
    return note


def _write_note(folder: Path, note: dict[str, Any]) -> None:
    write_atomically(folder / "lab.json", json.dumps(note, indent=2) + "\n")
