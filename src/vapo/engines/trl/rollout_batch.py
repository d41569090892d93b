"""One rollout of a process on its way through TRL: its rows, what was generated, its probes and their verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vapo.algorithms.algorithm import Algorithm
from vapo.engines.policy.chain_texts import spell_tokens
from vapo.engines.probes.draws import seed_evaluation_draws, seed_training_draws
from vapo.engines.probes.probe_round import ProbeRound
from vapo.engines.trl.rows import SampleReader
from vapo.types import Rollout, Sample

if TYPE_CHECKING:
    from numpy.random import Generator


@dataclass(frozen=True, slots=True)
class PlaceInRun:
    """Where in a run a batch stands: what its draws are seeded by, and what a checkpoint holds.

    Attributes:
        seed: of the run's probes.
        training: whether it is trained on; else it is evaluated.
        number: of the rollout in training, of the step in evaluation.
        first: place of the process's first row among those of all processes.
        group_size: completions of a prompt, which follow each other.
    """

    seed: int
    training: bool
    number: int
    first: int
    group_size: int

    def draws(self, algorithm: Algorithm, sample: Sample, row: int) -> Generator:
        """Return the generator of a completion's anchors and claims; `row` counts over all processes."""
        group, member = divmod(row, self.group_size)
        if self.training:
            return seed_training_draws(algorithm, self.seed, rollout_number=self.number, group=group, member=member)
        return seed_evaluation_draws(algorithm, self.seed, step=self.number, sample=sample, member=member)


class RolloutBatch:
    """Holds a batch while TRL generates, scores and rewards it.

    Args:
        rows: of the data set, one per completion; the completions of a group follow each other.
        place: where in the run it stands.
        asks_while_scoring: whether its probes are to be asked in TRL's scoring pass.

    Attributes:
        generated: what TRL's `_generate` returned; prompt and completion ids come first.
    """

    def __init__(self, rows: Sequence[dict[str, Any]], place: PlaceInRun, *, asks_while_scoring: bool) -> None:
        self.generated: tuple[Any, ...] | None = None
        self._rows = rows
        self._place = place
        self._asks_while_scoring = asks_while_scoring
        self._round: ProbeRound | None = None

    def take_scoring_pass(self) -> bool:
        """Return whether this scoring pass is the one to ask probes in: the first, where that is wanted."""
        asks, self._asks_while_scoring = self._asks_while_scoring, False
        return asks

    def draw_probes(self, algorithm: Algorithm, reader: SampleReader, tokenizer: Any) -> ProbeRound:
        """Return the rollouts with their probes, drawn at the first call."""
        if self._round is None:
            assert self.generated is not None
            rollouts: list[Rollout] = []
            generators: list[Generator] = []
            samples: dict[int, Sample] = {}
            for number, (row, prompt_ids, ids) in enumerate(
                zip(self._rows, self.generated[0], self.generated[1], strict=True), self._place.first
            ):
                group = number // self._place.group_size
                if group not in samples:
                    samples[group] = reader.read(row, f"row {row.get('id', number)}")
                texts = spell_tokens(tokenizer, ids)
                rollouts.append(Rollout(samples[group], tuple(prompt_ids), tuple(ids), texts))
                generators.append(self._place.draws(algorithm, samples[group], number))
            self._round = ProbeRound(algorithm, rollouts, generators)
        return self._round
