"""Each recipe names its sources, says what the paper says, and trains a small model of its class for two steps."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch
import yaml
from PIL import Image
from tiny_models import build_tiny, save_tiny, tiny_tokenizer
from training.training_world import letters_and_marks_only

from vapo import VAPOConfig
from vapo.algorithms.registry import BUILT_IN, find_algorithm
from vapo.algorithms.vapo import VAPO
from vapo.cli import main
from vapo.models.policy.checkpoint import load_policy
from vapo.training.options import RunOptions, parse_run, read_options
from vapo.training.recipes import list_recipes, open_recipe

RECIPES = [recipe.name for recipe in list_recipes()]
METHODS = {f"qwen2_5_vl_7b_{name}": name for name in BUILT_IN if find_algorithm(name).presets}
OF_VAPO = [name for name in RECIPES if name not in METHODS]
OF_THE_PAPER = ("qwen2_5_vl_3b", "qwen2_5_vl_7b", "qwen2_5_vl_7b_server", "qwen3_vl_8b")
NUM_GPUS = {"qwen2_5_vl_7b_server": 4, **dict.fromkeys(("qwen2_5_vl_3b", "qwen2_5_vl_7b", "qwen3_vl_8b", *METHODS), 8)}
SMALL_MODELS = {
    "Qwen/Qwen2.5-VL-3B-Instruct": "qwen2_5_vl",
    "Qwen/Qwen2.5-VL-7B-Instruct": "qwen2_5_vl",
    "Qwen/Qwen2.5-VL-32B-Instruct": "qwen2_5_vl",
    "Qwen/Qwen3-VL-8B-Instruct": "qwen3_vl",
}
NEEDS_BITSANDBYTES = [name for name in RECIPES if "qlora" in name]


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load(open_recipe(name).text)


def parse(name: str, monkeypatch: pytest.MonkeyPatch, *more: str) -> RunOptions:
    """Parse a recipe as each process of its launch command does."""
    num_gpus = NUM_GPUS.get(name, 1)
    monkeypatch.setattr("vapo.training.config.count_processes", lambda: num_gpus)
    monkeypatch.setattr(VAPOConfig, "world_size", num_gpus)
    return parse_run(["--config", name, "--use_cpu", "true", *more])


@pytest.mark.parametrize("name", RECIPES)
def test_every_value_has_its_source(name):
    lines = [line for line in open_recipe(name).text.splitlines() if re.match(r"\w+:", line)]
    assert len(lines) == len(read(name))
    for line in lines:
        assert re.search(r"  # (paper|code|ours)\b", line), line


@pytest.mark.parametrize("name", RECIPES)
def test_it_shows_how_it_is_started(name):
    head = open_recipe(name).text.partition("\n\n")[0].replace("# ", "").replace("\\\n", " ")
    (command,) = [line for line in head.splitlines() if "vapo train" in line]
    words = [word for word in shlex.split(command) if not word.startswith("CUDA_VISIBLE_DEVICES=")]
    assert words[:4] == ["vapo", "train", "--config", name]
    processes = read_options(words[2:]).parse_launch()
    assert processes.num_processes == NUM_GPUS.get(name)
    assert processes.accelerate_config == ("fsdp2" if name in NUM_GPUS else None)


@pytest.mark.parametrize("name", OF_VAPO)
def test_the_method_is_the_papers(name, monkeypatch):
    training = parse(name, monkeypatch).training
    assert training.make_algorithm() == VAPO(claim_draws="uniform")  # whose other defaults are the paper's
    assert (training.num_anchors, training.late_emphasis, training.perception_weight) == (20, 1.5, 0.1)
    assert (training.beta, training.epsilon, training.epsilon_high, training.loss_type) == (0.01, 0.2, 0.2, "grpo")
    assert training.temperature == 1.0 and training.dynamic_sampling == "none" and training.num_iterations == 1


@pytest.mark.parametrize(("name", "method"), METHODS.items())
def test_other_methods_have_the_settings_of_their_papers(name, method, monkeypatch):
    training = parse(name, monkeypatch).training
    algorithm = training.make_algorithm()
    assert type(algorithm) is find_algorithm(method) and not set(read(name)) & algorithm.presets["paper"].keys()
    for option, value in algorithm.presets["paper"].items():
        assert getattr(training if hasattr(training, option) else algorithm, option) == value, option
    assert training.use_vllm != (method == "noisy_rollout")


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_the_run_is_the_papers(name, monkeypatch):
    training = parse(name, monkeypatch).training
    assert (training.num_generations, training.learning_rate, training.num_train_epochs) == (5, 5e-6, 2)
    assert training.generation_batch_size == 384 * 5
    at_once = training.per_device_train_batch_size * NUM_GPUS[name]
    assert at_once * training.steps_per_generation == 384 * 5
    assert at_once * training.gradient_accumulation_steps == 128 * 5


@pytest.mark.parametrize("name", RECIPES)
def test_batches_hold_whole_groups(name, monkeypatch):
    training = parse(name, monkeypatch).training
    assert training.per_device_train_batch_size % training.num_generations == 0
    assert training.generation_batch_size % training.update_batch_size == 0
    updates = training.generation_batch_size // training.update_batch_size
    assert training.steps_per_generation == updates * training.gradient_accumulation_steps
    assert training.save_steps % updates == 0  # so that a stopped run can go on exactly


@pytest.mark.parametrize("name", OF_THE_PAPER)
@pytest.mark.parametrize("num_gpus", [1, 2, 4, 16, 128])
def test_batches_are_the_same_on_other_numbers_of_gpus(name, num_gpus, monkeypatch):
    monkeypatch.setitem(NUM_GPUS, name, num_gpus)
    test_the_run_is_the_papers(name, monkeypatch)
    test_batches_hold_whole_groups(name, monkeypatch)


@pytest.mark.parametrize("name", RECIPES)
def test_an_engine_has_room_for_prompt_completion_and_claim(name):
    recipe = read(name)
    if recipe.get("vllm_mode") == "colocate":
        longest = recipe["max_prompt_tokens"] + recipe["max_completion_length"]
        assert recipe["vllm_max_model_length"] == longest + (0 if name in METHODS else 128)


def test_the_recipe_with_a_server_differs_in_that_alone():
    colocated, server = read("qwen2_5_vl_7b"), read("qwen2_5_vl_7b_server")
    changed = {key for key in colocated.keys() | server.keys() if colocated.get(key) != server.get(key)}
    own = {"vllm_mode", "vllm_server_base_url", "vllm_gpu_memory_utilization", "vllm_max_model_length"}
    assert changed == {"output_dir", *own}
    assert "--max-model-len 6272" in open_recipe("qwen2_5_vl_7b_server").text


def test_all_ask_for_the_same_response_format():
    (prompt,) = {read(name)["system_prompt"] for name in RECIPES}
    assert all(part in prompt for part in ("<think>", "</think>", "\\boxed{}")) and "\n" not in prompt


def test_recipes_stand_where_the_wheel_takes_them_from():
    root = Path(__file__).parents[1]
    assert (root / "recipes").is_dir() and not (root / "src" / "vapo" / "recipes").exists()
    assert '"recipes" = "vapo/recipes"' in (root / "pyproject.toml").read_text(encoding="utf-8")


def make_data(folder: Path) -> Path:
    """Write rows in the columns of the published training data."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(12):
        Image.fromarray(rng.integers(0, 255, (56, 42, 3)).astype("uint8")).save(folder / f"{number}.png")
        claims = {f"claim_{place}": f"there are {place} cats" for place in range(1, 21)}
        labels = {f"label_{place}": "CORRECT" if place % 2 else "WRONG" for place in range(1, 21)}
        question = {"problem": f"<image>What is {number}?", "answer": "\\boxed{1}", "images": [f"{number}.png"]}
        rows.append({**question, **claims, **labels})
    file = folder / "data.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def make_small(recipe: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return what has to be changed on a CPU without vLLM and hub, and nothing else."""
    update = 2 * recipe["per_device_train_batch_size"]
    return {
        "model_name_or_path": str(save_tiny(SMALL_MODELS[recipe["model_name_or_path"]], folder / "model")),
        "data": str(make_data(folder)),
        "output_dir": str(folder / "run"),
        "max_steps": 2,
        "use_cpu": True,
        "bf16": False,
        "dtype": "float32",
        "use_vllm": False,
        # As many updates per rollout as in the recipe, of two groups each.
        "update_batch_size": update,
        "generation_batch_size": update * recipe["generation_batch_size"] // recipe["update_batch_size"],
        "max_completion_length": 24,
        # A random model would write bytes that are no text; letters and marks give it places for anchors.
        "generation_kwargs": letters_and_marks_only(len(tiny_tokenizer()) + 4),
        "logging_steps": 1,
    }


