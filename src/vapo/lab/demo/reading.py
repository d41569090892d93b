"""Read back what finished jobs have found, compare it, and write the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers.utils import logging

from vapo.atomic_files import write_atomically
from vapo.data.samples import load_samples
from vapo.diagnosis.diagnose import SampleImages
from vapo.lab.demo.conclusion import phrase_demo
from vapo.lab.demo.jobs import SPLIT, Job
from vapo.lab.demo.learning import draw_learning, read_steps
from vapo.lab.demo.outcome import GRPO, VAPO, Outcome
from vapo.lab.demo.page.write import render_demo
from vapo.lab.demo.paired import compare
from vapo.lab.demo.recipe import Recipe
from vapo.lab.demo.work import diagnose_policy


def read_outcome(jobs: Sequence[Job], recipe: Recipe, settings: dict[str, Any]) -> Outcome:
    """Return what finished jobs come to.

    Args:
        jobs: in the order of `make_jobs`.
        recipe: that they were made from.
        settings: all that the outcome depends on, the seed among it.

    Raises:
        ConfigError: a model is not the one that was diagnosed.
        DataError: the tables of completions are missing.
    """
    logging.disable_progress_bar()  # models are opened once more, to be told from others; nothing is computed
    before, grpo, vapo = (diagnose_policy(job) for job in jobs)
    seed = settings["seed"]
    rows = compare(before, grpo, vapo, seed=seed)
    runs = {number: read_steps(jobs[number].run_folder, recipe.group_size) for number in (GRPO, VAPO)}
    return Outcome(
        models=(before, grpo, vapo),
        learning=draw_learning(runs, temperature=recipe.training["temperature"], seed=seed),
        rows=rows,
        conclusion=phrase_demo(rows),
        settings=settings,
    )


def write_page(outcome: Outcome, job: Job, path: Path) -> None:
    """Write the page; `job` says which questions were asked, whose images it shows."""
    images = SampleImages(load_samples(job.data, split=SPLIT, limit=job.questions))
    write_atomically(path, render_demo(outcome, images))
