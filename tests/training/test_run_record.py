"""A run from Python explains itself as one from a run file does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from training.training_world import CLAIMS, even_letters, make_config, make_images, make_rows

from vapo import Columns, VAPOTrainer, load_samples, make_training_rows
from vapo.algorithms.grpo import GRPO
from vapo.export.card import name_algorithm
from vapo.export.origin import find_origin
from vapo.export.provenance import write_data, write_training
from vapo.run_folder import choose_system_prompt, list_versions


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


@pytest.fixture
def data(tmp_path) -> Path:
    for number, image in enumerate(make_images(6)):
        image.save(tmp_path / f"{number}.png")
    rows = [{"q": "?", "answer": "1", "image": f"{number}.png", "claims": CLAIMS} for number in range(6)]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "own.jsonl"


def test_a_run_from_python_is_recorded_and_asked_as_it_was_trained(checkpoint, data, tmp_path, capsys):
    rows = make_training_rows(load_samples(data, columns=Columns(question="q")), system_prompt="Think first.")
    out = tmp_path / "run"
    trainer = VAPOTrainer(checkpoint, even_letters, make_config(out, max_steps=1), rows.select(range(5)))
    trainer.train()
    trainer.save_model(str(out / "final"))
    settings = read(out, "settings.json")
    assert (settings["num_anchors"], settings["data"], settings["question_column"]) == (3, str(data), "q")
    assert settings["model_name_or_path"] == checkpoint and settings["reward_funcs"] == ["even_letters"]
    assert "output_dir" not in settings and settings["made_by"] == "VAPOTrainer"
    assert read(out, "versions.json") == list_versions()
    record = read(out, "data.json")["train"]
    assert (record["rows"], record["true_claims"], record["false_claims"]) == (5, 10, 10)
    assert [file["name"] for file in record["files"]] == ["own.jsonl"]
    assert json.loads((out / "metrics.jsonl").read_text().splitlines()[0])["step"] == 1
    capsys.readouterr()
    for policy in (out, out / "final"):
        assert choose_system_prompt(None, policy) == "Think first."
    assert capsys.readouterr().err == ""
    origin = find_origin(out / "final")
    assert "own.jsonl" in write_data(origin) and "VAPOTrainer" in write_training(origin)
    assert "vapo train --config" not in write_training(origin) and origin.metrics


def test_a_second_run_takes_the_place_of_the_first(make_trainer, tmp_path, caplog):
    make_trainer(max_steps=2).train()
    make_trainer(max_steps=1, num_anchors=2, algorithm="grpo").train()
    assert "held the record of a run with other settings (algorithm, max_steps, num_anchors)" in caplog.text
    assert read(tmp_path, "settings.json")["num_anchors"] == 2
    steps = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert set(steps) == {1}


def test_a_run_that_goes_on_keeps_its_metrics(make_trainer, tmp_path, caplog):
    make_trainer(max_steps=2, save_strategy="steps", save_steps=1).train()
    trainer = make_trainer(max_steps=3, save_strategy="steps", save_steps=1)
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))
    steps = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert list(dict.fromkeys(steps)) == [1, 2, 3]
    card = (tmp_path / "README.md").read_text()
    assert "None" not in card and "`vapo export`" in card and "base_model" not in card
    trainer.save_model()
    assert find_origin(tmp_path).folder == tmp_path


def test_what_cannot_be_known_is_not_recorded(make_trainer, tmp_path, capsys):
    def ask(row: dict[str, Any], system: str) -> dict[str, Any]:
        return {"prompt": [{"role": "system", "content": system}, *row["prompt"]]}

    class Own(GRPO):
        pass

    rows = make_rows().map(lambda row, place: ask(row, f"Prompt {place % 2}."), with_indices=True)
    make_trainer(rows, max_steps=1, trainer_options={"algorithm": Own()}).train()
    settings = read(tmp_path, "settings.json")
    assert "system_prompt" not in settings and settings["algorithm"].endswith("<locals>.Own")
    assert name_algorithm(settings) and read(tmp_path, "data.json")["train"]["source"] == "a data set in Python"
    assert choose_system_prompt(None, tmp_path) is None
    said = capsys.readouterr().err
    assert "asked without a system message" in said and "--system-prompt TEXT" in said
