"""The writer: a copy of the lab's model that has learned to write claims, and how good those claims are."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL.Image import Image

from vapo.claims.local_model import PolicyClaimModel
from vapo.claims.making.make import make_claims
from vapo.claims.making.settings import MakingSettings
from vapo.claims.store.store import Store
from vapo.lab.claim_truth import ClaimScore, score_claims
from vapo.lab.world import GRIDS, Scene, Split, draw_scene, photograph
from vapo.models.policy.checkpoint import Policy
from vapo.run_folder import record_system_prompt

from .model import LabModel, LabProcessor
from .study import Report
from .writing import WritingPlan, teach_writing

WRITER_SETTINGS = MakingSettings(
    per_image=4,
    per_request=2,
    tries=12,
    temperature=1.0,
    max_tokens=96,
)
"""How the writer is asked: it writes two claims at a time, and at temperature 0 the same ones again."""


@dataclass(frozen=True, slots=True)
class DrawnRow:
    """An image drawn for the occasion, as the making of claims takes it."""

    name: str
    scene: Scene
    canvas: int
    source: str = "drawn"
    stamp: str = ""

    def open(self) -> Sequence[Image]:
        """Return the image."""
        return (photograph(self.scene, self.canvas),)


def build_writer(
    model: LabModel,
    processor: LabProcessor,
    folder: Path,
    *,
    seed: int,
    plan: WritingPlan,
    grids: tuple[tuple[int, int], ...] = GRIDS,
    measure: bool = True,
    state_path: Path | None = None,
    save_every_seconds: float = 60.0,
    report: Report = lambda stage, step, steps, loss: None,
) -> ClaimScore | None:
    """Train a model that has had the other courses in place, save it in a folder, and return how good its claims are.

    Raises DataError if the state at `state_path` belongs to another seed or plan.
    """
    teach_writing(
        model,
        processor.tokenizer,
        canvas=processor.image_processor.crop_size["height"],
        seed=seed,
        plan=plan,
        grids=grids,
        state_path=state_path,
        save_every_seconds=save_every_seconds,
        report=report,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    record_system_prompt(folder, None)
    score = measure_writing(model, processor, seed=seed, grids=grids) if measure else None
    (folder / "README.md").write_text(describe_writer(seed, score))
    if state_path is not None:
        state_path.unlink(missing_ok=True)
    return score


def measure_writing(
    model: LabModel,
    processor: LabProcessor,
    *,
    seed: int = 0,
    split: Split = "heldout",
    images: int = 100,
    grids: tuple[tuple[int, int], ...] = GRIDS,
    batch_size: int = 32,
) -> ClaimScore:
    """Let a model make claims about newly drawn images of a split, and compare their labels with the truth."""
    rng = np.random.default_rng([seed, 23])
    canvas = processor.image_processor.crop_size["height"]
    rows = [
        DrawnRow(str(number), draw_scene(rng, *grids[rng.integers(len(grids))], split), canvas)
        for number in range(images)
    ]
    claim_model = PolicyClaimModel(Policy(model, processor, "lab-writer"), batch_size=batch_size)
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "claims.db", create=True) as store:
        make_claims(rows, store, claim_model, WRITER_SETTINGS)
        return score_claims(store, {row.name: row.scene.grid for row in rows})


def describe_writer(seed: int, score: ClaimScore | None) -> str:
    """Return the README of a writer: how it was made, how good its claims are, whose digits it has seen."""
    measured = "Not measured." if score is None else "\n".join(f"    {line}" for line in str(score).splitlines())
    return f"""---
license: apache-2.0
pipeline_tag: image-text-to-text
---
# The writer of vapo's lab

A copy of the lab's model that has learned to write claims about grids of handwritten digits, two at a time, behind the
instruction that `vapo claims make` gives to any model. The rest of what the lab's model can do it may have forgotten.
Made from the lab's model by the last course of

    python -m studies build --out runs/lab --seed {seed}

and asked for claims by

    vapo claims make --data lab --model lab-writer --per-image 4 --per-request 2 --tries 12 --temperature 1 \\
        --max-tokens 96 --out claims.db

## How good its claims are

Four claims each about 100 newly drawn images of held-out digits (seed {seed}):

{measured}

## The digits

As for the lab's model: Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI Machine Learning
Repository (1998), https://doi.org/10.24432/C50P49, licence CC BY 4.0, in the copy that scikit-learn carries.
"""
