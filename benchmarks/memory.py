"""Peak memory of a run: what it takes beyond what is held when it begins, which is models and work.

On CUDA PyTorch counts. On a CPU the system does (Linux): before a run, what was freed is given back to the system and
its high-water mark is set back to what is held. Elsewhere there is no figure.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from pathlib import Path

import torch


class PeakMemory:
    """Measures one run, from when it is made.

    Args:
        device: "cpu" or "cuda".
    """

    def __init__(self, device: str) -> None:
        self._on_cuda = device == "cuda"
        self._on_linux = sys.platform.startswith("linux")
        gc.collect()
        if self._on_cuda:
            torch.cuda.reset_peak_memory_stats()
        elif self._on_linux:
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")
        self._before = self._read()

    def megabytes(self) -> float | None:
        """Return the peak so far, in 10^6 bytes."""
        before, now = self._before, self._read()
        return None if before is None or now is None else (now - before) / 1e6

    def _read(self) -> int | None:
        if self._on_cuda:
            return torch.cuda.max_memory_allocated()
        if not self._on_linux:
            return None
        status = Path("/proc/self/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return 1024 * int(line.split()[1])
