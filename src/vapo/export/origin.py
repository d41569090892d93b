"""Where a checkpoint comes from, as far as its run wrote that down: settings, versions, data and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vapo.api.responses import parse_json
from vapo.errors import DataError, ModelError
from vapo.models.policy.checkpoint import find_folder
from vapo.run_folder import DATA, METRICS, SETTINGS, VERSIONS, RunFolder, find_run, read_record


@dataclass(frozen=True, slots=True)
class Origin:
    """A checkpoint, and what its run wrote down.

    Attributes:
        folder: the checkpoint.
        run: the run's folder; None where there is no record of a vapo run.
        settings, versions, data: of the run; empty where they were not recorded.
        metrics: logged entries, in order.
        steps: made at this checkpoint, and of the whole run; None where that was not recorded.
    """

    folder: Path
    run: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    metrics: tuple[Mapping[str, Any], ...] = ()
    steps: tuple[int, int] | None = None

    @property
    def is_quantised(self) -> bool:
        """Whether the base of its adapter was quantised in training."""
        return bool(self.settings.get("load_in_4bit") or self.settings.get("load_in_8bit"))


def find_origin(path: str | Path) -> Origin:
    """Find the checkpoint that is meant, and what is known of it.

    Args:
        path: a checkpoint, an adapter, or a run's folder: its finished policy, or else its newest checkpoint.

    Raises:
        ModelError: there is no such folder, or the run has no checkpoint yet.
        DataError: a record of the run cannot be read.
    """
    given = find_folder(path)
    if given is None:
        raise ModelError(f"there is no folder {path}; give a run's folder, or one of its checkpoints")
    folder = _choose_checkpoint(given)
    run = find_run(folder)
    if run is None:
        return Origin(folder, steps=_read_steps(folder))
    return Origin(
        folder,
        run,
        settings=read_record(run / SETTINGS),
        versions=read_record(run / VERSIONS),
        data=read_record(run / DATA),
        metrics=_read_metrics(run / METRICS),
        steps=_read_steps(folder if folder.absolute() != run else RunFolder(run).find_checkpoint() or folder),
    )


def _choose_checkpoint(folder: Path) -> Path:
    run = RunFolder(folder)
    if not (folder / SETTINGS).is_file() or run.is_finished:
        return folder
    newest = run.find_checkpoint()
    if newest is None:
        raise ModelError(f"the run in {folder} has no complete checkpoint yet; let it go on until it has saved one")
    return newest


def _read_steps(folder: Path) -> tuple[int, int] | None:
    state = read_record(folder / "trainer_state.json")
    made, planned = state.get("global_step"), state.get("max_steps")
    return (made, planned) if isinstance(made, int) and isinstance(planned, int) else None


def _read_metrics(file: Path) -> tuple[Mapping[str, Any], ...]:
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    try:
        return tuple(
            dict(parse_json(line.encode())) for line in lines if line.endswith("}")
        )  # the last may be cut off
    except (ValueError, TypeError) as error:
        raise DataError(f"{file} is damaged ({error}); restore it, or move it away to export without it") from error
