"""A run's folder: what was run, with what, and where it stands, so that the same command goes on from there."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import shutil
import sys
import weakref
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState

from vapo.api.redaction import redact_settings
from vapo.api.responses import parse_json
from vapo.atomic_files import write_atomically
from vapo.errors import ConfigError, DataError

SETTINGS, VERSIONS, METRICS, POLICY_SAVED = "settings.json", "versions.json", "metrics.jsonl", "finished"
DATA, OWN_CLAIMS, LOCK, EXPORT = "data.json", "claims", ".lock", "vapo_export.json"
PACKAGES = ("vapo", "torch", "transformers", "trl", "accelerate", "datasets", "peft", "math-verify", "tokenizers")


class RunFolder:
    """The folder of one run.

    Args:
        path: made if it does not exist.
        num_processes: how many processes train.
    """

    def __init__(self, path: str | Path, num_processes: int = 1) -> None:
        self.path = Path(path)
        self._num_processes = num_processes

    def open(self, settings: Mapping[str, Any]) -> None:
        """Record the settings and versions of a new run, or check that an old one had the same settings.

        A run that has made no step is a new one, whatever was begun with other settings.

        Raises:
            ConfigError: the folder holds a run with other settings, each of which is named, or one that goes on now.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self._hold()
        has_steps = self.has_steps
        adopt_settings(
            self.path / SETTINGS,
            settings,
            what="a run",
            remedy="choose another --output_dir, or delete that folder to start anew",
            binding=has_steps,
        )
        if not has_steps:
            for store in (self.path / OWN_CLAIMS).glob("step-*.db*"):
                store.unlink()
        write_atomically(self.path / VERSIONS, json.dumps(list_versions(), indent=2) + "\n")

    def begin_anew(self, settings: Mapping[str, Any], data: Mapping[str, Any], step: int) -> list[str]:
        """Record a run that begins, or goes on, and return the settings that differ from those of a run before it.

        Args:
            settings: plain values, as for `open`.
            data: by split, as for `record_data`.
            step: the one that it goes on from; later metrics are removed.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        had_steps = self.has_steps
        before = read_record(self.path / SETTINGS)
        (self.path / SETTINGS).unlink(missing_ok=True)
        (self.path / POLICY_SAVED).unlink(missing_ok=True)
        adopt_settings(self.path / SETTINGS, settings, what="a run", remedy="", binding=False)
        write_atomically(self.path / VERSIONS, json.dumps(list_versions(), indent=2) + "\n")
        write_atomically(self.path / DATA, json.dumps(data, indent=2, ensure_ascii=False) + "\n")
        self._remove_metrics_after(step if step > 0 else -1)
        now = read_record(self.path / SETTINGS)
        return [name for name in sorted(before | now) if before.get(name) != now.get(name)] if had_steps else []

    def record_saved(self, folder: Path) -> None:
        """Record in a folder that it holds a finished policy of this run, with what the run records of itself."""
        if folder.absolute() != self.path.absolute():
            for name in (SETTINGS, VERSIONS, DATA, METRICS):
                if (self.path / name).is_file():
                    shutil.copy(self.path / name, folder / name)
        if (folder / SETTINGS).is_file():
            RunFolder(folder).mark_finished()

    def record_data(self, describe: Callable[[], Mapping[str, Any]]) -> None:
        """Record where a new run's data came from: by split, what `describe` returns; an old run keeps its record."""
        file = self.path / DATA
        if not file.exists() or (not self.has_steps and _is_record(file)):
            write_atomically(file, json.dumps(describe(), indent=2, ensure_ascii=False) + "\n")

    def find_checkpoint(self) -> Path | None:
        """Return the last complete checkpoint. One whose writing was cut off is not complete and is passed over."""
        numbered = [
            (int(folder.name.removeprefix("checkpoint-")), folder)
            for folder in self.path.glob("checkpoint-*")
            if folder.name.removeprefix("checkpoint-").isdigit()
        ]
        return next((folder for _, folder in sorted(numbered, reverse=True) if self._is_complete(folder)), None)

    def has_all_steps(self, checkpoint: Path) -> bool:
        """Whether the run had made its last step at `checkpoint`, or was stopped there."""
        state = _read_state(checkpoint)
        return state["global_step"] >= state["max_steps"] or find_stop(checkpoint) is not None

    @property
    def is_finished(self) -> bool:
        """Whether the policy in this folder is the finished one."""
        return (self.path / POLICY_SAVED).exists()

    @property
    def has_steps(self) -> bool:
        """Whether anything tells of a step that was finished: the policy, a checkpoint, a metric."""
        if self.is_finished or self.find_checkpoint() is not None:
            return True
        file = self.path / METRICS
        return file.exists() and any(_step_of(line) > 0 for line in file.read_text(encoding="utf-8").splitlines())

    def mark_finished(self, stopped: str | None = None) -> None:
        """Record that the policy in this folder is the finished one, and why the run ended early, if it did."""
        write_atomically(self.path / POLICY_SAVED, stopped or "")

    @property
    def stopped(self) -> str | None:
        """Why the finished run ended early; None if it did not."""
        file = self.path / POLICY_SAVED
        return (file.read_text(encoding="utf-8") or None) if file.exists() else None

    def remove_checkpoints_after(self, checkpoint: Path | None) -> None:
        """Remove what an interrupted run left behind `checkpoint`: unfinished checkpoints and later metrics."""
        last_step = 0 if checkpoint is None else int(checkpoint.name.removeprefix("checkpoint-"))
        for folder in self.path.glob("checkpoint-*"):
            number = folder.name.removeprefix("checkpoint-")
            if number.isdigit() and int(number) > last_step:
                shutil.rmtree(folder)
        self._remove_metrics_after(last_step)

    def _remove_metrics_after(self, last_step: int) -> None:
        file = self.path / METRICS
        if file.exists():
            kept = [line for line in file.read_text(encoding="utf-8").splitlines() if _step_of(line) <= last_step]
            write_atomically(file, "".join(line + "\n" for line in kept))

    def count_processes_of(self, checkpoint: Path) -> int:
        """Return how many processes wrote `checkpoint`."""
        return self._read_num_processes(_read_state(checkpoint))

    def _hold(self) -> None:
        # The system lets go of it when this process ends, however it ends, and no child inherits it.
        lock = os.open(self.path / LOCK, os.O_CREAT | os.O_WRONLY)
        weakref.finalize(self, os.close, lock)
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise ConfigError(
                f"another process trains in {self.path}; wait for it or end it, or choose another --output_dir"
            ) from error
        except OSError:  # a file system without locks
            pass

    def _read_num_processes(self, state: Mapping[str, Any]) -> int:
        try:
            return int(state["stateful_callbacks"]["ProcessCount"]["args"]["num_processes"])
        except (KeyError, TypeError, ValueError):
            return self._num_processes

    def _is_complete(self, folder: Path) -> bool:
        # transformers writes the state last on the main process; the random states of others may come later still.
        try:
            state = _read_state(folder)
        except (OSError, ValueError):
            return False
        return len(list(folder.glob("rng_state*.pth"))) >= self._read_num_processes(state)


