"""A model of each family goes the way of a user's: trained, evaluated, opened and evaluated again, by command."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tiny_models import NEEDS_TORCHVISION, save_tiny, tiny_tokenizer
from training.training_world import letters_and_marks_only
from transformers import AutoModelForImageTextToText, AutoProcessor

from vapo.cli import main

FAMILIES = ("qwen2_5_vl", "qwen3_vl", "llava_onevision", "smolvlm", "idefics3", "gemma3", "internvl")
CLAIMS = [{"text": "there is a cat", "is_true": True}, {"text": "the sky is green", "is_true": False}]
RUN = {
    "max_steps": 2,
    "save_steps": 2,
    "logging_steps": 1,
    "learning_rate": 1e-3,
    "per_device_train_batch_size": 4,
    "num_generations": 4,
    "max_completion_length": 24,
    "system_prompt": "Think first.",
    "num_anchors": 4,
    "verdict": "soft",  # a model that says yes to all has half of the claims right, in every response
    # A random model answers nothing rightly, and writes marks only where it may write little else.
    "accuracy_gate": "none",
    "perception_weight": 1.0,
    "generation_kwargs": letters_and_marks_only(len(tiny_tokenizer()) + 4),
}


def write_data(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = []
    for number in range(4):
        Image.fromarray(rng.integers(0, 255, (56, 42, 3)).astype("uint8")).save(folder / f"{number}.png")
        rows.append({"problem": f"What is {number}?", "answer": "1", "images": f"{number}.png", "claims": CLAIMS})
    file = folder / "data.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture(
    scope="module",
    params=[pytest.param(f, marks=[pytest.mark.torchvision] if f in NEEDS_TORCHVISION else []) for f in FAMILIES],
)
def trained(request, tmp_path_factory):
    """The folders of a model before and after `vapo train`, and its data."""
    folder = tmp_path_factory.mktemp(request.param)
    data, before = write_data(folder), save_tiny(request.param, folder / "model")
    settings = {**RUN, "model_name_or_path": str(before), "data": str(data), "output_dir": str(folder / "run")}
    (folder / "run.yaml").write_text(yaml.safe_dump(settings))
    assert main(["train", "--config", str(folder / "run.yaml")]) == 0
    return SimpleNamespace(folder=folder, before=before, after=folder / "run", data=data)


def open_model(folder: Path) -> torch.nn.Module:
    model, loading = AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True)
    assert not any(loading[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    return model


def read_prompt(folder: Path, image: Path) -> dict[str, torch.Tensor]:
    content = [{"type": "image", "image": Image.open(image)}, {"type": "text", "text": "What is it?"}]
    return AutoProcessor.from_pretrained(folder).apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )


def evaluate(trained: SimpleNamespace, model: Path, out: Path, *more: str) -> int:
    words = ["evaluate", str(model), "--data", str(trained.data), "--split", "train", "--out", str(out)]
    return main([*words, "--max-completion-tokens", "24", "--num-anchors", "4", *more])


def test_it_is_probed_and_learns(trained):
    entries = [json.loads(line) for line in (trained.after / "metrics.jsonl").read_text().splitlines()]
    steps = [entry for entry in entries if "perception/accuracy" in entry]
    assert len(steps) == 2 and max(entry["grad_norm"] for entry in steps) > 0
    assert any(entry["rewards/perception_bonus/mean"] > 0 for entry in steps)


def test_its_folders_open_as_what_was_trained(trained):
    before, last, final = map(open_model, (trained.before, trained.after / "checkpoint-2", trained.after))
    assert type(before) is type(last) is type(final)
    weights = dict(final.named_parameters())
    assert any(not torch.equal(weights[name], value) for name, value in before.named_parameters())
    assert all(torch.equal(weights[name], value) for name, value in last.named_parameters())
    prompts = [read_prompt(folder, trained.folder / "0.png") for folder in (trained.before, trained.after)]
    assert prompts[0].keys() == prompts[1].keys()
    assert all(torch.equal(prompts[0][name], prompts[1][name]) for name in prompts[0])


def test_it_is_evaluated(trained, tmp_path, capsys):
    assert evaluate(trained, trained.after, tmp_path) == 0
    assert "right answers, greedy" in capsys.readouterr().out
    evaluation = json.loads((tmp_path / "evaluation.json").read_text())
    assert evaluation["num_questions"] == 4 and evaluation["perception"]["before"]["num_claims"] == 16
    assert evaluation["settings"]["system_prompt"] == "Think first."
    # A folder of results is closed to other weights: those of the last checkpoint are the same, the first were others.
    assert evaluate(trained, trained.after / "checkpoint-2", tmp_path) == 0
    assert evaluate(trained, trained.before, tmp_path, "--system-prompt", "Think first.") == 1
    assert "weights" in capsys.readouterr().err
