"""The share of attention on the image, against a plain forward pass and against `output_attentions=True`.

All sides read one finished response, the same tokens and the same image, and none needs the vocabulary but
for the last
token. The plain pass is the model's own ("sdpa"); `outputs` takes every weight of every layer from "eager" attention
and sums those of image tokens, which is what there is without us, and what ours must equal. Ours also turns the
image into tensors, which the other two are given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch

from benchmarks.clock import Spread, compare, time_in_turn
from benchmarks.models import build_model
from benchmarks.report import Report
from benchmarks.rollouts import Work, make_rollouts
from benchmarks.settings import Settings
from vapo.diagnosis.transformers.attention_ratio import attention_on_image
from vapo.models.image_features import find_feature_module
from vapo.models.images import process_images
from vapo.models.policy.inference import inference
from vapo.models.tree.attention_switch import switched_attention
from vapo.models.vision_tokens import token_types
from vapo.types import Rollout

IMAGE_TOKENS = 256
QUICK = (Work(1, 0, IMAGE_TOKENS, 1757),)  # 2,048 tokens with the question's
GRID = (*(Work(1, 0, IMAGE_TOKENS, tokens) for tokens in (256, 768)), *QUICK)
EQUAL = 1e-5

build_model_once = cache(build_model)


def prepare(side: str, settings: Settings, work: Work) -> Callable[[], Any]:
    """Return what one side does."""
    model, processor = build_model_once(settings.model, settings.device)
    rollout = make_rollouts(processor, work)[0]
    if side == "ratio":
        return lambda: attention_on_image(model, processor, rollout)
    inputs = _make_inputs(model, processor, rollout)
    return (lambda: _read(model, inputs)) if side == "plain" else (lambda: _sum_weights(model, inputs, rollout))


def run(settings: Settings, works: Sequence[Work]) -> Report:
    """Time all sides over a grid; the last line is the time of ours over the plain pass's at its last point."""
    report = Report("attention", settings)
    last = Spread.of([0.0])
    for work in works:
        sides = {side: prepare(side, settings, work) for side in ("plain", "ratio", "outputs")}
        for warm_up in sides.values():
            warm_up()
        runs = time_in_turn(sides, settings)
        difference = float((runs["ratio"].result - runs["outputs"].result).abs().max())
        if difference > EQUAL and build_model_once(settings.model, settings.device)[0].dtype == torch.float32:
            raise RuntimeError(f"at {work} the shares differ from summed weights by {difference:.2g}, over {EQUAL}")
        row: dict[str, Any] = {"work": str(work), "tokens": _count_tokens(settings, work)}
        for side, own in runs.items():
            row |= own.show(side)
        report.rows.append({**row, "difference": difference})
        for side, name in (("outputs", "attention_outputs"), ("ratio", "attention")):
            ours, plain = runs[side], runs["plain"]
            held = [(one, other) for one, other in zip(ours.megabytes, plain.megabytes, strict=True) if one and other]
            if held:
                report.ratios[f"{name}_memory@{work}"] = compare(*zip(*held, strict=True))
            report.ratios[f"{name}_time@{work}"] = last = compare(ours.seconds, plain.seconds)
    report.notes.append("outputs: every weight of eager attention, by output_attentions=True, and their sums")
    report.ratios["attention"] = last
    return report


def _make_inputs(model: Any, processor: Any, rollout: Rollout) -> dict[str, torch.Tensor]:
    ids = rollout.prompt_ids + rollout.completion_ids
    inputs = {
        "input_ids": torch.tensor([ids]),
        "attention_mask": torch.ones(1, len(ids), dtype=torch.long),
        "mm_token_type_ids": torch.tensor([token_types(ids, model.config.image_token_id)]),
        **process_images(processor, rollout.sample.images).tensors,
    }
    return {name: tensor.to(model.device) for name, tensor in inputs.items()}


def _read(model: Any, inputs: dict[str, torch.Tensor], **options: Any) -> Any:
    with inference(model):
        return model(**inputs, use_cache=False, logits_to_keep=1, **options)


def _sum_weights(model: Any, inputs: dict[str, torch.Tensor], rollout: Rollout) -> torch.Tensor:
    with switched_attention(find_feature_module(model).get_decoder().config, "eager"):
        weights = _read(model, inputs, output_attentions=True).attentions
    first = len(rollout.prompt_ids) - 1
    rows = slice(first, first + len(rollout.completion_ids))
    is_image = inputs["input_ids"][0] == model.config.image_token_id
    shares = [layer[0, :, rows][..., is_image].sum(-1).float().cpu() for layer in weights]
    return torch.stack(shares).permute(2, 0, 1)


def _count_tokens(settings: Settings, work: Work) -> int:
    _, processor = build_model_once(settings.model, settings.device)
    rollout = make_rollouts(processor, work)[0]
    return len(rollout.prompt_ids) + len(rollout.completion_ids)
