"""From a run file of `vapo train` to a folder for verl."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vapo.atomic_files import write_atomically
from vapo.errors import ConfigError
from vapo.training.planned_run import parse_planned_run
from vapo.verl.derived import Machines
from vapo.verl.files import VerlRun, plan_run, read_sources


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run on verl and the folder it is planned for."""

    folder: Path
    run: VerlRun


def plan_recipe(
    recipe: str,
    changes: Sequence[str],
    machines: Machines,
    folder: Path | None,
    *,
    resolve_model: Callable[[str], str] = str,
) -> PlannedRun:
    """Plan a run.

    Args:
        recipe: a run file, or the name of a recipe.
        changes: options in place of its own, as `name=value`.
        machines: what it is spread over.
        folder: where its files will be; None for its `output_dir`.
        resolve_model: makes a path of a name that stands for one.

    Raises:
        ConfigError: an option is unknown or has no counterpart on verl, or the batches do not fit the machines.
    """
    if machines.nodes < 1 or machines.gpus_per_node < 1:
        raise ConfigError(f"a run needs at least one GPU, but is to have {machines.gpus}")
    parsed = parse_planned_run(recipe, changes, prog="vapo verl config")
    sources = {name: why for name, why in read_sources(parsed.text).items() if name not in parsed.changed}
    options = replace(parsed.options, model_name=resolve_model(parsed.options.model_name))
    place = folder if folder is not None else Path(str(options.training.output_dir))
    return PlannedRun(place, plan_run(options, place, machines, given=parsed.given, sources=sources))


def save_files(planned: PlannedRun) -> None:
    """Write the run's files into its folder, which is made; each appears whole or not at all.

    Raises:
        ConfigError: there are such files already, and they say something else.
    """
    planned.folder.mkdir(parents=True, exist_ok=True)
    for name, text in planned.run.files.items():
        path = planned.folder / name
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise ConfigError(f"{path} is there and says something else; remove it, or name another folder with --out")
    for name, text in planned.run.files.items():
        write_atomically(planned.folder / name, text)