@pytest.mark.torchvision
@pytest.mark.parametrize("name", [name for name in RECIPES if name not in NEEDS_BITSANDBYTES])
def test_two_steps_with_a_small_model_of_its_class(name, tmp_path):
    recipe = read(name)
    changes = make_small(recipe, tmp_path)
    (tmp_path / "small.yaml").write_text(yaml.safe_dump({**recipe, **changes}))
    assert main(["train", "--config", str(tmp_path / "small.yaml")]) == 0
    entries = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in entries[:2]] == [1, 2] and np.isfinite(entries[0]["loss"])
    assert name in METHODS or 0 <= entries[0]["perception/accuracy"] <= 1
    settings = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert {key for key in recipe.keys() - changes.keys() if settings[key] != recipe[key]} <= {"lora_target_modules"}
    load_policy(tmp_path / "run")
    table = parquet.read_table(tmp_path / "run" / "completions" / "completions_00001.parquet")
    prompts = Counter(map(json.dumps, table["prompt"].to_pylist()))  # of the first rollout
    assert set(prompts.values()) == {recipe["num_generations"]}
    assert prompts.total() == changes["generation_batch_size"]


@pytest.mark.torchvision
@pytest.mark.parametrize("name", RECIPES)
def test_its_check_passes_with_a_small_model_of_its_class(name, tmp_path, capsys):
    recipe = read(name)
    small = make_small(recipe, tmp_path)
    changes = {key: small[key] for key in ("model_name_or_path", "data", "output_dir", "generation_kwargs")}
    changes |= {"max_prompt_tokens": 1024, "max_completion_length": 1024}  # the small model's context is 2048
    (tmp_path / "small.yaml").write_text(yaml.safe_dump({**recipe, **changes}))
    count, size = (8 if name in (*OF_THE_PAPER, *METHODS) else 1), (24 if name.endswith("24gb") else 80)
    words = ["--gpus", f"{count}x{size}", "--prompts", "1", "--max-completion-tokens", "24", "--json"]
    assert main(["check", str(tmp_path / "small.yaml"), *words]) == 0
    found = {section["title"]: section for section in json.loads(capsys.readouterr().out)["sections"]}
    assert found["responses"]["numbers"]["responses"] == recipe["num_generations"]
    assert found["tokens"]["facts"]["think tags"] == "<think> </think>, as plain text; named in the prompt"
    assert found["memory"]["numbers"]["fits"]
    assert name in METHODS or found["probes"]["numbers"]["before"]["probes"] == 20


@pytest.mark.torchvision
@pytest.mark.parametrize("name", ["qwen2_5_vl_3b_lora_24gb", "qwen2_5_vl_7b_lora_80gb", "qwen2_5_vl_7b_qlora_24gb"])
def test_adapters_are_on_every_layer_of_the_language_model_alone(name):
    (targets,) = read(name)["lora_target_modules"]
    model, _ = build_tiny(SMALL_MODELS[read(name)["model_name_or_path"]])
    layers = {path for path, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    adapted = {path for path in layers if re.fullmatch(targets, path)}
    assert adapted == {path for path in layers if "visual" not in path and path != "lm_head"}
