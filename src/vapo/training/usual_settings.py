"""The settings that a run records when nothing but its preset is chosen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from trl import ModelConfig

from vapo.data.options import DataOptions
from vapo.training.config import VAPOConfig

_FIRST = ("preset", "use_cpu", "bf16")
"""What other settings follow from, or the machine decides."""


def list_usual_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what settings of a run would be by themselves, as JSON holds them.

    Args:
        settings: of the run; its preset is kept, and what its machine decided.
    """
    given = {name: settings[name] for name in _FIRST if name in settings}
    usual = {**asdict(DataOptions()), **VAPOConfig("", **given).to_dict(), **asdict(ModelConfig())}
    return json.loads(json.dumps(usual, default=str))
