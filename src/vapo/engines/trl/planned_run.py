"""A run's options, parsed to be planned: by name or by file, with changes, and with what was given and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vapo.engines.recipes import open_recipe
from vapo.engines.trl.options import RunOptions, parse_run
from vapo.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ParsedRun:
    """A run as it is planned.

    Attributes:
        options: of the run.
        text: of its file.
        changed: names of the options in whose place others were given.
    """

    options: RunOptions
    text: str
    changed: tuple[str, ...]

    @property
    def given(self) -> frozenset[str]:
        """Names of the options that the file or a change gives."""
        in_file: dict[str, Any] = yaml.safe_load(self.text)
        return frozenset((*in_file, *self.changed))


def parse_planned_run(run: str, changes: Sequence[str], *, prog: str, on_cpu: bool = False) -> ParsedRun:
    """Parse a run.

    Args:
        run: a run file, or the name of a recipe.
        changes: options in place of its own, each "name=value".
        prog: the command, for its errors.
        on_cpu: parse it as where there is no GPU, whatever this machine has.

    Raises:
        ConfigError: as `parse_run`; or a change has no value.
    """
    changed: dict[str, str] = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not name or not equals:
            raise ConfigError(
                f"--set {change!r} says no value: it is no NAME=VALUE; write --set learning_rate=1e-6, for example"
            )
        changed[name] = value
    words = [word for name, value in changed.items() for word in (f"--{name}", value)]
    cpu = ["--use_cpu", "true"] if on_cpu else []
    options = parse_run(["--config", run, *cpu, *words], prog=prog)
    path = Path(run)
    path = path if path.exists() else open_recipe(run).path
    return ParsedRun(options, path.read_text(encoding="utf-8"), tuple(changed))