class ProcessCount(TrainerCallback, ExportableState):
    """Keeps the number of processes that train in every checkpoint, which holds a random state of each.

    Args:
        num_processes: how many.
    """

    def __init__(self, num_processes: int) -> None:
        self._num_processes = num_processes

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint's `trainer_state.json` keeps of this callback."""
        return {"args": {"num_processes": self._num_processes}, "attributes": {}}


class MetricsFile(TrainerCallback):
    """Append every logged entry to `metrics.jsonl` in the run's folder."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / METRICS

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if state.is_world_process_zero and logs:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": state.global_step, **logs}) + "\n")


def choose_system_prompt(
    given: str | None, policy: str | Path, otherwise: str = "without a system message"
) -> str | None:
    """Return the system message with which a policy is asked: as it was trained, unless another is given.

    Where nothing tells how it was trained, that is said on standard error.

    Args:
        given: a text, which wins; an empty one stands for no system message. None leaves the choice to the run.
        policy: a run's folder, one of its checkpoints, an export, or anything else, which says nothing about its
            training.
        otherwise: how it is asked where nothing tells, in words.
    """
    if given is not None:
        return given or None
    prompt, is_recorded = find_system_prompt(policy)
    if not is_recorded and (Path(policy).is_dir() or "/" in str(policy)):
        print(
            f"vapo: no system message is recorded for {policy}, so it is asked {otherwise}; give the one it was "
            "trained with by --system-prompt TEXT",
            file=sys.stderr,
        )
    return prompt


def choose_think_tags(given: str | None, policy: str | Path) -> str:
    """Return the option `think_tags` with which a policy is asked: that of its training, unless another is given.

    Args:
        given: an option, which wins; None leaves the choice to the run, and without one to the checkpoint ("auto").
        policy: as for `choose_system_prompt`.

    Raises:
        DataError: the record is damaged.
    """
    if given is not None:
        return given
    run = find_run(policy)
    record = read_record((Path(policy) if run is None else run) / (EXPORT if run is None else SETTINGS))
    return str(record.get("think_tags", "auto"))


def record_system_prompt(folder: str | Path, prompt: str | None) -> None:
    """Write down, beside a policy that no run made, with which system message it was trained; None for none."""
    (Path(folder) / EXPORT).write_text(json.dumps({"system_prompt": prompt}) + "\n", encoding="utf-8")


def find_system_prompt(policy: str | Path) -> tuple[str | None, bool]:
    """Return the system message that a policy was trained with, and whether that is recorded.

    Raises:
        DataError: the record is damaged.
    """
    run = find_run(policy)
    folder = Path(policy) if run is None else run
    record = read_record(folder / (EXPORT if run is None else SETTINGS))
    prompt = record.get("system_prompt")
    if not isinstance(prompt, str | None):
        raise DataError(f"{folder}: its system_prompt is no text; give another one with --system-prompt")
    return prompt, "system_prompt" in record


def read_record(file: Path) -> dict[str, Any]:
    """Return what a run wrote down; nothing if the file is not there.

    Raises:
        DataError: it is damaged.
    """
    if not file.is_file():
        return {}
    try:
        record = parse_json(file.read_bytes())
        if not isinstance(record, dict):
            raise ValueError("it holds no names and values")
    except ValueError as error:
        raise DataError(f"{file} is damaged ({error}); restore it, or move it away to do without it") from error
    return cast("dict[str, Any]", record)


def find_run(policy: str | Path) -> Path | None:
    """Return the folder of the run that a policy comes from; None if nothing tells of one.

    Args:
        policy: a run's folder, one of its checkpoints, or anything else.
    """
    folder = Path(policy).absolute()
    run = folder.parent if folder.name.startswith("checkpoint-") else folder
    return run if folder.is_dir() and (run / SETTINGS).is_file() else None


def adopt_settings(file: Path, settings: Mapping[str, Any], *, what: str, remedy: str, binding: bool = True) -> None:
    """Record settings in a file, or check that it holds the same ones.

    Args:
        file: in a folder that exists.
        settings: plain values; what JSON cannot say is recorded as text, and keys and passwords are not.
        what: was made with them, for the error.
        remedy: what to do where they differ.
        binding: whether anything was made with those in the file; if not, other ones take their place.

    Raises:
        ConfigError: the file holds other settings, each of which is named, or something else.
    """
    settings = redact_settings(json.loads(json.dumps(settings, default=str)))
    try:
        before = redact_settings(read_record(file))
    except DataError as error:
        raise ConfigError(f"{file} holds no settings; delete it, or choose another folder") from error
    if not file.exists() or (not binding and before.keys() & settings.keys()):
        write_atomically(file, json.dumps(settings, indent=2, ensure_ascii=False) + "\n")
        return
    changed = [name for name in sorted(before | settings) if before.get(name) != settings.get(name)]
    if changed:
        listed = "; ".join(f"{name} was {before.get(name)!r} and is {settings.get(name)!r}" for name in changed)
        raise ConfigError(f"{file.parent} holds {what} with other settings ({listed}); {remedy}")


def _is_record(file: Path) -> bool:
    """Return whether a file holds what a run records of its data, and not the data of a user."""
    try:
        splits = read_record(file)
    except DataError:
        return False
    return all(isinstance(own, dict) and "rows" in own for own in splits.values())


def list_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages a run depends on."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def find_stop(checkpoint: Path) -> str | None:
    """Return why the run was ended at a checkpoint, by what `stop_condition.StopCallback` kept there; None if not."""
    kept = _read_state(checkpoint).get("stateful_callbacks", {}).get("StopCallback", [])
    for one in kept if isinstance(kept, list) else [kept]:
        if one["attributes"]["stopped"] is not None:
            return str(one["attributes"]["stopped"])
    return None


def _read_state(checkpoint: Path) -> dict[str, Any]:
    state = parse_json((checkpoint / "trainer_state.json").read_bytes())
    if not isinstance(state, dict) or not all(type(state.get(n)) is int for n in ("global_step", "max_steps")):
        raise ValueError("it counts no steps")
    return state


def _step_of(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except ValueError:  # the line that was being written when the run was cut off
        return 2**62
