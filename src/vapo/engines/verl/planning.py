"""From a run file of `vapo train` to a folder for verl."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from vapo.drafts import drafting
from vapo.engines.recipes import open_recipe
from vapo.engines.trl.options import parse_run
from vapo.engines.verl.derived import Machines
from vapo.engines.verl.files import VerlRun, plan_run, read_sources
from vapo.errors import ConfigError


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
    for change in changes:
        if "=" not in change:
            raise ConfigError(f"{change!r} is no NAME=VALUE; write --set learning_rate=1e-6, for example")
    named = [change.split("=", 1) for change in changes]
    arguments = [word for name, value in named for word in (f"--{name}", value)]
    options = parse_run(["--config", recipe, *arguments], prog="vapo verl config")
    text = (Path(recipe) if Path(recipe).exists() else open_recipe(recipe).path).read_text(encoding="utf-8")
    given: dict[str, Any] = yaml.safe_load(text)
    sources = {name: why for name, why in read_sources(text).items() if name not in dict(named)}
    options = replace(options, model_name=resolve_model(options.model_name))
    place = folder if folder is not None else Path(str(options.training.output_dir))
    run = plan_run(options, place, machines, given=[*given, *dict(named)], sources=sources)
    return PlannedRun(place, run)


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
        with drafting(planned.folder / name) as draft:
            draft.write_text(text, encoding="utf-8")
