"""What docs/own_model.md and docs/quickstart.md tell a new user, with scenes and columns of the user's own.

The way leads from `vapo data inspect` to two compared checkpoints, trained by command and from Python, and starts from
data in three forms of storage.
"""

from __future__ import annotations

import json
import re
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from datasets import Dataset
from PIL import Image, ImageDraw

from vapo import Columns, VAPOConfig, VAPOTrainer, load_samples, make_training_rows
from vapo.cli import main
from vapo.lab.shipped import shipped_checkpoint

TRAIN, TEST = 16, 8
THINGS = ("ball", "box", "kite")
COLOURS = ("red", "blue", "green", "orange")
PLACES = ((8, 8), (72, 8), (8, 72), (72, 72))
NAMED = ("--question-column", "question", "--id-column", "uid")
SYSTEM_PROMPT = "Look closely, then answer."
MY_CLAIMS = f"""
from vapo import Claim


def name_things(row, images):
    shown = {{(one["colour"], one["name"]) for one in row["objects"]}}
    for pair in [(colour, thing) for colour in {COLOURS} for thing in {THINGS}]:
        yield Claim("There is a {{}} {{}} in the image.".format(*pair), is_true=pair in shown)
"""
MY_REWARDS = """
def count_nearly(completions, objects, kind, log_metric=None, **columns):
    rewards = []
    for completion, shown, asked in zip(completions, objects, kind, strict=True):
        number = len([one for one in shown if asked in ("things", one["name"])])
        digits = [int(letter) for letter in str(completion[-1]["content"]) if letter.isdigit()]
        rewards.append(1 - abs(digits[-1] - number) / 9 if digits else 0.0)
        log_metric("number_of_things", len(shown))
    return rewards
"""
RUN: dict[str, Any] = {
    "max_steps": 2,
    "logging_steps": 1,
    "learning_rate": 1e-3,
    "per_device_train_batch_size": 8,
    "num_generations": 8,
    "max_completion_length": 24,
    "num_anchors": 4,
    "accuracy_gate": "graded",
    "save_strategy": "no",
    "report_to": [],
    "disable_tqdm": True,
    "use_cpu": True,
    "bf16": False,
}


def make_scenes() -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    scenes: list[dict[str, Any]] = []
    for number in range(TRAIN + TEST):
        objects = [
            {"name": str(rng.choice(THINGS)), "colour": str(rng.choice(COLOURS)), "x": x, "y": y}
            for x, y in rng.permutation(PLACES)[: rng.integers(2, 5)].tolist()
        ]
        kind = ("things", "ball")[number % 2]
        scenes.append(
            {
                "uid": f"scene-{number:02}",
                "question": f"How many {kind.removesuffix('s')}s are there?",
                "answer": str(sum(kind in ("things", one["name"]) for one in objects)),
                "image": draw(objects),
                "objects": objects,
                "kind": kind,
            }
        )
    return scenes


def draw(objects: list[dict[str, Any]]) -> Image.Image:
    image = Image.new("RGB", (128, 128), "white")
    pen = ImageDraw.Draw(image)
    for one in objects:
        x, y, colour = one["x"], one["y"], one["colour"]
        if one["name"] == "ball":
            pen.ellipse((x, y, x + 48, y + 48), colour)
        elif one["name"] == "box":
            pen.rectangle((x, y, x + 48, y + 48), colour)
        else:
            pen.polygon([(x + 24, y), (x + 48, y + 24), (x + 24, y + 48), (x, y + 24)], colour)
    return image


def store_as_folder(scenes: list[dict[str, Any]], name: str) -> Path:
    Path(f"{name}-photos").mkdir()
    file = Path(f"{name}.jsonl")
    with file.open("w", encoding="utf-8") as lines:
        for scene in scenes:
            image = f"{name}-photos/{scene['uid']}.png"
            scene["image"].save(image)
            lines.write(json.dumps({**scene, "image": image}) + "\n")
    return file


def store_on_disk(scenes: list[dict[str, Any]], name: str) -> Path:
    Dataset.from_list(scenes).save_to_disk(name)
    return Path(name)


