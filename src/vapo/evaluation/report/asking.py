"""Two models that are to be put side by side: told apart, and asked the questions of a suite one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from vapo.diagnosis.fingerprint import fingerprint_files
from vapo.errors import ConfigError, ModelError
from vapo.evaluation.suite_runs.judging import open_grader
from vapo.evaluation.suite_runs.run import choose_suite_prompt, evaluate_suite
from vapo.evaluation.suites.answers import Answer, read_answers
from vapo.evaluation.suites.suite import find_suite
from vapo.models.policy.checkpoint import check_checkpoint

PLACES = ("first", "second")
"""Folders of the two models' answers to a suite."""


def check_models(models: Sequence[str]) -> dict[str, str]:
    """Refuse what cannot be compared before anything is asked.

    Args:
        models: two folders or names on the hub.

    Returns:
        What tells their weights from others', by place.

    Raises:
        ConfigError: both are the same.
        ModelError: one cannot be used.
    """
    for model in models:
        check_checkpoint(model)
    weights = [fingerprint_files(model) for model in models]
    if weights[0] == weights[1]:
        raise ConfigError(f"{models[0]} and {models[1]} hold the same weights; name two different checkpoints")
    return dict(zip(PLACES, weights, strict=True))


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
                    f"the process that asked {model} was killed, as when memory runs out; give a smaller --batch-size, "
                    "and the same command goes on where this one stopped"
                ) from error
    return [read_answers(out / place) for place in PLACES]


def _evaluate(
    name: str, model: str, out: Path, judge: str | None, judge_url: str | None, options: dict[str, Any]
) -> None:
    suite = find_suite(name)
    evaluate_suite(suite, model, out, regrade=open_grader(suite, judge, judge_url), **options)
