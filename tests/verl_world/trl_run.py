"""The same run on TRL: one rollout of four prompts, answered with `RESPONSES`: probes, verdicts and rewards."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from verl_world.world import GROUP, encode_responses

from vapo.probing.perception_scorer import ScoredRollout
from vapo.training.cached_rows import make_training_rows
from vapo.training.options import parse_run
from vapo.training.run import load_split
from vapo.training.trainer import VAPOTrainer


class TrlRollout(NamedTuple):
    """Completions in the order of the data, group by group, and the total reward of each."""

    scored: list[ScoredRollout]
    rewards: list[float]


class _Recorder(VAPOTrainer):
    def _calculate_rewards(self, *args: Any) -> torch.Tensor:
        rewards = super()._calculate_rewards(*args)
        self.totals = (rewards * self.reward_weights).nansum(1).tolist()
        return rewards


def roll_out_on_trl(run: Path) -> TrlRollout:
    """Train for one step on TRL and return its first rollout."""
    words = ["--use_cpu", "true", "--bf16", "false", "--shuffle_dataset", "false", "--max_steps", "1"]
    words += ["--save_strategy", "no"]
    options = parse_run(["--config", str(run), *words, "--report_to", "none", "--disable_tqdm", "true"])
    rows = make_training_rows(load_split(options, "train", require_claims=True), system_prompt=_prompt(options))
    trainer = _Recorder(options.model_name, args=options.training, train_dataset=rows)
    responses = encode_responses()
    longest = max(map(len, responses))
    pad = trainer.processing_class.tokenizer.pad_token_id
    padded = torch.tensor([response + [pad] * (longest - len(response)) for response in responses])

    def answer(input_ids: torch.Tensor, **_: Any) -> torch.Tensor:
        return torch.cat([input_ids, padded.repeat_interleave(GROUP, 0).repeat(2, 1)], dim=1)

    trainer.model.generate = answer
    scored: list[ScoredRollout] = []
    add = trainer._log_of_perception.add
    trainer._log_of_perception.add = lambda own, **how: (scored.extend(own), add(own, **how))[1]
    trainer.train()
    return TrlRollout(scored, trainer.totals)


def _prompt(options: Any) -> str:
    return options.data.system_prompt
