"""A run's options, parsed to be planned: by name or by file, with changes, and with what was given and why."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vapo.errors import ConfigError
from vapo.run_folder import SETTINGS, read_record
from vapo.training.options import RunOptions, read_options
from vapo.training.run import describe


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
    changed = _read_changes(changes)
    words = [word for name, value in changed.items() for word in (f"--{name}", value)]
    cpu = ["--use_cpu", "true"] if on_cpu else []
    given = read_options(["--config", run, *cpu, *words], prog)
    return ParsedRun(given.parse_run(), given.text, frozenset(changed), frozenset((*given.config, *changed)))


def parse_given_run(values: Mapping[str, str], changes: Sequence[str], *, prog: str) -> ParsedRun:
    """Parse a run of which some options are given by name; see `parse_planned_run`."""
    changed = _read_changes(changes)
    words = [word for name, value in {**values, **changed}.items() for word in (f"--{name}", value)]
    return ParsedRun(read_options(words, prog).parse_run(), "", frozenset(changed), frozenset((*values, *changed)))


def parse_recorded_run(folder: Path, changes: Sequence[str], *, prog: str) -> ParsedRun:
    """Parse the run that a folder records.

    Args:
        folder: of the run.
        changes, prog: as for `parse_planned_run`.

    Raises:
        ConfigError: as `parse_planned_run`; or nothing is recorded there.
        DataError: the record is damaged.
    """
    record, changed = read_record(folder / SETTINGS), _read_changes(changes)
    if not record:
        raise ConfigError(f"{folder} has no {SETTINGS}, so it is no run's folder; give one, a run file or a recipe")
    needed = {"model_name_or_path": str(record["model_name_or_path"]), "data": str(record["data"])}
    needed |= {"output_dir": str(folder), **changed}
    given = read_options([word for name, value in needed.items() for word in (f"--{name}", value)], prog)
    usual: dict[str, Any] = json.loads(json.dumps(describe(given.parse_run()), default=str))
    own = {name: value for name, value in record.items() if value != usual.get(name) and name in usual}
    own = {name: value for name, value in own.items() if name not in needed}
    parsed = replace(given, config=own).parse_run()
    return ParsedRun(parsed, "", frozenset(changed), frozenset((*own, *needed)))


def _read_changes(changes: Sequence[str]) -> dict[str, str]:
    changed: dict[str, str] = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not name or not equals:
            raise ConfigError(
                f"--set {change!r} says no value: it is no NAME=VALUE; write --set learning_rate=1e-6, for example"
            )
        changed[name] = value
    return changed
