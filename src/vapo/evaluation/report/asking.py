"""Two models that are to be put side by side: told apart, and asked the questions of a suite one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from vapo.diagnosis.fingerprint import fingerprint_files
from vapo.diagnosis.row_log import make_folder
from vapo.errors import ConfigError, ModelError
from vapo.evaluation.suite_runs.judging import open_grader
from vapo.evaluation.suite_runs.run import choose_suite_prompt, evaluate_suite
from vapo.evaluation.suites.answers import Answer, read_answers
from vapo.evaluation.suites.suite import find_suite
from vapo.models.policy.checkpoint import check_checkpoint
from vapo.run_folder import SETTINGS, adopt_settings

PLACES, DIAGNOSIS = ("first", "second"), "diagnosis"
"""Folders, in that of the report, of the two models' answers to a suite and of what was found on own data."""


def check_models(names: Sequence[str], resolve: Callable[[str], str]) -> dict[str, str]:
    """Refuse two models that cannot be compared, before anything is asked.

    Args:
        names: of the two.
        resolve: turns a name into a folder or a name on the hub.

    Returns:
        What tells their weights from others', by place.

    Raises:
        ConfigError: both are the same.
        ModelError: one cannot be used.
    """
    sources = [resolve(name) for name in names]
    for source in sources:
        check_checkpoint(source)
    weights = [fingerprint_files(source) for source in sources]
    if weights[0] == weights[1]:
        raise ConfigError(f"{names[0]} and {names[1]} are the same weights; name two different checkpoints")
    return dict(zip(PLACES, weights, strict=True))


def open_folder(out: Path, weights: dict[str, str]) -> None:
    """Make the report's folder, and refuse one that holds what other models were asked.

    Args:
        out: the folder.
        weights: of the two models, see `check_models`.

    Raises:
        ConfigError: a file has its name, or it is of other models.
        OSError: it cannot be written to.
    """
    make_folder(out)
    begun = any((out / name).exists() for name in (*PLACES, DIAGNOSIS))
    remedy = "give another folder, or delete this one"
    adopt_settings(out / SETTINGS, weights, what="a report", remedy=remedy, binding=begun)


def evaluate_both(
    models: Sequence[str],
    out: Path,
    *,
    suite: str,
    system_prompt: str | None = None,
    judge: str | None = None,
    judge_url: str | None = None,
    **options: Any,
) -> list[list[Answer]]:
    """Ask two models a suite's questions, and return their answers.

    Each is asked in a process of its own, at whose end all memory of the GPU is free again. What an interrupted call
    kept is not asked again.

    Args:
        models: two folders or names on the hub.
        out: folder in which each has one, see `PLACES`.
        suite: its name, or several with commas between them.
        system_prompt: given, or None to ask each as `choose_suite_prompt` says.
        judge, judge_url: see `open_grader`.
        options: more of `evaluate_suite`'s, plain values.

    Raises:
        ConfigError, DataError, ModelError: as `evaluate_suite`.
        ModelError: the process was killed.
    """
    for place, model in zip(PLACES, models, strict=True):
        own = {**options, "system_prompt": choose_suite_prompt(system_prompt, model)}
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            try:
                process.submit(_evaluate, suite, model, out / place, judge, judge_url, own).result()
            except BrokenProcessPool as error:
                raise ModelError(
                    f"the process that asked {model} was killed, as when memory runs out; give a smaller "
                    "--batch-size, and the same command goes on where this one stopped"
                ) from error
    return [read_answers(out / place) for place in PLACES]


def _evaluate(
    name: str, model: str, out: Path, judge: str | None, judge_url: str | None, options: dict[str, Any]
) -> None:
    suite = find_suite(name)
    evaluate_suite(suite, model, out, regrade=open_grader(suite, judge, judge_url), **options)
