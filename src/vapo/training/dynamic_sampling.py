"""Dynamic sampling: prompts whose completions are all alike are replaced by others.

Alike are completions of the same accuracy, or of the same reward. By accuracy, all-right groups go, and with them what
a bonus behind the accuracy gate does: in mixed groups the answers outweigh it. By reward, they stay if their bonuses
differ.
"""

from __future__ import annotations

import inspect
import math
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather
from datasets import IterableDataset
from trl import GRPOTrainer

from vapo.core.advantages import informative_groups
from vapo.errors import ConfigError
from vapo.training.other_images import OtherImages, write_prompts
from vapo.training.rollout_batch import count_rollouts
from vapo.training.rows import list_images
from vapo.types import Verdict

REFILL_DRAWS = 2
MAX_REFILLS = 4
"""Rounds of further prompts for one batch."""


@dataclass(frozen=True, slots=True)
class Refilled:
    """A batch that was rolled out.

    Attributes:
        rows: those that are trained on.
        generated: what TRL's `_generate` returned for them.
        kept: for each row, whether its group teaches something; the others could not be replaced.
        verdicts: on each row's probes, where its reward was needed for that.
    """

    rows: list[dict[str, Any]]
    generated: tuple[Any, ...]
    kept: list[bool]
    verdicts: list[tuple[Verdict, ...]] | None


@dataclass(frozen=True, slots=True)
class GradedRows:
    """What completions are compared by within their groups, and the verdicts that were asked for it, if any."""

    values: list[float]
    verdicts: list[tuple[Verdict, ...]] | None = None


Grade = Callable[[list[dict[str, Any]], tuple[Any, ...], Sequence[int]], GradedRows]
"""Grades rows by what was generated for them, given their places in this process's batch; called by all processes."""


