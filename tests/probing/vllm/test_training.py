"""`vapo train` with `use_vllm`, for real: several steps on vLLM's CPU build, with the weights synchronised in between.

TRL reports how far the log-probabilities of the engine that sampled are from the policy's own. What is left of it here
when rollouts are fixed is the mass of the vision tokens, which are not sampled (see docs/vllm.md).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors.torch import load_file
from vllm_world import save_for_vllm

pytestmark = [pytest.mark.vllm, pytest.mark.xdist_group("vllm")]

CLAIMS = [{"text": "there is a cat", "is_true": True}, {"text": "the sky is green", "is_true": False}]
STEPS = 4


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    save_for_vllm("qwen2_5_vl", folder / "model")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(4):  # each is seen again after an update
        Image.fromarray(rng.integers(0, 255, (112, 84, 3)).astype("uint8")).save(folder / f"{number}.png")
        rows.append({"problem": f"What is {number}?", "answer": "1", "image": f"{number}.png", "claims": CLAIMS})
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {
        "model_name_or_path": str(folder / "model"),
        "data": str(folder / "data.jsonl"),
        "learning_rate": 1e-2,
        "lr_scheduler_type": "constant",
        "per_device_train_batch_size": 8,
        "num_generations": 4,
        "max_completion_length": 48,
        "num_anchors": 4,
        "accuracy_gate": "none",
        "perception_weight": 1.0,
        "max_steps": STEPS,
        "save_strategy": "no",
        "logging_steps": 1,
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_max_model_length": 1024,
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(config))
    return folder


def run(world: Path, out: Path, *words: str, how: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run it as a user would."""
    program = [str(Path(__file__).with_name("train_on_vllm.py")), *how]
    program += ["train", "--config", str(world / "run.yaml"), "--output_dir", str(out), *words]
    return subprocess.run([sys.executable, *program], capture_output=True, text=True, check=False)


def train(world: Path, out: Path, *words: str, how: tuple[str, ...] = ()) -> list[dict[str, float]]:
    """Run it as a user would; return what it logged at each step."""
    done = run(world, out, *words, how=how)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "sampling/sampling_logp_difference/mean" in line]


def differences(steps: list[dict[str, float]], name: str) -> list[float]:
    return [step[f"sampling/sampling_logp_difference/{name}"] for step in steps]


def test_rollouts_are_the_policys_own_and_probes_find_them_cached(world, tmp_path):
    vapo = train(world, tmp_path / "vapo", "--probe_backend", "vllm")
    unfixed = train(world, tmp_path / "unfixed", "--algorithm", "grpo", how=("--unchecked",))
    for name, steps in (("fixed, VAPO", vapo), ("TRL 1.16 by itself, GRPO", unfixed)):
        mean, largest = (np.round(differences(steps, which), 4).tolist() for which in ("mean", "max"))
        print(f"sampling_logp_difference, {name}: mean {mean}, max {largest}")
    shares = [step["perception/prefix_cache_share"] for step in vapo if "perception/prefix_cache_share" in step]
    print(f"prefix_cache_share of the probes: {np.round(shares, 2).tolist()}")
    assert len(vapo) == len(unfixed) == STEPS
    before, after = load_file(world / "model/model.safetensors"), load_file(tmp_path / "vapo/model.safetensors")
    moved = {name for name in before if not np.allclose(before[name], after[name], atol=1e-3)}
    assert any("visual" in name for name in moved) and any("layers" in name for name in moved)
    # Not growing with the steps: the engine rolls out with the weights that were just learned.
    assert max(differences(vapo, "max")) < 0.1 < min(differences(unfixed, "mean"))
    assert shares and min(shares) > 0.2


@pytest.mark.parametrize("options", [("--algorithm", "grpo"), ("--probe_backend", "auto")])
def test_rollouts_alone_go_to_vllm(world, tmp_path, options):
    steps = train(world, tmp_path / "run", "--max_steps", "2", *options)
    assert max(differences(steps, "max")) < 0.1
    assert not any("perception/prefix_cache_share" in step for step in steps)
    assert any("perception/accuracy" in step for step in steps) is (options[0] == "--probe_backend")


def test_rollouts_of_another_model_than_the_policy_stop_a_run(world, tmp_path):
    """Each image's tokens are in the engine twice, as TRL 1.16 by itself has them."""
    done = run(world, tmp_path / "unfixed", "--algorithm", "grpo", "--max_steps", "1", how=("--unfixed",))
    assert done.returncode != 0
    said = r"log-probabilities in vLLM differ by [0-9.]+ from the model's own|its prompt has \d+ tokens"
    assert re.search(said, done.stderr), done.stderr
