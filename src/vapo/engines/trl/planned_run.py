"""A run's options, parsed on any machine for the GPUs of another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from vapo.engines.recipes import open_recipe
from vapo.engines.trl.options import RunOptions, parse_run
from vapo.errors import ConfigError


def parse_planned_run(run: str, changes: Sequence[str]) -> tuple[RunOptions, frozenset[str]]:
    """Return a run's options, parsed as for one process, and the names of those that are given.

    Args:
        run: a run file, or the name of a recipe.
        changes: further options, each "name=value".

    Raises:
        ConfigError: as `parse_run`; or a change has no value.
    """
    words: list[str] = []
    for change in changes:
        name, equals, value = change.partition("=")
        if not name or not equals:
            raise ConfigError(
                f"--set {change!r} says no value; write --set name=value, as in a run file without spaces"
            )
        words += [f"--{name}", value]
    # Where there is a GPU, a run computes in bfloat16 unless it says otherwise; here there may be none.
    options = parse_run(["--config", run, "--use_cpu", "true", *words], prog="vapo plan")
    path = Path(run)
    path = path if path.exists() else open_recipe(run).path
    given = frozenset(yaml.safe_load(path.read_text(encoding="utf-8"))) | {word[2:] for word in words[::2]}
    return options, given
