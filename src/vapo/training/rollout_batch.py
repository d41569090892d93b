"""One rollout of a process on its way through TRL: its rows, what was generated, its probes and their verdicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from vapo.algorithms.algorithm import Algorithm
from vapo.models.policy.response_texts import spell_tokens
from vapo.models.questions import ClaimQuestions
from vapo.models.tree.packed import Question
from vapo.probing.draws import seed_evaluation_draws, seed_training_draws
from vapo.probing.perception_scorer import (
    ScoredRollout,
    ask_probes,
    choose_probed,
    draw_probes,
    reward_rollouts,
)
from vapo.probing.prober import Prober
from vapo.training.rows import SampleReader
from vapo.types import Probe, Rollout, Sample, Verdict

if TYPE_CHECKING:
    import torch
    from numpy.random import Generator


@dataclass(frozen=True, slots=True)
class RolloutPosition:
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

    @classmethod
    def of(cls, trainer: Any, num_rows: int) -> RolloutPosition:
        """Return the place of the batch that a trainer begins, with so many rows on this process."""
        training = trainer.model.training
        return cls(
            seed=trainer.args.probe_seed,
            training=training,
            number=count_rollouts(trainer) if training else trainer.state.global_step,
            first=trainer.accelerator.process_index * num_rows,
            group_size=trainer.num_generations if training else trainer.num_generations_eval,
        )

    def draws(self, algorithm: Algorithm, sample: Sample, row: int) -> Generator:
        """Return the generator of a completion's anchors and claims; `row` counts over all processes."""
        group, member = divmod(row, self.group_size)
        if self.training:
            return seed_training_draws(algorithm, self.seed, rollout_number=self.number, group=group, member=member)
        return seed_evaluation_draws(algorithm, self.seed, step=self.number, sample=sample, member=member)


def count_rollouts(trainer: Any) -> int:
    """Return how many rollouts a run has made before: a resumed one counts on from its checkpoint.

    The number is the same on any number of processes, which share a rollout's completions.
    """
    micro_steps = trainer.micro_steps_before + trainer._step
    return micro_steps // (trainer.args.steps_per_generation * trainer.num_iterations)


class RolloutCount(TrainerCallback):
    """Tells a trainer how many micro-steps its run made before it was resumed.

    The last step of an epoch has fewer of them where they do not fill it.
    """

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, train_dataloader: Any = None, **_: Any) -> None:
        of_epoch, accumulation = len(train_dataloader), args.gradient_accumulation_steps
        epochs, steps = divmod(state.global_step, math.ceil(of_epoch / accumulation))
        self._trainer.micro_steps_before = epochs * of_epoch + steps * accumulation - self._trainer._step


def find_progress(trainer: Any) -> float:
    """Return the share of a run's steps that are done, in [0, 1]."""
    state = trainer.state
    return min(state.global_step / state.max_steps, 1.0) if state.max_steps > 0 else 0.0


