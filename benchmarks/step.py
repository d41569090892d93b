"""A training step on one group: TRL's own scoring and update without probes, ours with K probes for each completion.

Their side is `trl.GRPOTrainer`, ours `VAPOTrainer(packing="require")`; both have the same options, TRL's defaults but
for sizes, and models of equal weights, and do with the same rollouts what TRL does: old log-probabilities without
gradients, then `_compute_loss` and its backward pass. Ours answers every probe along with the former.
All completions have the same length, so TRL's rows carry no padding, which is the best case for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from trl import GRPOTrainer
from trl.models.utils import disable_gradient_checkpointing

from benchmarks.clock import Spread, compare, time_in_turn
from benchmarks.models import build_model
from benchmarks.report import Report
from benchmarks.rollouts import Work, grow_tree, make_probes, make_rollouts
from benchmarks.settings import Settings
from benchmarks.trainers import make_trainer
from vapo.models.questions import ClaimQuestions
from vapo.models.tree.packed import TokenTree
from vapo.models.vision_tokens import token_types
from vapo.training.trainer import VAPOTrainer

QUICK = (Work(group=8, probes=20, image_tokens=1024, completion_tokens=256),)
GRID = tuple(
    Work(8, 20, image_tokens, completion_tokens)
    for image_tokens, completion_tokens in ((1024, 256), (256, 256), (64, 512))
)
EQUAL = 1e-4


@dataclass(frozen=True, slots=True)
class Step:
    """What a training step left behind."""

    loss: float
    log_probs: torch.Tensor
    grads: dict[str, torch.Tensor]
    p_true: list[float]


class RowScores:
    """TRL as it is: each completion is a row with the prompt and its image, and no probe is asked."""

    trainer_class = GRPOTrainer

    def __init__(self, tree: TokenTree, processor: Any) -> None:
        pass

    def score(self, trainer: Any, model: Any, **batch: Any) -> tuple[torch.Tensor, list[float]]:
        """Return the old log-probabilities, and no answers."""
        return trainer._get_per_token_logps_and_entropies(model, **batch)[0], []


class TreeScores:
    """`VAPOTrainer` with its group as one tree, on which the probes hang while the old policy is scored."""

    trainer_class = VAPOTrainer

    def __init__(self, tree: TokenTree, processor: Any) -> None:
        self._questions = [[q for q in tree.questions if q.completion == n] for n in range(len(tree.completions))]
        self._answer_tokens = ClaimQuestions(processor.tokenizer).answer_tokens

    def score(self, trainer: Any, model: Any, **batch: Any) -> tuple[torch.Tensor, list[float]]:
        """Return the old log-probabilities and the probes' answers."""
        scores = trainer._packing.score(model, **batch, questions=self._questions, answer_tokens=self._answer_tokens)
        return scores.log_probs, [p for own in scores.p_true for p in own]


SIDES = {"trl": RowScores, "packed": TreeScores}


def prepare(side: str, settings: Settings, work: Work) -> Callable[[], Step]:
    """Return what one side does, on a model of its own."""
    model, processor = build_model(settings.model, settings.device)
    rollouts = make_rollouts(processor, work)
    tree = grow_tree(processor, rollouts, make_probes(rollouts, work))
    scores = SIDES[side](tree, processor)
    trainer = _make_trainer(scores.trainer_class, model, processor, settings, work)
    inputs = _make_inputs(tree, work, model)
    batch = {
        "input_ids": torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1),
        "attention_mask": torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1),
        "logits_to_keep": work.completion_tokens,
        "batch_size": work.group,
        **{name: inputs[name] for name in ("pixel_values", "image_grid_thw", "num_images", "mm_token_type_ids")},
    }

    def step() -> Step:
        model.train()
        with torch.no_grad(), disable_gradient_checkpointing(model, trainer.args.gradient_checkpointing_kwargs):
            old, p_true = scores.score(trainer, model, **batch)
        loss = trainer._compute_loss(model, {**inputs, "old_per_token_logps": old})
        loss.backward()
        grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        model.zero_grad(set_to_none=True)
        return Step(loss.item(), old, grads, p_true)

    return step


def run(settings: Settings, works: Sequence[Work]) -> Report:
    """Time both sides over a grid."""
    report = Report("step", settings)
    for work in works:
        sides = {side: prepare(side, settings, work) for side in SIDES}
        for warm_up in sides.values() if settings.device == "cuda" else [sides["packed"]]:
            warm_up()
        runs = time_in_turn(sides, settings)
        differences = _compare_steps(runs["packed"].result, runs["trl"].result)
        if max(differences.values()) > EQUAL and settings.device == "cpu":
            raise RuntimeError(f"at {work} the sides differ by more than {EQUAL}: {differences}")
        row: dict[str, Any] = {"work": str(work), **runs["trl"].show("trl"), **runs["packed"].show("packed")}
        report.rows.append({**row, **differences})
        if row["trl MB"] is not None:
            report.ratios[f"step_memory@{work}"] = Spread.of([row["packed MB"] / row["trl MB"]])
        report.ratios[f"step_time@{work}"] = compare(runs["packed"].seconds, runs["trl"].seconds)
    report.notes.append("differences are relative, by norm; of all gradients the largest")
    return report


def _make_trainer(kind: Any, model: Any, processor: Any, settings: Settings, work: Work) -> Any:
    sample = make_rollouts(processor, Work(1, 1, 1, 1))[0].sample
    # TRL knows nothing of packing.
    trainer = make_trainer(kind, model, processor, sample, _no_reward, settings, work, packing="require")
    trainer.current_gradient_accumulation_steps = 1  # `train` sets it, which is never called here
    if settings.checkpointing:  # likewise
        model.gradient_checkpointing_enable(trainer.args.gradient_checkpointing_kwargs)
    return trainer


def _no_reward(completions: Sequence[Any], **_: Any) -> list[float | None]:
    return [0.0] * len(completions)


def _make_inputs(tree: TokenTree, work: Work, model: Any) -> dict[str, Any]:
    """Return a batch as TRL makes it of a group: prompt and images repeated for every completion."""
    completions = torch.tensor(tree.completions)
    prompts = torch.tensor([tree.prompt_ids] * work.group)
    types = torch.tensor([token_types(tree.prompt_ids, model.config.image_token_id)] * work.group)
    assert tree.images is not None
    inputs = {
        "prompt_ids": prompts,
        "prompt_mask": torch.ones_like(prompts),
        "completion_ids": completions,
        "completion_mask": torch.ones_like(completions),
        "advantages": torch.linspace(-1.0, 1.5, work.group),
        "num_items_in_batch": torch.tensor(completions.numel()),
        "mm_token_type_ids": torch.cat([types, torch.zeros_like(completions)], dim=1),
        **{name: torch.cat([tensor] * work.group) for name, tensor in tree.images.tensors.items()},
    }
    return {name: tensor.to(model.device) for name, tensor in inputs.items()} | {"num_images": [1] * work.group}


def _compare_steps(ours: Step, theirs: Step) -> dict[str, float]:
    """Return the largest relative difference of each kind of result; a gradient's is that of its norm."""
    assert ours.grads.keys() == theirs.grads.keys()
    pairs = {
        "loss diff": [(torch.tensor(ours.loss), torch.tensor(theirs.loss))],
        "log-prob diff": [(ours.log_probs, theirs.log_probs)],
        "gradient diff": [(ours.grads[name], grad) for name, grad in theirs.grads.items()],
    }
    return {
        name: max(float((own.float() - other.float()).norm() / other.float().norm()) for own, other in both)
        for name, both in pairs.items()
    }
