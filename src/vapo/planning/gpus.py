"""The GPUs that a run is planned for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vapo.errors import ConfigError

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Gpus:
    """So many GPUs of so much memory.

    Attributes:
        count: of them, over all machines.
        gibibytes: of each.
    """

    count: int
    gibibytes: float

    @property
    def bytes(self) -> float:
        """Memory of each."""
        return self.gibibytes * GIB


def parse_gpus(text: str) -> Gpus:
    """Read "8x80": eight GPUs of 80 GB, which makers mean as 2**30 bytes.

    Raises:
        ConfigError: it says something else.
    """
    found = re.fullmatch(r"(\d+)\s*[xX*]\s*(\d+(?:\.\d+)?)\s*(?:GB|GiB|G)?", text.strip())
    if found is None or int(found[1]) < 1 or float(found[2]) <= 0:
        raise ConfigError(f"--gpus {text!r} says neither how many nor how large; write 8x80 for 8 GPUs of 80 GB each")
    return Gpus(int(found[1]), float(found[2]))
