"""What vLLM and verl would refuse of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vapo.check.section import Section
from vapo.errors import ModelError
from vapo.probing.vllm.pads import check_vllm_family


def look_at_engines(options: Any, config: Any, verl: Sequence[str]) -> Section:
    """Return what they would refuse; it is a problem where the run uses vLLM.

    Args:
        options: of the run (`vapo.training.options.RunOptions`).
        config: of the model.
        verl: why the run cannot go to verl.
    """
    refused = ""
    try:
        check_vllm_family(config)
    except ModelError as error:
        refused = str(error)
    uses = options.training.use_vllm
    facts = {
        "vLLM": ("refused" if refused else "can roll out") + ("" if uses else ", and is not used"),
        "verl": "; ".join(verl) or "takes the run as it is (`vapo verl config`)",
    }
    return Section("engines", facts, {"vllm": refused, "verl": list(verl)}, [refused] if refused and uses else [])