def store_as_parquet(scenes: list[dict[str, Any]], name: str) -> Path:
    Dataset.from_list(scenes).to_parquet(f"{name}.parquet")
    return Path(f"{name}.parquet")


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """Gives a command in the user's folder, which holds two small files of theirs, and returns what it prints."""
    (tmp_path / "my_claims.py").write_text(MY_CLAIMS, encoding="utf-8")
    (tmp_path / "my_rewards.py").write_text(MY_REWARDS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def ask(*words: object) -> str:
        capsys.readouterr()
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        assert code == 0, said.err
        return said.out

    yield ask
    for name in ("my_claims", "my_rewards"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("store", [store_as_folder, store_on_disk, store_as_parquet])
def test_the_first_week(store: Callable[[list[dict[str, Any]], str], Path], ask: Callable[..., str]):
    scenes = make_scenes()
    stored = {"train": store(scenes[:TRAIN], "my-train"), "test": store(scenes[TRAIN:], "my-test")}
    train, test = prepare(stored, scenes, ask)
    train_by_command(train, ask)
    train_from_python(train)
    by_command, from_python = (check_run(Path("runs", name)) for name in ("command", "python"))
    assert by_command == pytest.approx(from_python)
    measure_and_compare(test, ask)


def prepare(stored: dict[str, Path], scenes: list[dict[str, Any]], ask: Callable[..., str]) -> tuple[Path, Path]:
    """Inspect the data, give them claims, and return what to train on and what to measure on."""
    for split, number in (("train", TRAIN), ("test", TEST)):
        assert f"{number} ({number} good)" in (said := ask("data", "inspect", stored[split], *NAMED))
        assert f"{number} number" in said and "no problems" in said
        program = ("--program", "my_claims.py:name_things", "--per-image", 2)
        said = ask("claims", "make", "--data", stored[split], *program, "--out", "claims.db", *NAMED)
        assert f"{number} of {number} rows have their claims" in said and f"{2 * number} claims kept" in said
        said = ask("data", "attach", "claims.db", stored[split], "--out", f"{split}.parquet", *NAMED)
        assert f"{number} rows with {2 * number} claims are in {split}.parquet" in said
    said = ask("data", "deduplicate", "train.parquet", "--against", "test.parquet", "--out", "clean.parquet", *NAMED)
    assert f"{TRAIN} rows without an image of the evaluation data are in clean.parquet" in said
    said = ask("data", "inspect", "clean.parquet", "--require-claims", "--processor", "lab", *NAMED)
    assert f"{TRAIN} CORRECT (50.0%)" in said and f"over {TRAIN} prompts" in said and "no problems" in said
    rows = Dataset.from_parquet("clean.parquet")
    for name in ("uid", "question", "answer", "objects", "kind"):
        assert list(rows[name]) == [scene[name] for scene in scenes[:TRAIN]]
    return Path("clean.parquet"), Path("test.parquet")


def train_by_command(data: Path, ask: Callable[..., str]) -> None:
    named = {"question_column": "question", "id_column": "uid", "system_prompt": SYSTEM_PROMPT}
    rewards = {"reward_funcs": ["my_rewards:count_nearly"]}
    run = {"model_name_or_path": "lab", "data": str(data), "output_dir": "runs/command", **named, **rewards, **RUN}
    Path("run.yaml").write_text(yaml.safe_dump(run), encoding="utf-8")
    ask("train", "--config", "run.yaml")


def train_from_python(data: Path) -> None:
    samples = load_samples(data, columns=Columns(question="question", id="uid"), require_claims=True)
    trainer = VAPOTrainer(
        model=str(shipped_checkpoint()),
        reward_funcs=runpy.run_path("my_rewards.py")["count_nearly"],
        args=VAPOConfig("runs/python", **RUN),
        train_dataset=make_training_rows(samples, system_prompt=SYSTEM_PROMPT),
    )
    trainer.train()
    trainer.save_model()


def check_run(folder: Path) -> list[float]:
    """Check what a run records, and that columns of the user's own reached their reward; return what was logged."""
    assert {"settings.json", "versions.json", "data.json", "finished"} <= {file.name for file in folder.iterdir()}
    assert json.loads((folder / "data.json").read_text(encoding="utf-8"))["train"]["rows"] == TRAIN
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    assert settings["system_prompt"] == SYSTEM_PROMPT
    assert [name.removeprefix("my_rewards:") for name in settings["reward_funcs"]] == ["count_nearly"]
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    steps = [entry for entry in map(json.loads, lines) if "reward" in entry]
    assert [step["step"] for step in steps] == [1, 2] and max(step["grad_norm"] for step in steps) > 0
    for step in steps:
        assert step["number_of_things"] in (2, 3, 4) and 0 < step["rewards/count_nearly/mean"] < 1
        assert step["rewards/perception_bonus/mean"] > 0
    return [step[name] for step in steps for name in ("grad_norm", "reward", "perception/accuracy")]


def measure_and_compare(data: Path, ask: Callable[..., str]) -> None:
    """Evaluate the model before training and both checkpoints, and compare them question by question."""
    asked = ("--data", data, "--max-completion-tokens", 24, "--num-anchors", 4, *NAMED)
    models = {
        "before": ("lab", "--system-prompt", SYSTEM_PROMPT),
        "command": ("runs/command",),
        "python": ("runs/python",),
    }
    weights: dict[str, str] = {}
    for name, model in models.items():
        assert "right answers, greedy" in ask("evaluate", *model, "--out", f"runs/measured-{name}", *asked)
        evaluation = json.loads(Path(f"runs/measured-{name}/evaluation.json").read_text(encoding="utf-8"))
        assert evaluation["num_questions"] == TEST and evaluation["settings"]["system_prompt"] == SYSTEM_PROMPT
        rows = Path(f"runs/measured-{name}/rows.jsonl").read_text(encoding="utf-8").splitlines()
        assert sorted(json.loads(row)["id"] for row in rows) == [f"scene-{n:02}" for n in range(TRAIN, TRAIN + TEST)]
        weights[name] = evaluation["settings"]["weights"]
    assert weights["before"] != weights["command"] == weights["python"]
    said = ask("compare", "runs/measured-before", "runs/measured-command")
    assert "Intervals are paired by question" in said and "left out" not in said and "different settings" not in said
    assert re.search(rf"^right answers, greedy.* {TEST}$", said, re.MULTILINE)
    said = ask("compare", "runs/measured-command", "runs/measured-python")
    changes = [line for line in said.splitlines() if re.search(r"[+-]\d+\.\d", line)]
    assert len(changes) > 5 and all("+0.0" in line for line in changes)
    assert len({line.index("all alike") for line in changes}) == 1, said
