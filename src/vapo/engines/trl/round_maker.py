"""From TRL's rows and token ids to rollouts whose probes are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vapo.engines.policy.chain_texts import spell_tokens
from vapo.engines.probes.draws import seed_evaluation_draws, seed_training_draws
from vapo.engines.probes.probe_round import ProbeRound
from vapo.engines.trl.rows import SampleReader
from vapo.types import Rollout, Sample

if TYPE_CHECKING:
    from numpy.random import Generator

    from vapo.engines.trl.trainer import VAPOTrainer


class RoundMaker:
    """Makes a process's rounds of probes.

    Args:
        trainer: says where in its run it is.
        reader: turns rows into samples.
    """

    def __init__(self, trainer: VAPOTrainer, reader: SampleReader) -> None:
        self._trainer = trainer
        self._reader = reader

    def make(self, rows: Sequence[dict[str, Any]], generated: tuple[Any, ...]) -> ProbeRound:
        """Return this process's rollouts with their probes drawn.

        Args:
            rows: of the data set, one per completion; the completions of a group follow each other.
            generated: what TRL's `_generate` returned for them; prompt and completion ids come first.
        """
        trainer = self._trainer
        first = trainer.accelerator.process_index * len(rows)
        group_size = trainer.num_generations if trainer.model.training else trainer.num_generations_eval
        rollouts: list[Rollout] = []
        generators: list[Generator] = []
        samples: dict[int, Sample] = {}
        for number, (row, prompt_ids, ids) in enumerate(zip(rows, generated[0], generated[1], strict=True)):
            group, member = divmod(first + number, group_size)
            if group not in samples:
                samples[group] = self._reader.read(row, f"row {row.get('id', first + number)}")
            texts = spell_tokens(trainer._tokenizer, ids)
            rollouts.append(Rollout(samples[group], tuple(prompt_ids), tuple(ids), texts))
            generators.append(self._draws(samples[group], group, member))
        return ProbeRound(trainer.algorithm, rollouts, generators)

    def _draws(self, sample: Sample, group: int, member: int) -> Generator:
        """Return the generator of one completion's anchors and claims, seeded by what a checkpoint holds."""
        trainer = self._trainer
        seed = trainer.args.probe_seed
        if trainer.model.training:
            number = trainer.rollout_number()
            return seed_training_draws(trainer.algorithm, seed, rollout_number=number, group=group, member=member)
        step = trainer.state.global_step
        return seed_evaluation_draws(trainer.algorithm, seed, step=step, sample=sample, member=member)
