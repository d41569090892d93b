"""One arm with one seed: train, measure, keep every row. Stopped and started again, it goes on where it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from vapo.data.samples import load_samples
from vapo.lab.processes.side_by_side import Report
from vapo.lab.processes.step_report import StepReport
from vapo.models.policy.checkpoint import load_policy
from vapo.training.options import parse_run
from vapo.training.run import train

from .measuring import measure_policy
from .order import Order
from .rows import read_kinds, write_responses

_MEASURING_SEED = 0  # the same responses' noise for all that are compared


def carry_out(text: str, report: Report) -> None:
    """Train and measure; `text` is an order as `Order.to_json` wrote it, `report` is told each step."""
    order = Order.from_json(text)
    if order.is_done:
        return
    if not torch.cuda.is_available():
        torch.set_num_threads(1)
    if order.arm.is_trained:
        _train(order, report)
    samples = load_samples(order.data, split="heldout", require_claims=True, limit=order.scale.num_questions)
    rows = list(
        measure_policy(
            load_policy(order.policy),
            samples,
            read_kinds(Path(order.data) / "heldout.parquet"),
            max_completion_tokens=order.scale.max_completion_tokens,
            num_anchors=order.scale.num_anchors,
            seed=_MEASURING_SEED,
            on_progress=lambda done, total: report("measuring", done, total),
        )
    )
    write_responses(order.responses, rows, arm=order.arm.name, seed=order.seed)


def _train(order: Order, report: Report) -> None:
    train(parse_run(_list_options(order), "python -m studies compare"), [StepReport(report)])


def _list_options(order: Order) -> list[str]:
    options: dict[str, Any] = {
        **order.scale.options,
        **order.arm.options,
        "model_name_or_path": order.checkpoint,
        "data": order.data if order.arm.data == "questions" else order.data_with_claims,
        "output_dir": order.trained,
        "max_steps": order.scale.steps,
        "max_completion_length": order.scale.max_completion_tokens,
        "seed": order.seed,
        "disable_tqdm": True,
    }
    given = {name: value for name, value in options.items() if value is not None}
    return [word for name, value in given.items() for word in (f"--{name}", str(value))]
