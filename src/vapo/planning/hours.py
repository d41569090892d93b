"""How long a run takes, by a throughput that was measured or is given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vapo.errors import ConfigError
from vapo.planning.plan import Plan


def estimate_hours(plan: Plan, tokens_per_second: float) -> float | None:
    """Return the hours of a run with prompts and completions at their longest, or None if its length is not known.

    Args:
        plan: of the run.
        tokens_per_second: of rows, prompt and completion of each, over all GPUs: all that is done for them counts.
    """
    return None if plan.steps is None else plan.steps * plan.work.row_tokens / tokens_per_second / 3600


def choose_throughput(measured: Path | None, given: float | None) -> float | None:
    """Return the throughput that a plan goes by, or None.

    Args:
        measured: folder of a run.
        given: in its place.

    Raises:
        ConfigError: both are there, or what is there is no throughput.
    """
    if measured is not None and given is not None:
        raise ConfigError("--measured and --tokens-per-second both say a throughput; leave one out")
    if given is not None and given <= 0:
        raise ConfigError(f"--tokens-per-second is {given}; it must be above 0")
    return given if measured is None else measure_throughput(measured)


def measure_throughput(run: Path) -> float:
    """Return the tokens per second of a run that was made, from its metrics.

    Raises:
        ConfigError: the folder holds no metrics of a run, or too few.
    """
    file = run / "metrics.jsonl"
    try:
        entries: list[dict[str, Any]] = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} holds no metrics of a run ({error}); name a folder of `vapo train`") from error
    steps = [entry for entry in entries if "step_time" in entry]
    rollouts = [place for place, entry in enumerate(steps) if "num_tokens" in entry]
    if len(rollouts) < 2:
        raise ConfigError(
            f"{run} has made {len(rollouts)} rollout(s) so far; its speed can be told from the second on"
        )
    # The first is left out: it also warms up. Logged every so many steps, an entry stands for all of these.
    first, last = rollouts[0], rollouts[-1]
    tokens = steps[last]["num_tokens"] - steps[first]["num_tokens"]
    seconds = sum(
        entry["step_time"] * (entry["step"] - before["step"])
        for before, entry in zip(steps[first:last], steps[first + 1 : last + 1], strict=True)
    )
    return tokens / seconds
