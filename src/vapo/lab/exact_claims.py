"""The lab as a source of claims: what its images show is known, so each claim's truth is too.

vapo claims make --data lab --program vapo.lab.exact_claims:claim_digits --out exact.db
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np
from PIL.Image import Image

from vapo.errors import DataError
from vapo.types import Claim

from .claims import make_claims
from .world import Grid


def claim_digits(row: Mapping[str, Any], images: Sequence[Image]) -> tuple[Claim, ...]:
    """Return twenty claims about a row of the lab's data; the same row always gets the same.

    Raises:
        DataError: the row is none of the lab's.
    """
    if not isinstance(row.get("digits"), Sequence):
        raise DataError("the row has no column 'digits', so what its image shows is not known")
    grid = Grid(tuple(tuple(line) for line in row["digits"]))
    return make_claims(np.random.default_rng([crc32(str(row.get("id")).encode()), 1]), grid)
