"""Whole training steps of several trainers in turn: rollouts, rewards, probes, scoring, update and optimizer.

Each trainer runs `train()` in a thread of its own, which stands still between its steps until it is its turn again, so
that at any time one side computes, as it would alone. A step begins where the one before has ended: it reads its rows
and opens their images, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from threading import Semaphore, Thread
from typing import Any

import torch
from transformers import TrainerCallback
from trl import GRPOTrainer

from benchmarks.clock import CLOCKS, Runs, time_in_turn
from benchmarks.models import build_model
from benchmarks.report import Report
from benchmarks.rollouts import Work, make_rollouts
from benchmarks.settings import Settings
from benchmarks.trainers import make_trainer

PARTS: Mapping[str, str] = {
    "_generate": "rollouts",
    "_calculate_rewards": "rewards, probes",
    "_generate_and_score_completions": "scoring",
    "training_step": "update",
}
"""Methods of a trainer, and what the time is spent on that they take beyond those that they call."""
PARTS_NOTE = "parts are seconds of the last step; the rest is reading rows, and the optimizer"


class SteppedTrainer(TrainerCallback):
    """Advances a trainer step by step.

    Args:
        trainer: not started yet.
        settings: threads that PyTorch computes on, which each Python thread is told anew, and the clock.

    Attributes:
        parts: seconds of the last step by what they were spent on; the rest is reading rows, and the optimizer.
    """

    def __init__(self, trainer: Any, settings: Settings) -> None:
        self._go, self._done = Semaphore(0), Semaphore(0)
        self._failure: BaseException | None = None
        self._settings = settings
        self._trainer = trainer
        self._running: list[float] = []  # seconds of what the methods that run now have called
        self.parts: dict[str, float] = {}
        for method, part in PARTS.items():
            setattr(trainer, method, self._clock(getattr(trainer, method), part))
        trainer.add_callback(self)
        self._thread = Thread(target=self._train, daemon=True)

    def advance(self) -> dict[str, float]:
        """Do one step, and return its parts.

        Raises:
            BaseException: what the trainer raised.
        """
        self.parts = defaultdict(float)
        if self._thread.is_alive():
            self._go.release()
        else:
            self._thread.start()
        self._done.acquire()
        if self._failure is not None:
            raise self._failure
        return dict(self.parts)

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Stand still until it is this trainer's turn again."""
        self._done.release()
        self._go.acquire()

    def _train(self) -> None:
        torch.set_num_threads(self._settings.threads)
        try:
            self._trainer.train()
        except BaseException as error:
            self._failure = error
        self._done.release()

    def _clock(self, method: Callable[..., Any], part: str) -> Callable[..., Any]:
        now = CLOCKS[self._settings.clock]

        def timed(*args: Any, **kwargs: Any) -> Any:
            started = now()
            self._running.append(0.0)
            try:
                return method(*args, **kwargs)
            finally:
                taken = now() - started
                self.parts[part] += taken - self._running.pop()
                if self._running:
                    self._running[-1] += taken

        return timed


def make_stepped(kind: type[GRPOTrainer], settings: Settings, work: Work, **options: Any) -> SteppedTrainer:
    """Return a trainer of the work's sizes on a model of its own; all train on the same rows, from the same seed.

    Responses are letters and line breaks, so that each has more boundaries than probes, and as long as the work says.

    Args:
        kind: TRL's trainer, or ours.
        settings: model, device, rounds.
        work: sizes.
        options: of the run, beyond sizes.
    """
    model, processor = build_model(settings.model, settings.device)
    sample = make_rollouts(processor, work)[0].sample
    written = set(processor.tokenizer("".join(chr(97 + n) for n in range(26)) + "\n" * 2).input_ids)
    written |= set(processor.tokenizer("\n").input_ids)
    trainer = make_trainer(
        kind,
        model,
        processor,
        sample,
        even_tokens,
        settings,
        work,
        generation_kwargs={
            "min_new_tokens": work.completion_tokens,
            "suppress_tokens": [token for token in range(model.config.text_config.vocab_size) if token not in written],
        },
        max_steps=settings.repeats + 2,
        learning_rate=1e-6,
        save_strategy="no",
        disable_tqdm=True,
        **options,
    )
    return SteppedTrainer(trainer, settings)


def even_tokens(completion_ids: Sequence[Sequence[int]], **_: Any) -> list[float | None]:
    """A reward that a random model earns with every other response."""
    return [float(sum(ids) % 2 == 0) for ids in completion_ids]


def time_steps(stepped: dict[str, SteppedTrainer], settings: Settings) -> dict[str, Runs]:
    """Return the timed steps of trainers that take turns, after one step of each."""
    for one in stepped.values():
        one.advance()
    return time_in_turn({name: one.advance for name, one in stepped.items()}, settings)


def report_steps(report: Report, work: Work, runs: Mapping[str, Runs], column: str) -> None:
    """Add a row for each side, named in a column, with its seconds, its memory, and the parts of its last step."""
    for name, own in runs.items():
        parts = {part: own.result.get(part) for part in PARTS.values()}
        report.rows.append({"work": str(work), column: name, **own.show("step"), **parts})
