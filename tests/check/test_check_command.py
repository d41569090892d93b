"""`vapo check` of the lab, of run files and run folders: one page, and status 1 for what would stop the run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from think_tokens import save_with_think_tokens
from tiny_models import save_tiny, tiny_tokenizer
from training.training_world import letters_and_marks_only
from transformers import AutoModelForImageTextToText, AutoProcessor

from vapo.cli import main

CLAIMS = [{"text": "there is a cat", "is_true": True}, {"text": "the sky is green", "is_true": False}]
PROMPT = "Think between <think> and </think>, and answer in \\boxed{}."


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A folder with a random model, data, and a run file."""
    folder = tmp_path_factory.mktemp("world")
    save_tiny("llava", folder / "model")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(6):
        Image.fromarray(rng.integers(0, 255, (28, 28 + 14 * number, 3)).astype("uint8")).save(folder / f"{number}.png")
        rows.append({"problem": f"What is {number}?", "answer": "1", "image": f"{number}.png", "claims": CLAIMS})
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {
        "model_name_or_path": str(folder / "model"),
        "data": str(folder / "data.jsonl"),
        "output_dir": str(folder / "run"),
        "system_prompt": PROMPT,
        "per_device_train_batch_size": 4,
        "num_generations": 4,
        "max_completion_length": 16,
        "num_anchors": 2,
        "max_steps": 1,
        "generation_kwargs": letters_and_marks_only(len(tiny_tokenizer()) + 4),
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(config))
    return folder


