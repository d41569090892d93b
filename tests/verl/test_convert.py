from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
from PIL import Image

from vapo.cli import main
from vapo.data.samples import load_samples
from vapo.models.policy import checkpoint

CLAIMS = [{"text": "there is a cat", "is_true": True}, {"text": "the sky is green", "is_true": False}]


def write_data(folder: Path, **row: object) -> Path:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 255, (8, 12, 3)).astype("uint8"))
    image.save(folder / "plain.jpg", quality=95)
    turned = Image.Exif()
    turned[0x0112] = 6
    image.save(folder / "turned.jpg", exif=turned)
    image.convert("RGBA").save(folder / "clear.png")
    rows = {"problem": "What?", "answer": "1", "images": ["plain.jpg"], "claims": CLAIMS, **row}
    (folder / "data.jsonl").write_text(json.dumps(rows) + "\n")
    return folder / "data.jsonl"


def convert(folder: Path, *options: str, **row: object) -> dict:
    out = folder / "out.parquet"
    assert main(["verl", "convert", str(write_data(folder, **row)), "--out", str(out), *options]) == 0
    (only,) = parquet.read_table(out).to_pylist()
    return only


def test_a_row_has_what_verl_and_the_agent_loop_read(tmp_path):
    row = convert(tmp_path, "--system-prompt", "Think.")
    assert row["prompt"] == [
        {"role": "system", "content": "Think."},
        {"role": "user", "content": "<image>What?"},
    ]
    assert row["agent_name"] == "vapo" and row["data_source"] == "data.jsonl"
    assert row["reward_model"] == {"style": "rule", "ground_truth": "1"}
    assert row["extra_info"] == {"index": 0, "id": "row-0", "split": "train", "claims": CLAIMS}


def test_rows_to_validate_on_say_so(tmp_path):
    assert convert(tmp_path, "--validation")["extra_info"]["split"] == "validation"


def test_images_stand_where_the_question_has_them_and_nothing_else_is_taken_for_one(tmp_path):
    row = convert(tmp_path, problem="<image> or <image>? <video>", images=["plain.jpg", "clear.png"])
    (message,) = row["prompt"]
    assert message["content"] == "<image> or <image>? <\u200bvideo>" and len(row["images"]) == 2


@pytest.mark.parametrize(("name", "kept"), [("plain.jpg", True), ("clear.png", True), ("turned.jpg", False)])
def test_verl_reads_the_image_that_vapo_reads(name, kept, tmp_path):
    row = convert(tmp_path, images=[name])
    stored = row["images"][0]["bytes"]
    (sample,) = load_samples(str(tmp_path / "data.jsonl"))
    assert Image.open(io.BytesIO(stored)).convert("RGB").tobytes() == sample.images[0].tobytes()
    assert (stored == (tmp_path / name).read_bytes()) == kept


@pytest.mark.parametrize(
    ("options", "row", "message"),
    [
        (["--system-prompt", "See <image>."], {}, "the system prompt holds one of <image>"),
        ([], {"images": ["lost.png"]}, "lost.png"),
        ([], {"claims": [{"text": "a cat"}]}, "is_true"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_no_file(options, row, message, tmp_path, capsys):
    out = tmp_path / "out.parquet"
    assert main(["verl", "convert", str(write_data(tmp_path, **row)), "--out", str(out), *options]) == 1
    shown = capsys.readouterr().err
    assert message in shown and "Traceback" not in shown and not out.exists()


def test_shapes_are_checked_where_a_processor_is_named(tmp_path, capsys, monkeypatch):
    class NarrowRefused:
        @staticmethod
        def image_processor(images, **_):
            if images[0].width < 8:
                raise ValueError("too narrow")

    loaded = []
    monkeypatch.setattr(checkpoint, "load_processor", lambda *options: loaded.append(options) or NarrowRefused())
    narrow = {"images": ["narrow.png"]}
    Image.new("RGB", (3, 64)).save(tmp_path / "narrow.png")
    convert(tmp_path, **narrow)
    assert (
        "no shape of an image was checked: name the model that is trained with --processor" in capsys.readouterr().out
    )
    convert(tmp_path, "--processor", "some/model", "--trust-remote-code")
    assert "--processor" not in capsys.readouterr().out and loaded == [("some/model", True)]
    out = tmp_path / "none.parquet"
    words = ["verl", "convert", str(write_data(tmp_path, **narrow)), "--out", str(out), "--processor", "some/model"]
    assert main(words) == 1 and not out.exists()
    assert "an image is 3 x 64 pixels, which the model's processor refuses (too narrow)" in capsys.readouterr().err


def test_the_files_name_is_looked_at_before_the_data(tmp_path, capsys):
    assert main(["verl", "convert", "nothing-there", "--out", str(tmp_path / "out.json")]) == 1
    assert "out.parquet" in capsys.readouterr().err
