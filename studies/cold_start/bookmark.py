"""Where a course of lessons is, kept in a file while it lasts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from vapo.atomic_files import atomic_file
from vapo.errors import DataError

from .model import LabModel


class Bookmark:
    """Keep the state of a training in a file every so often, whole or not at all.

    Args:
        path: the file; None keeps nothing.
        made_for: what the training depends on, in words.
        every_s: seconds between two times.
    """

    def __init__(self, path: Path | None, made_for: str, every_s: float) -> None:
        self._path = path
        self._made_for = made_for
        self._every_s = every_s
        self._kept = time.monotonic()

    def open(self) -> dict[str, Any] | None:
        """Return what was kept: `step`, `model` and `optimizer`; None if nothing was.

        Raises DataError if it belongs to another training.
        """
        if self._path is None or not self._path.exists():
            return None
        state = torch.load(self._path, map_location="cpu", weights_only=True)
        if state["made_for"] != self._made_for:
            raise DataError(
                f"{self._path} belongs to a cold start of another seed or plan; remove it or choose another folder"
            )
        return state

    def keep(self, step: int, model: LabModel, optimizer: torch.optim.Optimizer, *, at_once: bool = False) -> None:
        """Keep the state after so many steps, if it is time or `at_once`."""
        if self._path is None or not (at_once or time.monotonic() - self._kept > self._every_s):
            return
        state = {"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
        with atomic_file(self._path) as temporary:
            torch.save({"made_for": self._made_for, **state}, temporary)
        self._kept = time.monotonic()
