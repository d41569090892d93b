"""How many bytes the tensors of a computation take at most, whether they are real or stand for real ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class TensorBytes(TorchDispatchMode):
    """Counts, inside its context, the storages of all tensors that operations return, for as long as they live.

    What an operation allocates for itself and frees before it returns is not seen.

    Attributes:
        peak: the most bytes that lived at once so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._living: dict[int, tuple[StorageWeakRef, int]] = {}
        self._total = 0  # of those that lived when they were last looked at

    def add(self, tensors: Iterable[torch.Tensor]) -> int:
        """Count tensors that are there already, and return how many bytes live now."""
        for tensor in tensors:
            self._add(tensor)
        self._forget_the_dead()
        return self._total

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count what it returns."""
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._add(leaf)
        return result

    def _add(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        place = storage._cdata
        known = self._living.get(place)
        if known is not None and not known[0].expired():
            return
        if known is not None:
            self._total -= known[1]
        self._living[place] = (StorageWeakRef(storage), storage.nbytes())
        self._total += storage.nbytes()
        if self._total > self.peak:  # looking for the dead is slow, and they matter to a new peak alone
            self._forget_the_dead()
            self.peak = max(self.peak, self._total)

    def _forget_the_dead(self) -> None:
        for place in [place for place, (storage, _) in self._living.items() if storage.expired()]:
            self._total -= self._living.pop(place)[1]
