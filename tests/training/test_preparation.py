from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tiny_models import save_tiny
from transformers import AutoProcessor, TrainerCallback
from transformers.integrations import INTEGRATION_TO_CALLBACK, get_available_reporting_integrations

from vapo.cli import main
from vapo.errors import ConfigError
from vapo.training.options import parse_run
from vapo.training.run import train

TOLD_LATER = ("azure_ml", "flyte", "kubeflow")
CLAIMS = [{"text": "there is a cat", "is_true": True}, {"text": "the sky is green", "is_true": False}]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    save_tiny("llava", folder / "model")
    Image.fromarray(np.zeros((28, 28, 3), "uint8")).save(folder / "0.png")
    row = {"problem": "What is it?", "answer": "1", "image": "0.png", "claims": CLAIMS}
    (folder / "data.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(row) + "\n")
    config = {
        "model_name_or_path": str(folder / "model"),
        "data": str(folder / "data.jsonl"),
        "per_device_train_batch_size": 2,
        "num_generations": 2,
        "max_completion_length": 4,
        "num_anchors": 2,
        "max_steps": 1,
        "save_strategy": "no",
        "logging_steps": 1,
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(config))
    return folder


def words(world: Path, out: Path, *more: str) -> list[str]:
    return ["train", "--config", str(world / "run.yaml"), "--output_dir", str(out), *more]


def refuse(world: Path, out: Path, capsys, *more: str) -> str:
    capsys.readouterr()
    assert main(words(world, out, *more)) == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("vapo: ")
    return message


def test_a_mistake_is_a_sentence_and_not_held_against_the_next_try(world, tmp_path, capsys):
    out = tmp_path / "out"
    mistakes = {
        "Target modules .*nonsense.* not found": ["--use_peft", "true", "--lora_target_modules", "nonsense"],
        "`r` should be a positive integer": ["--use_peft", "true", "--lora_r", "0"],
        "attn_implementation.* is not supported": ["--attn_implementation", "nonsense"],
        "gate_reward='nonsense' is none of": ["--gate_reward", "nonsense"],
        "unexpected keyword argument 'nonsense'": ["--lr_scheduler_kwargs", '{"nonsense": 1}'],
        "--dtype: invalid choice: 'nonsense'": ["--dtype", "nonsense"],
    }
    for message, more in mistakes.items():
        assert re.search(message, refuse(world, out, capsys, *more))
    assert main(words(world, out, "--use_peft", "true", "--lora_target_modules", "q_proj,v_proj")) == 0
    assert json.loads((out / "settings.json").read_text())["lora_target_modules"] == ["q_proj", "v_proj"]
    assert "use_peft was True and is False" in refuse(world, out, capsys)


def test_a_run_without_memory_is_not_held_against_the_next_try(world, tmp_path):
    class Full(TrainerCallback):
        def on_step_begin(self, *_, **__):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.\nMore of it.")

    def options(*more: str):
        return parse_run(words(world, tmp_path / "out", *more)[1:])

    with pytest.raises(ConfigError, match=r"GPU does not suffice: CUDA out of memory.*lower per_device_train_batch"):
        train(options(), callbacks=[Full()])
    assert train(options("--num_anchors", "3")).steps == 1


def test_what_is_missing_is_said_before_the_folder_is_made(world, tmp_path, capsys):
    out = tmp_path / "out"
    said = refuse(world, out, capsys, "--eval_strategy", "steps", "--eval_steps", "1")
    assert "eval_strategy='steps' needs data to evaluate on; name a split with eval_split" in said
    for name in sorted(INTEGRATION_TO_CALLBACK.keys() - {*get_available_reporting_integrations(), *TOLD_LATER}):
        said = refuse(world, out, capsys, "--report_to", f"{name},tensorboard")
        assert re.search(f"report_to='{name}' needs .*, which is not installed: pip install", said)
    assert "the nearest is 'wandb'" in refuse(world, out, capsys, "--report_to", "wndb")
    assert not out.exists()


def test_a_tokenizer_that_cannot_end_a_completion(world, tmp_path, capsys):
    processor = AutoProcessor.from_pretrained(world / "model")
    processor.tokenizer.eos_token = None
    shutil.copytree(world / "model", tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    said = refuse(world, tmp_path / "out", capsys, "--model_name_or_path", str(tmp_path / "model"))
    assert "has no end-of-sequence token, so no completion could end" in said


def test_adapters_lie_on_the_language_model_unless_layers_are_named(world, tmp_path):
    assert main(words(world, tmp_path / "out", "--use_peft", "true")) == 0
    chosen = json.loads((tmp_path / "out" / "settings.json").read_text())["lora_target_modules"]
    assert "language_model" in chosen and "q_proj" in chosen and "down_proj" in chosen
    assert json.loads((tmp_path / "out" / "adapter_config.json").read_text())["target_modules"] == chosen


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_an_output_folder_that_cannot_be_made(world, tmp_path, capsys, place):
    (tmp_path / "file").touch()
    assert str(tmp_path / place) in refuse(world, tmp_path / place, capsys)
