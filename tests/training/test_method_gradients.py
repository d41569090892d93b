"""Updates with weights and losses of tokens, against the gradient of the loss as it is written, row by row."""

from __future__ import annotations

import re

import pytest
import torch
from PIL import Image
from training.test_other_images import distribute_plainly
from training.training_world import even_letters, make_config, make_rows, parameters_of
from transformers import TrainerCallback

from vapo import VAPOTrainer
from vapo.algorithms.combined import Combined
from vapo.algorithms.papo import PAPO
from vapo.algorithms.pgpo import PGPO
from vapo.types import TokenScores

METHOD = Combined(parts=(PAPO(gamma=0.5, eta=0.05, view_strength=1.0), PGPO()))
"""Weights and a loss of tokens, both from a second view; gradients flow through both views and their entropies."""

CASES = [
    ("llava", "off", {"loss_type": "grpo"}),
    ("llava", "require", {"loss_type": "dapo"}),
    ("llava", "require", {"loss_type": "bnpo", "num_iterations": 2, "steps_per_generation": 2}),
    ("llava", "off", {"loss_type": "cispo", "epsilon_high": 5.0}),
    ("llava", "require", {"loss_type": "grpo", "dynamic_sampling": "accuracy"}),
    ("llava", "require", {"loss_type": "dapo", "lora": True}),
    ("qwen2_5_vl", "off", {"loss_type": "dapo", "images_per_row": 2}),
    ("qwen2_5_vl", "require", {"loss_type": "grpo", "images_per_row": 2}),
    ("smolvlm", "require", {"loss_type": "dr_grpo"}),
    ("internvl", "require", {"loss_type": "bnpo"}),
]


class Witness(TrainerCallback):
    """Keeps the parameters before each step, its micro-batches, and the gradient that they add up to."""

    def __init__(self, trainer):
        self.steps, self._trainer = [], trainer
        compute = trainer.compute_loss
        trainer.compute_loss = lambda model, inputs, *a, **k: (
            self.steps[-1][1].append(inputs),
            compute(model, inputs, *a, **k),
        )[1]

    def on_step_begin(self, *_, **__):
        self.steps.append((parameters_of(self._trainer), []))

    def on_pre_optimizer_step(self, *_, **__):
        trained = self._trainer.model.named_parameters()
        self.steps[-1] = (*self.steps[-1], {name: p.grad.clone() for name, p in trained if p.grad is not None})


def write_loss(trainer, inputs, rows):
    """Return the loss of a micro-batch as papers write it, by plain passes over single rows."""
    args, sums, lengths = trainer.args, [], []
    for row, length in enumerate(inputs["completion_mask"].sum(1).tolist()):
        if length == 0:  # left out by dynamic sampling
            sums.append(torch.zeros(()))
            lengths.append(1)
            continue
        text = trainer.processing_class.tokenizer.decode(inputs["prompt_ids"][row])
        images = rows[int(re.search(r"is it\? ?(\d+)", text)[1])]["images"]
        seen, blind = (
            distribute_plainly(trainer, inputs, row, *shown)
            for shown in (images, [Image.new("RGB", image.size) for image in images])
        )
        ids = inputs["completion_ids"][row, :length, None]
        first, second = (
            TokenScores(log_p.gather(1, ids)[:, 0], -(log_p.exp() * log_p).sum(-1)) for log_p in (seen, blind)
        )
        old = inputs.get("old_per_token_logps")
        ratio = (first.log_probs - (first.log_probs.detach() if old is None else old[row, :length])).exp()
        advantage = inputs["advantages"][row, :length]
        if args.loss_type == "cispo":
            loss = -ratio.detach().clamp(max=trainer.epsilon_high) * advantage * first.log_probs
        else:
            clipped = ratio.clamp(1 - trainer.epsilon_low, 1 + trainer.epsilon_high)
            loss = -torch.min(ratio * advantage, clipped * advantage)
        weight = float(inputs.get("loss_scale", 1.0))
        loss = loss + METHOD.token_loss(TokenScores(first.log_probs, first.entropies, second))
        sums.append(weight * loss.sum())
        lengths.append(length)
    total, num_rows = torch.stack(sums), len(sums)
    per_update = trainer.current_gradient_accumulation_steps
    if args.loss_type == "grpo":
        return (total / torch.tensor(lengths)).mean() / per_update
    if args.loss_type == "dr_grpo":
        return total.sum() / (num_rows * args.max_completion_length) / per_update
    if args.loss_type == "bnpo":
        return total.sum() / sum(lengths) / per_update
    return total.sum() / float(inputs["num_items_in_batch"]) * (args.steps_per_generation / per_update)


@pytest.mark.parametrize(
    ("family", "packing", "options"),
    [pytest.param(*case, marks=[] if case[0] == "llava" else [pytest.mark.torchvision]) for case in CASES],
)
def test_an_update_is_that_of_the_loss_as_it_is_written(checkpoints, tmp_path, family, packing, options):
    options = dict(options)
    rows = make_rows(images_per_row=options.pop("images_per_row", 1)).remove_columns("claims")
    lora = options.pop("lora", False)
    config = make_config(
        tmp_path,
        algorithm="grpo",  # the method is given as an object
        packing=packing,
        max_steps=2,
        beta=0.0,
        max_grad_norm=0.0,
        **options,
    )
    peft_config = None
    if lora:
        from peft import LoraConfig

        peft_config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    trainer = VAPOTrainer(checkpoints(family), even_letters, config, rows, algorithm=METHOD, peft_config=peft_config)
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3)  # as they are drawn, hardly anything depends on the image
    witness = Witness(trainer)
    trainer.add_callback(witness)
    trainer.train()
    assert len(witness.steps) == 2
    for before, batches, grads in witness.steps:
        own = dict(trainer.model.named_parameters())
        with torch.no_grad():
            for name, value in before.items():
                own[name].copy_(value)
        trainer.model.zero_grad()
        assert len(batches) == config.gradient_accumulation_steps
        for inputs in batches:
            assert inputs["advantages"].dim() == 2
            write_loss(trainer, inputs, rows).backward()
        expected = {name: parameter.grad for name, parameter in own.items() if parameter.grad is not None}
        whole = torch.stack([grad.norm() for grad in expected.values()]).norm()
        assert grads.keys() == expected.keys() and whole > 1e-2
        for name, grad in expected.items():
            assert (grads[name] - grad).norm() < 1e-4 * max(grad.norm(), 0.1 * whole), name
