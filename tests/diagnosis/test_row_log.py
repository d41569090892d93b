from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from vapo.diagnosis.row_log import RowLog
from vapo.errors import ConfigError


@dataclass(frozen=True)
class Number:
    value: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Number:
        return cls(values["value"])


def test_rows_bind_to_their_settings_and_settings_without_a_row_bind_nobody(tmp_path):
    RowLog(tmp_path, {"limit": 1}, Number)
    log = RowLog(tmp_path, {"limit": 2}, Number)
    log.append([Number(7)])
    with pytest.raises(ConfigError, match=r"other settings \(limit was 2 and is 3\)"):
        RowLog(tmp_path, {"limit": 3}, Number)
    assert RowLog(tmp_path, {"limit": 2}, Number).rows == [Number(7)]
