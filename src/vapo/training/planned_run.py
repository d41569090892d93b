"""A run's options, parsed to be planned: by name or by file, with changes, and with what was given and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vapo.errors import ConfigError
from vapo.training.options import RunOptions, read_options


@dataclass(frozen=True, slots=True)
class ParsedRun:
    """A run as it is planned.

    Attributes:
        options: of the run.
        text: of its file.
        changed: names of the options in whose place others were given.
        given: names of the options that the file or a change gives.
    """

    options: RunOptions
    text: str
    changed: frozenset[str]
    given: frozenset[str]


def parse_planned_run(run: str, changes: Sequence[str], *, prog: str, on_cpu: bool = False) -> ParsedRun:
    """Parse a run.

    Args:
        run: a run file, or the name of a recipe.
        changes: options in place of its own, each "name=value".
        prog: the command, for its errors.
        on_cpu: parse it as where there is no GPU, whatever this machine has.

    Raises:
        ConfigError: as `read_options` and `parse_run`; or a change has no value.
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
    given = read_options(["--config", run, *cpu, *words], prog)
    return ParsedRun(given.parse_run(), given.text, frozenset(changed), frozenset((*given.config, *changed)))
