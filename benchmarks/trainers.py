"""Trainers of the sizes that a benchmark asks for, with TRL's defaults but for these."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

from datasets import Dataset
from trl import GRPOTrainer

from benchmarks.rollouts import Work
from benchmarks.settings import Settings
from vapo.training.config import VAPOConfig
from vapo.types import Sample


def make_trainer(
    kind: type[GRPOTrainer],
    model: Any,
    processor: Any,
    sample: Sample,
    reward: Callable[..., list[float | None]],
    settings: Settings,
    work: Work,
    **options: Any,
) -> Any:
    """Return a trainer whose rows all are the same sample.

    Args:
        kind: TRL's trainer, which knows nothing of our options, or ours.
        model: its own.
        processor: of the model.
        sample: with an image and claims.
        reward: what completions earn.
        settings: device, and whether activations are kept.
        work: sizes.
        options: of the run, beyond these.
    """
    args = VAPOConfig(
        output_dir=tempfile.mkdtemp(),
        use_cpu=settings.device == "cpu",
        bf16=settings.device == "cuda",
        gradient_checkpointing=settings.checkpointing,
        per_device_train_batch_size=work.group,
        num_generations=work.group,
        max_completion_length=work.completion_tokens,
        report_to=[],
        **options,
    )
    row = {
        "prompt": [{"role": "user", "content": sample.question}],
        "images": list(sample.images),
        "answer": sample.answer,
        "claims": [{"text": claim.text, "is_true": claim.is_true} for claim in sample.claims],
    }
    rows = Dataset.from_list([row] * 4)
    return kind(model=model, reward_funcs=[reward], args=args, train_dataset=rows, processing_class=processor)
