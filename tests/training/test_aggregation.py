from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from trl import GRPOConfig, GRPOTrainer

from vapo.errors import ConfigError
from vapo.training.aggregation import Batch, aggregate, check_loss_type

LOSSES = ("grpo", "sapo", "bnpo", "dr_grpo", "dapo", "cispo", "vespo", "luspo")
STEPS, PER_GENERATION, TOKENS, LONGEST = 3, 6, 40.0, 12


def trls_loss(loss_type: str, values_BT: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
    """Return TRL's own loss where its per-token loss is `values_BT`: at a ratio of 1, the advantages decide it."""
    log_probs = torch.full_like(values_BT, -2.0)
    args = GRPOConfig("run", use_cpu=True, bf16=False, sapo_temperature_neg=2.0, sapo_temperature_pos=2.0)
    args.steps_per_generation = PER_GENERATION
    per_advantage = {"cispo": log_probs, "vespo": log_probs}.get(loss_type, torch.ones_like(values_BT))
    trainer = SimpleNamespace(
        args=args,
        loss_type=loss_type,
        beta=0.0,
        epsilon_low=0.2,
        epsilon_high=0.2 if loss_type != "cispo" else 5.0,
        importance_sampling_level="token",
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        use_vllm=False,
        max_completion_length=LONGEST,
        current_gradient_accumulation_steps=STEPS,
        aux_loss_enabled=False,
        _entropy_bonus_enabled=False,
        model=SimpleNamespace(training=True),
        get_gamma_weights=lambda **_: torch.ones(len(values_BT), 1),
        accelerator=SimpleNamespace(num_processes=1, gather=lambda x: x, reduce=lambda x, reduction: x),
        _metrics={"train": {name: [] for name in METRICS}},
    )
    trainer._get_per_token_logps_and_entropies = lambda *_, **__: (log_probs, torch.zeros_like(values_BT), None)
    ids = torch.zeros(values_BT.shape, dtype=torch.long)
    inputs = {
        "prompt_ids": ids[:, :1],
        "prompt_mask": torch.ones_like(ids[:, :1]),
        "completion_ids": ids,
        "completion_mask": mask_BT,
        "advantages": -values_BT / per_advantage,
        "num_items_in_batch": torch.tensor(TOKENS),
    }
    return GRPOTrainer._compute_loss(trainer, None, inputs)


METRICS = (
    "entropy",
    "cispo_clip_ratio",
    "vespo/phi_seq_mean",
    *(f"clip_ratio/{name}" for name in ("low_mean", "high_mean", "region_mean", "low_min", "high_max", "region_min")),
)


@pytest.mark.parametrize("loss_type", LOSSES)
def test_is_trls_own_mean(loss_type):
    generator = torch.Generator().manual_seed(0)
    values_BT = torch.rand(4, 9, generator=generator)
    mask_BT = torch.ones(4, 9, dtype=torch.long)
    mask_BT[0, 5:] = mask_BT[1, 2:] = mask_BT[3, :] = 0
    batch = Batch(LONGEST, STEPS, TOKENS * STEPS / PER_GENERATION)
    ours = aggregate(values_BT, mask_BT, loss_type, batch)
    torch.testing.assert_close(ours, trls_loss(loss_type, values_BT, mask_BT), rtol=1e-6, atol=0)


def test_a_loss_that_is_not_known():
    check_loss_type("grpo")
    with pytest.raises(ConfigError, match="how loss_type='new' averages them is not known; use one of grpo, sapo"):
        aggregate(torch.ones(1, 1), torch.ones(1, 1), "new", Batch(1, 1, 1))
