"""From TRL's rows and token ids to rollouts whose probes are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from vapo.engines.policy.chain_texts import spell_tokens
from vapo.engines.probes.probe_round import ProbeRound
from vapo.engines.trl.rows import SampleReader
from vapo.types import Rollout, Sample

if TYPE_CHECKING:
    from numpy.random import Generator

    from vapo.engines.trl.trainer import VAPOTrainer

TRAIN_DRAWS, EVAL_DRAWS = 0, 1  # keep generators of training and of evaluation apart


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
        """Return the generator of one completion's anchors and claims.

        Its seed is made of the run's seed and the completion's place in the run, all of which a checkpoint holds, so
        a resumed run draws what the uninterrupted one would have drawn.
        """
        trainer = self._trainer
        if trainer.model.training:
            place = [TRAIN_DRAWS, trainer.rollout_number(), group]
        else:
            place = [EVAL_DRAWS, trainer.state.global_step, crc32(sample.id.encode())]
        own = [] if trainer.algorithm.needs.shared_draws else [member]
        return np.random.default_rng([trainer.args.probe_seed, *place, *own])
