from __future__ import annotations

import json

import pytest
from PIL import Image
from tiny_models import build_tiny

from vapo import load_samples
from vapo.errors import ConfigError, DataError
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.prompt_writer import PromptWriter
from vapo.training.prompt_lengths import leave_out_long_prompts

SYSTEM = "Think first."


@pytest.fixture
def samples(tmp_path):
    """Three questions: short, long, and short about two images."""
    Image.new("RGB", (56, 56)).save(tmp_path / "a.png")
    questions = [("What?", ["a.png"]), ("What " * 50, ["a.png"]), ("What?", ["a.png", "a.png"])]
    rows = [{"problem": question, "answer": "1", "images": images} for question, images in questions]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_samples(tmp_path / "data.jsonl")


@pytest.mark.parametrize("family", ["llava", pytest.param("qwen2_5_vl", marks=pytest.mark.torchvision)])
def test_lengths_are_those_of_the_prompts_in_training(samples, family):
    model, processor = build_tiny(family)
    writer = PromptWriter(Policy(model, processor), SYSTEM)
    short, long, two = (len(writer.write(sample).ids) for sample in samples)
    assert short < two < long
    seen: list[tuple[int, int]] = []

    def keep(max_tokens: int):
        return leave_out_long_prompts(
            samples, processor, max_tokens, system_prompt=SYSTEM, progress=lambda *at: seen.append(at)
        )

    assert list(keep(long).row_numbers) == [0, 1, 2] and not keep(long).skipped
    assert list(keep(long - 1).row_numbers) == [0, 2] and list(keep(two - 1).row_numbers) == [0]
    (problem,) = keep(long - 1).skipped
    assert problem.row == 1 and f"has {long} tokens, more than max_prompt_tokens={long - 1}" in str(problem)
    assert seen[:3] == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(DataError, match=f"the shortest has {short}"):
        keep(short - 1)


def test_a_limit_of_nothing_is_refused(samples):
    with pytest.raises(ConfigError, match="max_prompt_tokens must be at least 1, but is 0"):
        leave_out_long_prompts(samples, build_tiny("llava")[1], 0)


@pytest.mark.torchvision
def test_an_image_that_the_processor_refuses_is_named(tmp_path):
    Image.new("RGB", (56, 56)).save(tmp_path / "a.png")
    Image.new("RGB", (2280, 10)).save(tmp_path / "long.png")
    rows = [{"problem": "What?", "answer": "1", "images": name} for name in ("a.png", "long.png")]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    processor = build_tiny("qwen2_5_vl")[1]
    with pytest.raises(DataError, match=r"row 1: the model's processor refuses it .absolute aspect ratio must be"):
        leave_out_long_prompts(load_samples(tmp_path / "data.jsonl"), processor, 1000)
    with pytest.raises(DataError, match=r"line 2.: an image is 2280 x 10 pixels, which the model's processor refuses"):
        load_samples(tmp_path / "data.jsonl", processors=[processor])
    kept = load_samples(tmp_path / "data.jsonl", processors=[processor], on_bad_row="skip")
    assert list(leave_out_long_prompts(kept, processor, 1000).row_numbers) == [0]
