"""Memory that `vapo plan` counts, beside that of the GPUs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch

from vapo.check.section import Section
from vapo.planning.gpus import GIB, Gpus
from vapo.planning.plan import plan_run
from vapo.planning.table import describe_shortage


def find_gpus() -> Gpus | None:
    """Return the GPUs of this machine; None if it has none."""
    if not torch.cuda.is_available():
        return None
    return Gpus(torch.cuda.device_count(), round(torch.cuda.get_device_properties(0).total_memory / GIB))


def look_at_memory(options: Any, gpus: Gpus | None, *, longest: int, given: Collection[str]) -> Section:
    """Plan the run on these GPUs.

    Args:
        options: of the run (`vapo.training.options.RunOptions`).
        gpus: to plan for; None for those of this machine.
        longest: prompt of the data, in tokens, where the run sets no `max_prompt_tokens`.
        given: names of options that the run sets itself.

    Raises:
        ConfigError: the run's batches cannot be divided among the GPUs.
    """
    gpus = gpus or find_gpus()
    if gpus is None:
        return Section("memory", {"planned": "not without GPUs; name them with --gpus 8x80"})
    prompt = None if options.data.max_prompt_tokens is not None else longest
    _, plan = plan_run(options, gpus, prompt_tokens=prompt, given=given)
    total, each = plan.memory.total / GIB, f"{gpus.count} GPU(s) of {gpus.gibibytes:g} GB"
    remedy = "; `vapo plan` says what to change"
    problems = [] if plan.fits else [f"the run does not fit on {each}: {describe_shortage(plan)}{remedy}"]
    numbers = {"gpus": gpus.count, "gibibytes": gpus.gibibytes, "planned_gibibytes": total, "fits": plan.fits}
    return Section("memory", {"planned": f"{total:.1f} GB on each of {each}"}, numbers, problems)