class InformativeRollouts:
    """Roll out a batch, then replace the prompts of uninformative groups until a limit.

    A group keeps its place in the batch, so on every process a place is refilled by the rows that held it. All
    processes roll out equally many rows each round.

    Args:
        trainer: rolls out.
        images: what it samples from.
        grade: says what completions are compared by.
        prepare: makes a row of the data set ready to be rolled out.

    Raises:
        ConfigError: the data or the loss cannot be had with it.
    """

    def __init__(
        self,
        trainer: GRPOTrainer,
        images: OtherImages,
        *,
        grade: Grade,
        prepare: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> None:
        if isinstance(trainer.train_dataset, IterableDataset):
            raise ConfigError("dynamic_sampling needs a data set with random access; streaming has none")
        args: Any = trainer.args
        entropy_bonus = args.entropy_coef != 0 or args.use_adaptive_entropy
        if entropy_bonus and args.loss_type in ("grpo", "dr_grpo"):
            raise ConfigError(
                f"dynamic_sampling with loss_type={args.loss_type!r} would also scale the entropy bonus; use "
                "loss_type='dapo' or no entropy bonus"
            )
        self._trainer: Any = trainer
        self._grade = grade
        self._prepare = prepare
        self._images = images

    def roll_out(self, inputs: list[dict[str, Any]]) -> Refilled:
        """Roll out rows, and others in the place of those that teach nothing."""
        rows = list(inputs)
        outputs = self._generate(rows, range(len(rows)))
        graded = self._grade(rows, outputs, range(len(rows)))
        open_groups = self._find_uninformative(graded.values)
        dropped, rounds = len(open_groups), 0
        while open_groups and rounds < MAX_REFILLS:
            places = self._local_places(open_groups)
            new_rows = self._draw_rows(open_groups, rounds)
            padded = self._pad(places)
            candidate_rows = [new_rows[place] for place in padded]
            new_outputs = self._generate(candidate_rows, padded)
            new_graded = self._grade(candidate_rows, new_outputs, padded)
            candidates = list(graded.values)
            for number, place in enumerate(places):
                candidates[place] = new_graded.values[number]
            still_open = self._find_uninformative(candidates)
            for number, place in enumerate(places):
                if self._group_of(place) not in still_open:
                    rows[place], graded.values[place] = new_rows[place], new_graded.values[number]
                    if graded.verdicts is not None and new_graded.verdicts is not None:
                        graded.verdicts[place] = new_graded.verdicts[number]
                    for column, new_column in zip(outputs, new_outputs, strict=True):
                        if isinstance(column, list) and isinstance(new_column, list) and column:
                            column[place] = new_column[number]
            open_groups = [group for group in open_groups if group in still_open]
            dropped += len(open_groups)
            rounds += 1
        kept = [self._group_of(place) not in open_groups for place in range(len(rows))]
        num_groups = len(rows) * self._trainer.accelerator.num_processes // self._trainer.num_generations
        metrics = self._trainer._metrics["train"]
        metrics["dynamic_sampling/dropped_groups"].append(float(dropped))
        metrics["dynamic_sampling/refill_rounds"].append(float(rounds))
        metrics["dynamic_sampling/unfilled_share"].append(len(open_groups) / num_groups)
        return Refilled(rows, outputs, kept, graded.verdicts)

    def leave_out_dropped(self, output: dict[str, Any], kept_rows: Sequence[bool]) -> dict[str, Any]:
        """Take groups that could not be replaced out of the loss: advantage, tokens and denominator."""
        device = output["completion_mask"].device
        kept = torch.tensor(kept_rows, device=device)
        everyone: Any = gather(kept)
        if bool(everyone.all()):
            return output
        advantages = output["advantages"]  # of responses, or of their tokens
        output["advantages"] = advantages * kept.view(-1, *[1] * (advantages.dim() - 1))
        output["completion_mask"] = output["completion_mask"] * kept.unsqueeze(1)
        num_tokens: Any = gather(output["completion_mask"].sum())
        output["num_items_in_batch"] = num_tokens.sum()
        if self._trainer.loss_type in ("grpo", "dr_grpo"):  # these divide by rows, dropped ones included
            output["loss_scale"] = everyone.numel() / everyone.sum().clamp(min=1)
        return output

    def _generate(self, rows: list[dict[str, Any]], places: Sequence[int]) -> tuple[Any, ...]:
        prompts = write_prompts(rows, [list_images(row) for row in rows])
        numbers = [self._first_place() + place for place in places]
        outputs = self._images.roll_out(self._trainer._generate, prompts, rows, numbers)
        return tuple(list(column) if isinstance(column, list) else column for column in outputs)

    def _find_uninformative(self, values: list[float]) -> list[int]:
        everyone: Any = gather(torch.tensor(values, device=self._trainer.accelerator.device))
        groups = everyone.view(-1, self._trainer.num_generations).tolist()
        informative = set(informative_groups(groups))
        return [group for group in range(len(groups)) if group not in informative]

    def _group_of(self, place: int) -> int:
        return (self._first_place() + place) // self._trainer.num_generations

    def _first_place(self) -> int:
        return self._trainer.accelerator.process_index * self._rows_per_process()

    def _rows_per_process(self) -> int:
        args = self._trainer.args
        return args.per_device_train_batch_size * args.steps_per_generation

    def _local_places(self, groups: list[int]) -> list[int]:
        return [place for place in range(self._rows_per_process()) if self._group_of(place) in groups]

    def _pad(self, places: list[int]) -> list[int]:
        """Repeat places until every process has as many, for generation is a collective call."""
        counts: Any = gather(torch.tensor([len(places)], device=self._trainer.accelerator.device))
        own = places or [0]
        return own + own[:1] * (int(counts.max()) - len(own))

    def _draw_rows(self, groups: list[int], round_number: int) -> dict[int, dict[str, Any]]:
        """Return a further prompt's row for every local place; all processes draw the same prompts for the groups."""
        trainer = self._trainer
        rng = np.random.default_rng([trainer.args.seed, REFILL_DRAWS, count_rollouts(trainer), round_number])
        data: Any = trainer.train_dataset
        size = len(data)
        numbers = rng.choice(size, size=len(groups), replace=len(groups) > size)
        drawn = [self._prepare(data[int(number)]) for number in numbers]
        prompts = dict(zip(groups, drawn, strict=True))
        fallback = prompts[groups[0]]
        return {place: prompts.get(self._group_of(place), fallback) for place in range(self._rows_per_process())}


def grade_by_accuracy(trainer: GRPOTrainer, column: int) -> Grade:
    """Return what compares completions by the reward function that tells accuracy.

    Args:
        trainer: whose function it is.
        column: its number.

    Raises:
        ConfigError: it is no plain function.
    """
    gate: Any = trainer.reward_funcs[column]
    if isinstance(gate, torch.nn.Module) or inspect.iscoroutinefunction(gate):
        raise ConfigError(f"dynamic_sampling needs a plain function as accuracy reward, not {type(gate).__name__}")

    def grade(rows: list[dict[str, Any]], outputs: tuple[Any, ...], places: Sequence[int]) -> GradedRows:
        _, completion_ids, _, completions, *_ = outputs
        columns = {key: [row[key] for row in rows] for key in rows[0] if key != "prompt"}
        grades = gate(
            prompts=[row["prompt"] for row in rows],
            completions=completions,
            completion_ids=completion_ids,
            trainer_state=trainer.state,
            log_extra=lambda column, values: None,
            log_metric=lambda name, value: None,
            **columns,
        )
        return GradedRows([math.nan if grade is None else float(grade) for grade in grades])

    return grade


def add_up_rewards(trainer: Any, rows: list[dict[str, Any]], outputs: tuple[Any, ...]) -> list[float]:
    """Return the whole reward of each row of this process, as TRL adds it up; NaN where no function scores it.

    What reward functions log is dropped: rows that are kept are rewarded and logged once more, with their batch.
    """
    _, completion_ids, _, completions, *_ = outputs
    prompts = [row["prompt"] for row in rows]
    with _unlogged(trainer):
        rewards_NF = trainer._calculate_rewards(rows, prompts, completions, completion_ids)
    totals = (rewards_NF * trainer.reward_weights.to(rewards_NF.device)).nansum(dim=1)
    totals = totals.masked_fill(rewards_NF.isnan().all(dim=1), torch.nan)
    first = trainer.accelerator.process_index * len(rows)
    return totals[first : first + len(rows)].tolist()


@contextmanager
def _unlogged(trainer: Any) -> Generator[None]:
    before = trainer._pending_metrics, trainer._pending_extra_logs
    trainer._pending_metrics, trainer._pending_extra_logs = defaultdict(list), defaultdict(list)
    try:
        yield
    finally:
        trainer._pending_metrics, trainer._pending_extra_logs = before
