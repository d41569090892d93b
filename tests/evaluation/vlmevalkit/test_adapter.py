"""The model entry in a stand-in for VLMEvalKit: as much of its interface as the entry meets, made by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from evaluation.suites.row_forms import paint

from vapo.core.grading import extract_answer
from vapo.lab.shipped import shipped_checkpoint
from vapo.models.policy.checkpoint import load_policy
from vapo.models.policy.generation import sample_completions
from vapo.types import Sample

BASE = """
class BaseModel:
    INTERLEAVE = False
    allowed_types = ["text", "image", "video"]

    def __init__(self):
        self.dump_image_func = None

    def use_custom_prompt(self, dataset):
        return False

    def set_dump_image(self, dump):
        self.dump_image_func = dump

    def generate(self, message, dataset=None):
        assert all(part["type"] in self.allowed_types for part in message)
        return self.generate_inner(message, dataset)
"""
RUN = """
import argparse, json, os
from vlmeval.config import supported_VLM

parser = argparse.ArgumentParser()
parser.add_argument("--model", nargs="+")
parser.add_argument("--data", nargs="+")
args = parser.parse_args()
model = supported_VLM[args.model[0]]()
assert not model.use_custom_prompt(args.data[0])
answers = [model.generate(message=message, dataset=args.data[0]) for message in json.load(open("messages.json"))]
json.dump({"model": args.model, "data": args.data, "answers": answers}, open("answers.json", "w"))
"""


@pytest.fixture
def clone(tmp_path):
    (tmp_path / "vlmeval" / "vlm").mkdir(parents=True)
    (tmp_path / "vlmeval" / "__init__.py").write_text("")
    (tmp_path / "vlmeval" / "config.py").write_text("supported_VLM = {}\n")
    (tmp_path / "vlmeval" / "vlm" / "__init__.py").write_text("")
    (tmp_path / "vlmeval" / "vlm" / "base.py").write_text(BASE)
    (tmp_path / "run.py").write_text(RUN)
    paint(1).save(tmp_path / "one.png")
    paint(2).save(tmp_path / "two.png")
    return tmp_path


def run(folder, *words):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "vapo.evaluation.vlmevalkit", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=False)


def show(*paths):
    return [*({"type": "image", "value": path} for path in paths), {"type": "text", "value": "Which digits?"}]


def test_questions_are_answered_through_run_py(clone):
    (clone / "messages.json").write_text(json.dumps([show("one.png"), show("one.png", "two.png")]))
    lab = str(shipped_checkpoint())
    done = run(clone, lab, "--name", "lab", "--system-prompt", "", "--max-new-tokens", "48", "--", "--data", "MMStar")
    assert done.returncode == 0, done.stderr
    said = json.loads((clone / "answers.json").read_text())
    assert (said["model"], said["data"]) == (["lab"], ["MMStar"])
    samples = [Sample("MMStar", images, "Which digits?", "") for images in ((paint(1),), (paint(1), paint(2)))]
    policy = load_policy(lab, device="cpu")
    responses = [own[0].text for own in sample_completions(policy, samples, max_completion_tokens=48, temperature=0)]
    assert said["answers"] == [
        extract_answer(response) or response.rpartition("</think>")[2].strip() for response in responses
    ]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([{"type": "text", "value": "Which?"}], "MMStar: a question has no image"),
        (show("missing.png"), "missing.png cannot be opened as an image"),
    ],
)
def test_a_question_without_its_image_is_one_sentence(clone, parts, said):
    (clone / "messages.json").write_text(json.dumps([parts]))
    done = run(clone, str(shipped_checkpoint()), "--", "--data", "MMStar")
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr


def test_other_folders_and_models_are_refused(clone, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    done = run(elsewhere, "anything")
    assert done.returncode == 1 and "is no clone of VLMEvalKit" in done.stderr and "Traceback" not in done.stderr
    done = run(clone, "./nothing-here")
    assert done.returncode == 1 and "nothing-here" in done.stderr and "Traceback" not in done.stderr
    (clone / "vlmeval" / "config.py").write_text("import no_such_package\n")
    done = run(clone, str(shipped_checkpoint()))
    assert done.returncode == 1 and "pip install -r requirements.txt" in done.stderr