def check(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, dict[str, Any]]:
    """Check a run and return the exit status and the sections by title."""
    capsys.readouterr()
    status = main(["check", *map(str, words), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["passes"] == (status == 0)
    return status, {section["title"]: section for section in found["sections"]}


def problems_of(sections: dict[str, Any]) -> list[str]:
    return [problem for section in sections.values() for problem in section["problems"]]


def test_the_lab_passes_and_its_page_says_what_it_is(capsys):
    assert main(["check", "lab", "--rows", "24", "--prompts", "2"]) == 0
    page = capsys.readouterr().out
    for part in (
        "24 looked at, 24 good",
        "<|im_start|>user\\n<|vision_start|><|image_pad|> x 16 <|vision_end|>",
        "<think> </think>, as tokens, as the checkpoint says (tokenizer); not named in the prompt",
        "never sampled        <|vision_start|> <|vision_end|> <|image_pad|>",
        "training: prompts, log-probabilities, answers to probes",
        "continuations behind a cut",
        "format 1.00, boxed answer 1.00, understood 1.00",
        "P(yes)+P(no)",
        "not without GPUs; name them with --gpus 8x80",
        "no problems, no warnings",
    ):
        assert part in " ".join(page.split()) or part in page, part
    assert all(len(line) <= 120 for line in page.splitlines())


def test_everything_is_told_as_json(world, capsys):
    status, sections = check(capsys, world / "run.yaml", "--prompts", "2", "--gpus", "1x24")
    assert status == 0, problems_of(sections)
    assert list(sections) == [
        "run", "versions", "data", "prompt", "tokens", "paths", "responses", "probes", "memory", "engines",
    ]  # fmt: skip
    assert sections["data"]["numbers"]["rows"] == 6 and sections["data"]["numbers"]["true_claims"] == 6
    assert sections["responses"]["numbers"]["responses"] == 8
    assert sections["responses"]["numbers"]["shares"]["format"] == 0
    assert any("no response has the format" in one for one in sections["responses"]["warnings"])
    before = sections["probes"]["numbers"]["before"]
    assert before["probes"] == 4 and 0 <= before["p_yes_or_no"] <= 1
    assert math.isclose(before["accuracy"], (before["of_true"] + before["of_false"]) / 2)
    assert sections["memory"]["numbers"]["fits"] is True
    assert "generation_kwargs" in sections["engines"]["facts"]["verl"]


def test_a_checked_run_leaves_nothing_behind(world, capsys):
    check(capsys, world / "run.yaml", "--prompts", "1")
    assert not (world / "run").exists()


@pytest.mark.parametrize(
    ("changes", "title", "said"),
    [
        (["max_completion_length=4096"], "prompt", r"exceed the model's context of 2048"),
        (["model_name_or_path=no/such/model"], "set-up", "no/such/model"),
        (["eval_strategy=steps"], "set-up", "name a split with eval_split"),
        (["max_prompt_tokens=3"], "prompt", "no prompt has 3 tokens or fewer"),
        (["answer_column=reply"], "data", "reply"),
        (["packing=require", "loss_type=grpo", "gate_reward=other"], "paths", "gate_reward='other'"),
        (["attn_implementation=nonsense", 'chat_template_kwargs={"a": 1}', "algorithm=none"], None, "none"),
    ],
)
def test_what_would_stop_a_run_is_a_problem(world, capsys, changes, title, said):
    words = [word for change in changes for word in ("--set", change)]
    if title is None:  # not even an option: said as every command says it
        assert main(["check", str(world / "run.yaml"), *words]) == 1
        assert said in capsys.readouterr().err
        return
    status, sections = check(capsys, world / "run.yaml", *words)
    assert status == 1 and any(said in problem for problem in sections[title]["problems"]), problems_of(sections)


def test_a_family_that_vllm_is_not_proven_for_is_a_problem(world, capsys, monkeypatch):
    monkeypatch.setattr("vapo.probing.vllm.pads.VLLM_FAMILIES", ("qwen2_vl",))
    status, sections = check(capsys, world / "run.yaml", "--set", "use_vllm=true")
    refused = "use_vllm=True is not supported for 'llava'"
    assert status == 1 and any(refused in problem for problem in sections["engines"]["problems"])


def test_memory_that_does_not_suffice_is_a_problem(world, capsys):
    status, sections = check(capsys, world / "run.yaml", "--gpus", "1x0.001", "--offline-model")
    (problem,) = sections["memory"]["problems"]
    assert status == 1 and "the run does not fit on 1 GPU(s) of 0.001 GB" in problem and "`vapo plan`" in problem


def test_bad_rows_are_problems_unless_they_are_skipped(world, capsys, tmp_path):
    rows = (world / "data.jsonl").read_text().splitlines()
    for number in range(6):
        (tmp_path / f"{number}.png").write_bytes((world / f"{number}.png").read_bytes())
    (tmp_path / "data.jsonl").write_text(
        "\n".join([*rows[:3], rows[3].replace("3.png", "gone.png"), *rows[4:]]) + "\n"
    )
    words = [world / "run.yaml", "--set", f"data={tmp_path / 'data.jsonl'}", "--prompts", "1"]
    status, sections = check(capsys, *words)
    assert status == 1 and "gone.png" in sections["data"]["problems"][0] and sections["responses"]["numbers"]
    status, sections = check(capsys, *words, "--set", "on_bad_row=skip")
    assert status == 0 and "gone.png" in sections["data"]["warnings"][0]


def test_a_model_without_weights_is_outlined(world, capsys, tmp_path):
    folder = tmp_path / "model"
    save_with_think_tokens(folder, trained=False)
    (folder / "model.safetensors").unlink()
    words = [world / "run.yaml", "--set", f"model_name_or_path={folder}"]
    status, sections = check(capsys, *words, "--offline-model")
    assert status == 0, problems_of(sections)
    assert "LlavaForConditionalGeneration" in sections["outline"]["facts"]["model"] and "paths" not in sections
    assert sections["outline"]["facts"]["packing"] == "on"
    assert sections["tokens"]["warnings"] == [
        "whether the tokens of the tags are trained cannot be told without weights"
    ]
    status, sections = check(capsys, *words)
    assert status == 1 and problems_of(sections) == sections["set-up"]["problems"]
    (problem,) = problems_of(sections)
    assert "no weights in safetensors" in problem and problem.endswith(
        "--offline-model looks at all that needs no weights"
    )


def test_untrained_tags_are_told(world, capsys, tmp_path):
    folder = save_with_think_tokens(tmp_path / "model", trained=False)
    _, sections = check(capsys, world / "run.yaml", "--set", f"model_name_or_path={folder}", "--prompts", "1")
    tags = sections["tokens"]["facts"]["think tags"]
    assert tags == "<think> </think>, as plain text, as the checkpoint says (text); named in the prompt"
    assert "<|unused_" not in sections["prompt"]["facts"]["rendered"]


def test_a_runs_folder_is_checked_with_what_it_records(world, capsys):
    assert main(["train", "--config", str(world / "run.yaml"), "--max_steps", "1", "--learning_rate", "3e-5"]) == 0
    status, sections = check(capsys, world / "run", "--prompts", "1")
    assert status == 0, problems_of(sections)
    assert PROMPT in sections["prompt"]["facts"]["rendered"].replace("\\\\", "\\")
    assert sections["run"]["facts"]["model"] == str(world / "model")
    assert sections["responses"]["numbers"]["responses"] == 4
    capsys.readouterr()
    assert main(["check", str(world)]) == 1
    assert "has no settings.json, so it is no run's folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["rows", "prompts", "max-completion-tokens"])
def test_numbers_out_of_range_are_refused(name, capsys):
    assert main(["check", "lab", f"--{name}", "0"]) == 1
    assert f"--{name} is 0; it must be at least 1" in capsys.readouterr().err


def test_a_run_without_claims_has_no_probes(world, capsys):
    status, sections = check(capsys, world / "run.yaml", "--set", "algorithm=grpo", "--prompts", "1")
    assert status == 0 and "probes" not in sections, problems_of(sections)
    assert sections["paths"]["facts"]["compared"].startswith("training: prompts, log-probabilities; ")


def test_the_prompt_is_rendered_with_the_runs_template_options(world, capsys, tmp_path):
    processor = AutoProcessor.from_pretrained(world / "model")
    processor.chat_template = processor.chat_template.replace(
        "assistant\n{% endif %}", "assistant\n{{ hint }}{% endif %}"
    )
    AutoModelForImageTextToText.from_pretrained(world / "model").save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    words = ["--set", f"model_name_or_path={tmp_path}", "--set", 'chat_template_kwargs={"hint": "<think>"}']
    _, sections = check(capsys, world / "run.yaml", *words, "--offline-model")
    assert sections["prompt"]["facts"]["rendered"].endswith("assistant\\n<think>")
    assert sections["tokens"]["numbers"]["opened"] is True
