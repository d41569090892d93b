"""Run the demo: train with GRPO and with VAPO, diagnose both and what they started from, write the page."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

from vapo.diagnosis.row_log import make_folder
from vapo.errors import ConfigError
from vapo.lab.demo.jobs import make_jobs
from vapo.lab.demo.outcome import PAGE, Outcome
from vapo.lab.demo.reading import read_outcome, write_page
from vapo.lab.demo.recipe import RECIPE, Recipe
from vapo.lab.processes.side_by_side import Progress, run_side_by_side
from vapo.lab.shipped import resolve_data, resolve_model
from vapo.run_folder import SETTINGS, adopt_settings


def run_demo(
    out: Path,
    *,
    steps: int,
    questions: int,
    seed: int,
    recipe: Recipe = RECIPE,
    on_progress: Progress,
) -> Outcome:
    """Train twice, diagnose three models, compare them, and write the page. Called again, it goes on where it was.

    Args:
        out: folder of the demo.
        steps: training steps of each run, at least 1.
        questions: held-out questions, at least 1; another number can be asked for later.
        seed: of training and diagnosing.
        recipe: all other settings.
        on_progress: makes, for the name of a stage, the callback that takes (done, in all).

    Raises:
        ConfigError: a number is out of range, or `out` holds a demo with other settings.
        VapoError: a job was refused, or its process ended without a word.
        OSError: a file cannot be written.
    """
    for name, value, least in (("steps", steps, 1), ("questions", questions, 1), ("seed", seed, 0)):
        if value < least:
            raise ConfigError(f"{name} is {value}; it must be at least {least}")
    make_folder(out)
    checkpoint, data = resolve_model("lab"), resolve_data(recipe.data)
    settings = _describe(recipe, steps, seed, checkpoint, data)
    remedy = "give another --out, or delete that folder to start anew"
    adopt_settings(out / SETTINGS, settings, what="a demo", remedy=remedy)
    jobs = make_jobs(recipe, out, checkpoint=checkpoint, data=data, steps=steps, questions=questions, seed=seed)
    run_side_by_side([job for job in jobs if not job.is_finished], on_progress)
    outcome = read_outcome(jobs, recipe, settings)
    write_page(outcome, jobs[0], out / PAGE)
    return outcome


def _describe(recipe: Recipe, steps: int, seed: int, checkpoint: str, data: str) -> dict[str, Any]:
    weights = (Path(checkpoint) / "model.safetensors").read_bytes()
    return {
        "steps": steps,
        "seed": seed,
        "checkpoint": sha256(weights).hexdigest()[:16],
        "data": Path(data).name,
        **recipe.training,
        **{name: dict(own) for name, own in recipe.own.items()},
        "num_depths": recipe.num_depths,
        "claims_per_depth": recipe.claims_per_depth,
        "closing": recipe.closing,
        "max_answer_tokens": recipe.max_answer_tokens,
    }