class RolloutBatch:
    """Holds a batch from its rows to its rewards, while TRL generates, scores and rewards it.

    Args:
        rows: of the data set, one per completion; the completions of a group follow each other.
        place: where in the run it stands.
        members: places of the rows among those of this process; None for all of them, in order.
        algorithm: draws the probes and says what verdicts are worth.
        reader: makes samples of rows.
        tokenizer: spells completions.
        think_tags: what opens and what closes their thinking parts.
        asks_while_scoring: whether its probes are to be asked in TRL's scoring pass.

    Attributes:
        generated: what TRL's `_generate` returned; prompt and completion ids come first.
        verdicts: on each row's probes, once they are asked.
        kept: for each row, whether it is trained on; None keeps all.
        scored: each rollout with its verdicts and reward, once it is rewarded.
        rewards_NF: every reward of every row, of all processes, once it is rewarded.
        summaries: what the algorithm sums each response up by, if it does; NaN for nothing.
    """

    def __init__(
        self,
        rows: Sequence[dict[str, Any]],
        place: RolloutPosition,
        algorithm: Algorithm,
        reader: SampleReader,
        tokenizer: Any,
        think_tags: tuple[str, str],
        *,
        asks_while_scoring: bool = False,
        members: Sequence[int] | None = None,
    ) -> None:
        self.rows = rows
        self._members = range(len(rows)) if members is None else members
        self.generated: tuple[Any, ...] | None = None
        self.kept: Sequence[bool] | None = None
        self.scored: list[ScoredRollout] | None = None
        self.rewards_NF: torch.Tensor | None = None
        self.summaries: list[float] | None = None
        self.place = place
        self._algorithm = algorithm
        self._reader = reader
        self._tokenizer = tokenizer
        self._think_tags = think_tags
        self._asks_while_scoring = asks_while_scoring
        self.verdicts: list[tuple[Verdict, ...]] | None = None

    def take_scoring_pass(self) -> bool:
        """Return whether this scoring pass is the one to ask probes in: the first, where that is wanted."""
        asks, self._asks_while_scoring = self._asks_while_scoring and self.verdicts is None, False
        return asks

    def questions(self, encoder: ClaimQuestions) -> list[list[Question]]:
        """Return the probes as tokens to hang on each row's completion."""
        _, _, probes = self._drawn
        return [[Question(0, one.anchor.index, encoder.encode(one.claim.text)) for one in own] for own in probes]

    def take_answers(self, p_true: Sequence[Sequence[float]]) -> None:
        """Take the answers to `questions`, so that nothing is left to ask."""
        _, _, probes = self._drawn
        self.verdicts = [
            tuple(Verdict(probe, p) for probe, p in zip(own, answers, strict=True))
            for own, answers in zip(probes, p_true, strict=True)
        ]

    def reward(
        self, prober: Prober | None, accuracies: Sequence[float], progress: float, closed_gate_probe_share: float
    ) -> list[ScoredRollout]:
        """Ask what has not been answered yet and reward every rollout.

        Args:
            prober: asks the policy; None where there is nothing to ask.
            accuracies: of each rollout's answer, in [0, 1].
            progress: share of training done, in [0, 1].
            closed_gate_probe_share: see `choose_probed`.
        """
        rollouts, generators, probes = self._drawn
        if prober is None:
            self.verdicts = [()] * len(rollouts)
        elif self.verdicts is None:
            probed = choose_probed(self._algorithm, accuracies, generators, progress, closed_gate_probe_share)
            asked = [own if chosen else () for own, chosen in zip(probes, probed, strict=True)]
            self.verdicts = ask_probes(prober, rollouts, asked)
        self.scored = reward_rollouts(self._algorithm, rollouts, accuracies, probes, self.verdicts, progress)
        return self.scored

    @property
    def rollouts(self) -> list[Rollout]:
        """Each row's completion, once they are generated."""
        return self._drawn[0]

    @cached_property
    def _drawn(self) -> tuple[list[Rollout], list[Generator], list[tuple[Probe, ...]]]:
        """Each row's rollout, and its probes with the generator they were drawn from."""
        assert self.generated is not None
        rollouts: list[Rollout] = []
        generators: list[Generator] = []
        samples: dict[int, Sample] = {}
        for member, row, prompt_ids, ids in zip(
            self._members, self.rows, self.generated[0], self.generated[1], strict=True
        ):
            number = self.place.first + member
            group = number // self.place.group_size
            if group not in samples:
                samples[group] = self._reader.read(row, f"row {row.get('id', number)}")
            texts = spell_tokens(self._tokenizer, ids)
            rollouts.append(Rollout(samples[group], tuple(prompt_ids), tuple(ids), texts, self._think_tags))
            generators.append(self.place.draws(self._algorithm, samples[group], number))
        return rollouts, generators, draw_probes(self._algorithm, rollouts, generators)
