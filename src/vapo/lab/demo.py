"""A short VAPO run on the lab: what the shipped model can do, some minutes of training, what it can do then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vapo.data.samples import load_samples
from vapo.diagnosis.estimates import Estimate
from vapo.diagnosis.evaluation import evaluate
from vapo.diagnosis.summary import Evaluation
from vapo.engines.policy.checkpoint import load_policy
from vapo.errors import ConfigError
from vapo.lab.shipped import resolve_data, resolve_model

if TYPE_CHECKING:
    from vapo.types import Sample

MAX_COMPLETION_TOKENS = 96
RUN = {
    "learning_rate": 5e-5,
    "lr_scheduler_type": "constant",
    "per_device_train_batch_size": 64,
    "num_generations": 8,
    "num_anchors": 4,
    "max_completion_length": MAX_COMPLETION_TOKENS,
    "freeze_vision": True,
    "temperature": 0.6,
    "gradient_checkpointing": False,
    "logging_steps": 1,
    "save_steps": 20,
    "save_total_limit": 1,
}
"""Settings of the run: TRL's and VAPO's own defaults, but for a model of a million parameters on two CPU cores."""

Progress = Callable[[str], Callable[[int, int], None]]


@dataclass(frozen=True, slots=True)
class Demo:
    """The same questions before and after training."""

    folder: Path
    steps: int
    before: Evaluation
    after: Evaluation


def run_demo(out: Path, *, steps: int, questions: int, seed: int, on_progress: Progress) -> Demo:
    """Measure, train with VAPO, measure again. Stopped and called again, it goes on where it was.

    Args:
        out: folder of the run.
        steps: training steps of 64 rollouts each, at least 1.
        questions: held-out questions, at least 1.
        seed: of training and measuring.
        on_progress: makes, for the name of a stage, the callback that takes (done, in all).

    Raises:
        ConfigError: a number is out of range, or `out` holds a run with other settings.
    """
    from vapo.engines.trl.options import parse_run
    from vapo.engines.trl.run import train

    if steps < 1 or questions < 1:
        raise ConfigError(f"steps and questions must be at least 1, but are {steps} and {questions}")
    heldout = load_samples(resolve_data("lab"), split="heldout", limit=questions)
    before = _measure("lab", heldout, out / "before", seed, on_progress("before training"))
    settings = {**RUN, "model_name_or_path": resolve_model("lab"), "data": resolve_data("lab")}
    settings |= {"output_dir": str(out / "train"), "max_steps": steps, "seed": seed}
    train(parse_run([word for name, value in settings.items() for word in (f"--{name}", str(value))], "vapo demo"))
    after = _measure(str(out / "train"), heldout, out / "after", seed, on_progress("after training"))
    return Demo(out, steps, before, after)


def _measure(
    model: str, samples: Sequence[Sample], out: Path, seed: int, on_progress: Callable[[int, int], None]
) -> Evaluation:
    return evaluate(
        load_policy(resolve_model(model)),
        samples,
        max_completion_tokens=MAX_COMPLETION_TOKENS,
        batch_size=50,
        seed=seed,
        out=out,
        on_progress=on_progress,
    )


def format_demo(demo: Demo) -> str:
    """Return the comparison as a table for a terminal."""
    lines = [
        f"{demo.steps} steps of VAPO on the lab; {len(demo.before.rows)} held-out questions, 95 % intervals",
        "",
        f"{'':<30}{'before':>22}{'after':>22}",
        _row("answers right, %", demo.before.accuracy, demo.after.accuracy),
    ]
    first, second = demo.before.perception, demo.after.perception
    if first is not None and second is not None:
        lines += ["claims judged right, %:"]
        for was, now in zip((first.before, *first.quarters), (second.before, *second.quarters), strict=True):
            lines.append(_row(f"  {was.where}", was.accuracy, now.accuracy))
    lines += [
        _row("completion length, tokens", demo.before.num_tokens, demo.after.num_tokens, scale=1),
        "",
        f"the trained policy is in {demo.folder / 'train'}",
    ]
    return "\n".join(lines)


def _row(name: str, before: Estimate | None, after: Estimate | None, scale: float = 100) -> str:
    return f"{name:<30}{_cell(before, scale):>22}{_cell(after, scale):>22}"


def _cell(estimate: Estimate | None, scale: float) -> str:
    if estimate is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{scale * estimate.value:.1f}"
    return f"{scale * estimate.value:.1f} [{scale * estimate.low:.1f}, {scale * estimate.high:.1f}]"
