"""Our scoring pass against one plain causal forward pass over as many distinct tokens.

Ours scores a group's completions and answers K probes of each, packed. The plain pass is the same model with its own
causal attention over a single row of text: the same prompt, completions and questions strung together, as many tokens
in all. The image is encoded once on both sides. Ours computes log-probabilities and entropies of the completions'
tokens and the logits of the answers; the plain one the logits of as many rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from trl.trainer.utils import add_fused_lm_head

from benchmarks.clock import compare, time_in_turn
from benchmarks.models import build_model
from benchmarks.report import Report
from benchmarks.rollouts import Work, grow_tree, make_probes, make_rollouts
from benchmarks.settings import Settings
from vapo.models.policy.inference import inference
from vapo.models.questions import ClaimQuestions
from vapo.models.tree.packed import TokenTree
from vapo.models.tree.packed_scores import score_trees
from vapo.models.vision_tokens import token_types

QUICK = (Work(group=8, probes=20, image_tokens=1024, completion_tokens=256),)
GRID = tuple(
    Work(8, 20, image_tokens, completion_tokens)
    for image_tokens, completion_tokens in ((1024, 256), (256, 256), (256, 512), (64, 512))
)
SIDES = ("plain", "packed")


@cache
def build_scorer(name: str, device: str) -> tuple[Any, Any]:
    """Return a model with TRL's output layer, and its processor."""
    model, processor = build_model(name, device)
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    return model, processor


def prepare(side: str, settings: Settings, work: Work) -> Callable[[], Any]:
    """Return what one side does."""
    model, processor = build_scorer(settings.model, settings.device)
    rollouts = make_rollouts(processor, work)
    tree = grow_tree(processor, rollouts, make_probes(rollouts, work))
    return _score_packed(model, processor, tree) if side == "packed" else _read_plainly(model, tree)


def run(settings: Settings, works: Sequence[Work]) -> Report:
    """Time both sides over a grid."""
    report = Report("floor", settings)
    for work in works:
        sides = {side: prepare(side, settings, work) for side in SIDES}
        for warm_up in sides.values():
            warm_up()
        runs = time_in_turn(sides, settings)
        row: dict[str, Any] = {"work": str(work), "tokens": _count_tokens(settings, work)}
        report.rows.append({**row, **runs["plain"].show("plain"), **runs["packed"].show("packed")})
        report.ratios[f"floor@{work}"] = compare(runs["packed"].seconds, runs["plain"].seconds)
    return report


def _score_packed(model: Any, processor: Any, tree: TokenTree) -> Callable[[], Any]:
    answer_tokens = ClaimQuestions(processor.tokenizer).answer_tokens

    def score() -> Any:
        with inference(model):
            return score_trees(model, [tree], token_type_name="mm_token_type_ids", answer_tokens=answer_tokens)

    return score


def _read_plainly(model: Any, tree: TokenTree) -> Callable[[], Any]:
    segments = [tree.prompt_ids, *tree.completions, *(question.ids for question in tree.questions)]
    ids = [token for segment in segments for token in segment]
    predicted = sum(map(len, tree.completions)) + len(tree.questions)
    assert tree.images is not None
    inputs = {
        "input_ids": torch.tensor([ids]),
        "mm_token_type_ids": torch.tensor([token_types(ids, model.config.image_token_id)]),
        **tree.images.tensors,
    }
    on_device = {name: tensor.to(model.device) for name, tensor in inputs.items()}

    def read() -> Any:
        with inference(model):
            return model(**on_device, use_cache=False, logits_to_keep=predicted).logits

    return read


def _count_tokens(settings: Settings, work: Work) -> int:
    _, processor = build_scorer(settings.model, settings.device)
    rollouts = make_rollouts(processor, work)
    return grow_tree(processor, rollouts, make_probes(rollouts, work)).shape.num_tokens
