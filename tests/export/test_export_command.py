"""From a training run to a model that others open: the commands as a user gives them."""

from __future__ import annotations

import json

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForImageTextToText, AutoProcessor

from vapo.cli import main
from vapo.data.samples import load_samples
from vapo.lab.shipped import shipped_checkpoint, shipped_data

TRAIN = {
    "model_name_or_path": "lab",
    "data": "lab",
    "limit": 16,
    "use_peft": True,
    "lora_r": 4,
    "lora_target_modules": ["q_proj", "v_proj"],
    "use_cpu": True,
    "bf16": False,
    "learning_rate": 0.03,
    "perception_weight": 1.0,
    "accuracy_gate": "none",
    "verdict": "soft",  # hard ones are all right in so few tokens, and would teach nothing
    "num_anchors": 4,
    "num_generations": 4,
    "per_device_train_batch_size": 4,
    "max_completion_length": 32,
    "max_steps": 2,
    "save_strategy": "no",
    "report_to": [],
    "disable_tqdm": True,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    (folder / "run.yaml").write_text(json.dumps(TRAIN))  # JSON is YAML
    assert main(["train", "--config", str(folder / "run.yaml"), "--output_dir", str(folder / "run")]) == 0
    return folder / "run"


def read(processor, sample):
    turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": sample.question}]}
    prompt = processor.apply_chat_template([turn], add_generation_prompt=True)
    return processor(images=list(sample.images), text=prompt, return_tensors="pt")


def answer(model, inputs):
    with torch.no_grad():
        ids = model.generate(**inputs, max_new_tokens=48, do_sample=False)[0, inputs["input_ids"].shape[1] :]
        return ids.tolist(), model(**inputs).logits[0, -1]


def test_plain_transformers_answers_as_the_run_does(run, tmp_path, capsys):
    out = tmp_path / "shared"
    evaluated = ["evaluate", str(run), "--data", "lab", "--limit", "4", "--num-anchors", "2", "--out"]
    assert main([*evaluated, str(tmp_path / "eval"), "--max-completion-tokens", "32"]) == 0
    words = [
        "export",
        str(run),
        "--out",
        str(out),
        "--evaluation",
        str(tmp_path / "eval"),
        "--max-completion-tokens",
        "48",
    ]
    assert main(words) == 0
    assert "greedy tokens of 8 questions are the same; log-probabilities differ by" in capsys.readouterr().out
    base = AutoModelForImageTextToText.from_pretrained(shipped_checkpoint()).eval()
    exported = AutoModelForImageTextToText.from_pretrained(out).eval()
    processor = AutoProcessor.from_pretrained(out)
    inputs = [read(processor, sample) for sample in load_samples(shipped_data("heldout"), limit=4)]
    before = [answer(base, own) for own in inputs]
    after = [answer(exported, own) for own in inputs]
    trained = PeftModel.from_pretrained(base, run).eval()
    for (ids, logits), own, (_, untrained) in zip(after, inputs, before, strict=True):
        expected_ids, expected = answer(trained, own)
        assert ids == expected_ids
        torch.testing.assert_close(logits, expected, atol=1e-3, rtol=0)
        assert (logits - untrained).abs().max() > 0.01
    card = (out / "README.md").read_text()
    assert "Measured on these weights." in card and "| claims | 320, of which 160 are true |" in card
    assert "trained from The lab model of vapo with" in card and 'license: "apache-2.0"' in card


def test_the_same_command_again_is_refused(run, tmp_path, capsys):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "note").touch()
    assert main(["export", str(run), "--out", str(tmp_path / "shared")]) == 1
    assert "is not empty; name another folder" in capsys.readouterr().err
