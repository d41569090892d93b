"""Small local models and data under the names by which TRL's tests ask a hub for theirs.

They lie in folders of those names. transformers and datasets take a folder that is there before they ask a hub, so
tests that run in the folder above find them without a change.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import trl
from datasets import Dataset
from PIL import Image
from tiny_models import save_tiny, tiny_tokenizer
from tiny_models.qwen import build_qwen2_5_vl
from tiny_models.tokens import text_options
from training.trl_tests.qwen_tokens import VOCABULARY_SIZE, qwen_tokenizer
from transformers import Qwen2Config, Qwen2ForSequenceClassification, set_seed

CLAIMS = [{"text": "there is a cat", "is_true": True}, {"text": "the sky is green", "is_true": False}]
NUM_ROWS = {"train": 2, "test": 2}
FAMILIES = {
    "Gemma3For": "gemma3",
    "Qwen2_5_VLFor": "qwen2_5_vl",
    "Qwen2VLFor": "qwen2_vl",
    "LlavaFor": "llava",
    "SmolVLMFor": "smolvlm",
}
"""Families by what a name contains. Every other model, text-only ones included, is a Qwen2.5-VL: VAPO trains what can
see."""


def lay_out_stand_ins(test_file: Path, folder: Path, claims: bool) -> None:
    """Write a stand-in for every model and data set that a file of TRL's tests names.

    Args:
        test_file: source text, searched for names.
        folder: where the tests will run.
        claims: whether the data's rows have claims.
    """
    for name in sorted(set(re.findall(r'"(trl-internal-testing/[^"]+)"', test_file.read_text()))):
        if name.startswith("trl-internal-testing/zen"):
            _save_rows(folder / name, claims=claims, images_per_row=2 if "multi-image" in name else 1)
        elif "ForSequenceClassification" in name:
            _save_reward_model(folder / name)
        elif "Qwen3MoeFor" in name:
            _save_tool_caller(folder / name)
        else:
            family = next((family for part, family in FAMILIES.items() if part in name), "qwen2_5_vl")
            save_tiny(family, folder / name)


def _save_tool_caller(folder: Path) -> None:
    """Save a Qwen2.5-VL with the tokens and the chat template of Qwen3, which TRL's tests of tools speak."""
    set_seed(0)
    model, processor = build_qwen2_5_vl(vocab_size=VOCABULARY_SIZE)
    template = (Path(trl.__file__).parent / "chat_templates/qwen3_vl.jinja").read_text(encoding="utf-8")
    tokenizer = qwen_tokenizer(template)
    for name in ("image_token_id", "video_token_id"):
        setattr(model.config, name, getattr(tokenizer, name))
    for part in (model.config.text_config, model.generation_config):
        part.eos_token_id, part.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    model.config.vision_start_token_id = tokenizer.convert_tokens_to_ids("<|vision_start|>")
    model.config.vision_end_token_id = tokenizer.convert_tokens_to_ids("<|vision_end|>")
    model.save_pretrained(folder)
    type(processor)(
        image_processor=processor.image_processor,
        tokenizer=tokenizer,
        video_processor=processor.video_processor,
        chat_template=template,
    ).save_pretrained(folder)


def _save_rows(folder: Path, *, claims: bool, images_per_row: int) -> None:
    """Save conversations about images; `format` says whether those that TRL has under the name are plain text."""
    listed = ""
    for form in ("standard", "conversational"):
        config = f"{form}_prompt_only"
        (folder / config).mkdir(parents=True)
        rng = np.random.default_rng(0)
        files = ""
        for split, count in NUM_ROWS.items():
            rows = [{**_make_row(number, rng, images_per_row), "format": form} for number in range(count)]
            rows = [{**row, "claims": CLAIMS} for row in rows] if claims else rows
            Dataset.from_list(rows).to_parquet(folder / config / f"{split}.parquet")
            files += f"  - {{split: {split}, path: {config}/{split}.parquet}}\n"
        listed += f"- config_name: {config}\n  data_files:\n{files}"
    (folder / "README.md").write_text(f"---\nconfigs:\n{listed}---\n", encoding="utf-8")


def _make_row(number: int, rng: np.random.Generator, images_per_row: int) -> dict[str, Any]:
    images = [
        Image.fromarray(rng.integers(0, 255, (28, 28 + 14 * place, 3)).astype("uint8"))
        for place in range(1 + number % images_per_row)
    ]
    columns: dict[str, Any] = {"images": images} if images_per_row > 1 else {"image": images[0]}
    return {"prompt": [{"role": "user", "content": f"What is it? {number}"}], **columns}


def _save_reward_model(folder: Path) -> None:
    tokenizer = tiny_tokenizer()
    set_seed(1)
    model = Qwen2ForSequenceClassification(Qwen2Config(**text_options(tokenizer), num_labels=1))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
