"""A world for trainer tests: random images, a random model that writes many boundaries, rewards that vary."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from PIL import Image
from tiny_models import tiny_tokenizer

from vapo import VAPOConfig
from vapo.types import Verdict

CLAIMS = [
    {"text": "there is a cat", "is_true": True},
    {"text": "the sky is green", "is_true": False},
    {"text": "a 3 stands in row 1", "is_true": True},
    {"text": "two dogs sit on a {red} car", "is_true": False},
]


def make_images(count: int) -> list[Image.Image]:
    rng = np.random.default_rng(1)
    return [Image.fromarray(rng.integers(0, 255, (56, 42, 3)).astype("uint8")) for _ in range(count)]


def make_rows(count: int = 6, claims: list[dict[str, Any]] | None = None, images_per_row: int = 1) -> Dataset:
    rng = np.random.default_rng(0)

    def row(number: int) -> dict[str, Any]:
        images = [
            Image.fromarray(rng.integers(0, 255, (56, 42 + 21 * place, 3)).astype("uint8"))
            for place in range(1 + number % images_per_row)
        ]
        return {
            "prompt": [{"role": "user", "content": f"What is it? {number}"}],
            "images": images,
            "answer": "1",
            "claims": CLAIMS if claims is None else claims,
            "id": f"row-{number}",
        }

    return Dataset.from_list([row(number) for number in range(count)])


def letters_and_marks_only(vocabulary_size: int) -> dict[str, list[int]]:
    """Generation options under which a random model writes letters and punctuation, and may end."""
    tokenizer = tiny_tokenizer()
    allowed = set(tokenizer.convert_tokens_to_ids([*"abcdefghij,.!?;:", "<|im_end|>"]))
    assert tokenizer.unk_token_id not in allowed
    return {"suppress_tokens": [i for i in range(vocabulary_size) if i not in allowed]}


def even_letters(completions: Any, completion_ids: Any, **_: Any) -> list[float]:
    """A reward that a random model sometimes earns: an even number of letters."""
    decode = tiny_tokenizer().decode
    return [float(sum(c in string.ascii_letters for c in decode(ids)) % 2 == 0) for ids in completion_ids]


def length_reward(completion_ids: Any, **_: Any) -> list[float]:
    return [len(ids) / 100 for ids in completion_ids]


def make_config(folder: Path, **options: Any) -> VAPOConfig:
    values: dict[str, Any] = {
        "output_dir": str(folder),
        "use_cpu": True,
        "bf16": False,
        "seed": 7,
        "learning_rate": 1e-3,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
        "num_generations": 4,
        "max_completion_length": 24,
        "generation_kwargs": letters_and_marks_only(len(tiny_tokenizer()) + 4),
        "max_steps": 3,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "num_anchors": 3,
        "beta": 0.02,
        "router_aux_loss_coef": 0.0,  # with it, no mixture of experts is packed, and some cannot be trained
    }
    return VAPOConfig(**{**values, **options})


def parameters_of(trainer) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}


def assert_same_parameters(first, second) -> None:
    assert first.keys() == second.keys()
    for name, parameter in first.items():
        assert torch.equal(parameter, second[name]), name


def metrics_of(trainer, name: str) -> list[float]:
    return [entry[name] for entry in trainer.state.log_history if name in entry]


def even_letters_of_some(completions, completion_ids, **options):
    """Score no completion of an odd number of tokens."""
    scores = even_letters(completions, completion_ids, **options)
    return [score if len(ids) % 2 == 0 else None for score, ids in zip(scores, completion_ids, strict=True)]


class PerfectPerceiver:
    def score(self, probes, keep_in_step_with=None):
        return [Verdict(probe, float(probe.claim.is_true)) for probe in probes]


def train(trainer) -> dict[str, torch.Tensor]:
    """Train to the end, and return what came of the parameters."""
    trainer.train()
    return parameters_of(trainer)
