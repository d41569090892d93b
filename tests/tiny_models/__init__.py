"""Small random vision-language models, built from the configuration classes of real families."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from transformers import set_seed

from tiny_models.cohere import build_aya_vision, build_cohere2_vision
from tiny_models.deepseek import build_deepseek_vl, build_janus
from tiny_models.gemma3 import build_gemma3
from tiny_models.gemma4 import build_gemma4
from tiny_models.glm import build_glm4v, build_glm4v_moe
from tiny_models.idefics import build_idefics2, build_idefics3, build_smolvlm
from tiny_models.internvl import build_internvl, build_internvl_gpt_oss, build_internvl_moe, build_internvl_qwen3
from tiny_models.lfm2 import build_lfm2_vl
from tiny_models.llava import build_llava, build_llava_next, build_llava_onevision, build_llava_sliding
from tiny_models.mistral import build_ministral3, build_mistral3, build_pixtral
from tiny_models.ovis import build_ovis2
from tiny_models.qwen import (
    build_qwen2_5_vl,
    build_qwen2_5_vl_sliding,
    build_qwen2_vl,
    build_qwen3_5,
    build_qwen3_5_moe,
    build_qwen3_vl,
    build_qwen3_vl_moe,
)
from tiny_models.timm_towers import build_fast_vlm, build_gemma3n, build_perception_lm
from tiny_models.tokens import tiny_tokenizer
from vapo.versions import read_release

__all__ = [
    "BUILDERS",
    "CAPPED",
    "EVERY_FAMILY",
    "FAMILIES",
    "NEEDS_TORCHVISION",
    "NOT_PACKED",
    "PACKED_FAMILIES",
    "build_tiny",
    "save_tiny",
    "tiny_tokenizer",
]

BUILDERS: dict[str, Callable] = {
    "llava": build_llava,
    "llava_sliding": build_llava_sliding,
    "llava_onevision": build_llava_onevision,
    "qwen2_vl": build_qwen2_vl,
    "qwen2_5_vl": build_qwen2_5_vl,
    "qwen2_5_vl_sliding": build_qwen2_5_vl_sliding,
    "qwen3_vl": build_qwen3_vl,
    "idefics3": build_idefics3,
    "smolvlm": build_smolvlm,
    "internvl": build_internvl,
    "gemma3": build_gemma3,
    "qwen3_vl_moe": build_qwen3_vl_moe,
    "qwen3_5": build_qwen3_5,
    "qwen3_5_moe": build_qwen3_5_moe,
    "glm4v": build_glm4v,
    "glm4v_moe": build_glm4v_moe,
    "llava_next": build_llava_next,
    "ovis2": build_ovis2,
    "idefics2": build_idefics2,
    "internvl_qwen3": build_internvl_qwen3,
    "internvl_moe": build_internvl_moe,
    "internvl_gpt_oss": build_internvl_gpt_oss,
    "gemma4": build_gemma4,
    "mistral3": build_mistral3,
    "ministral3": build_ministral3,
    "pixtral": build_pixtral,
    "lfm2_vl": build_lfm2_vl,
    "aya_vision": build_aya_vision,
    "cohere2_vision": build_cohere2_vision,
    "deepseek_vl": build_deepseek_vl,
    "janus": build_janus,
    "perception_lm": build_perception_lm,
    "fast_vlm": build_fast_vlm,
    "gemma3n": build_gemma3n,
}
NEEDS_TORCHVISION = tuple(family for family in BUILDERS if family not in ("llava", "llava_sliding", "gemma3"))
NEEDS_TIMM = ("perception_lm", "fast_vlm", "gemma3n")
EXPERTS = ("qwen3_vl_moe", "qwen3_5_moe", "glm4v_moe", "internvl_moe", "internvl_gpt_oss")


def _mark(family: str) -> list[pytest.MarkDecorator]:
    marks = [pytest.mark.torchvision] if family in NEEDS_TORCHVISION else []
    if family in EXPERTS and read_release(torch.__version__) < (2, 10):
        marks.append(pytest.mark.skip(reason="before torch 2.10, transformers 5.10 cannot run experts on a CPU"))
    if family in NEEDS_TIMM and find_spec("timm") is None:
        marks.append(pytest.mark.skip(reason="timm, whose vision tower it has, is not installed"))
    return marks


EVERY_FAMILY = [pytest.param(family, marks=_mark(family)) for family in BUILDERS]
NIGHTLY = (
    "qwen3_vl_moe",
    "qwen3_5_moe",
    "glm4v_moe",
    "ovis2",
    "idefics2",
    "internvl_qwen3",
    "internvl_moe",
    "ministral3",
    "pixtral",
    "cohere2_vision",
    "deepseek_vl",
    "perception_lm",
    "fast_vlm",
    "gemma3n",
    "aya_vision",
    "janus",
)
"""Families that every kind of test meets only among those that take minutes; all train in every run of the tests."""
FAMILIES = [
    pytest.param(family, marks=[*_mark(family), *([pytest.mark.slow] if family in NIGHTLY else [])])
    for family in BUILDERS
]
NOT_PACKED = ("qwen3_5", "qwen3_5_moe", "lfm2_vl")
"""Families with layers that are no attention, whose prompts cannot be packed and whose memory cannot be cut."""
CAPPED = ("gemma3n",)
"""Families that cap the logits of their output layer, which are not packed either."""
PACKED_FAMILIES = [family for family in FAMILIES if family.values[0] not in (*NOT_PACKED, *CAPPED)]


def build_tiny(family: str, seed: int = 0):
    """Return a random model of `family`, in evaluation mode, and its processor."""
    set_seed(seed)
    model, processor = BUILDERS[family]()
    tokenizer = processor.tokenizer
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model.float().eval(), processor


def save_tiny(family: str, folder: Path, seed: int = 0) -> Path:
    """Save a random model of `family` as an ordinary checkpoint folder and return the folder."""
    model, processor = build_tiny(family, seed)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
