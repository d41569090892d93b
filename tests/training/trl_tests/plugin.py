"""A pytest plugin that puts vapo's names in the place of TRL's, and records what each test came to.

It is loaded into a pytest of its own. The environment says with which options the trainer runs, as JSON, or that TRL's
own names stay (`VAPO_OPTIONS`), and where the record goes (`RECORD`).
"""

from __future__ import annotations

import functools
import gc
import inspect
import json
import os
from pathlib import Path
from typing import Any

import pytest
import transformers
import trl
from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING

from vapo.models.media_tokens import find_vision_token_ids

OPTIONS: dict[str, Any] | None = json.loads(os.environ["VAPO_OPTIONS"])
LOGGED = ("loss", "grad_norm", "reward", "train_loss", "eval_loss", "eval_reward")
"""Numbers of a run's log that tell whether two runs trained alike."""

if OPTIONS is not None:
    from vapo import VAPOConfig

    class Config(VAPOConfig):
        """A configuration with options of its own as defaults; here, because checkpoints pickle it."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**OPTIONS, **kwargs})


record: dict[str, dict[str, Any]] = {}
runs: list[list[dict[str, float]]] = []


def pytest_configure() -> None:
    # The stand-ins of text-only models can see.
    transformers.AutoModelForCausalLM.from_pretrained = transformers.AutoModelForImageTextToText.from_pretrained
    # peft knows the layers of TRL's models by heart, but not those of the stand-ins.
    TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING["qwen2_5_vl"] = ["q_proj", "v_proj"]
    record_runs()
    if OPTIONS is not None:
        import vapo.training.trainer as trainer

        trainer.VAPOConfig = Config  # what it makes of no arguments
        trl.GRPOTrainer, trl.GRPOConfig = trainer.VAPOTrainer, Config
    fit_to_stand_ins(trl.GRPOTrainer)


def pytest_collection_finish() -> None:
    gc.freeze()  # TRL's conftest collects garbage behind every test; all that was imported is none


def record_runs() -> None:
    train = transformers.Trainer.train

    def recording_train(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return train(self, *args, **kwargs)
        finally:
            history = self.state.log_history
            # As text, in which NaN equals NaN.
            runs.append([{name: repr(entry[name]) for name in LOGGED if name in entry} for entry in history])

    transformers.Trainer.train = recording_train


def fit_to_stand_ins(trainer: type) -> None:
    """Hand reward functions what the test's own rows would, and sample what both trainers sample."""
    init = trainer.__init__

    @functools.wraps(init)
    def fitted_init(self: Any, *args: Any, reward_funcs: Any = None, **kwargs: Any) -> None:
        if isinstance(reward_funcs, list):
            reward_funcs = [read_as_text(reward) for reward in reward_funcs]
        elif reward_funcs is not None:
            reward_funcs = read_as_text(reward_funcs)
        init(self, *args, reward_funcs=reward_funcs, **kwargs)
        # TRL leaves out the image token alone.
        ids = find_vision_token_ids(self.model.config, self._tokenizer)
        suppressed = sorted({*ids, *(self.generation_kwargs.get("suppress_tokens") or [])})
        self.generation_kwargs["suppress_tokens"] = self.generation_config.suppress_tokens = suppressed

    trainer.__init__ = fitted_init


def read_as_text(reward: Any) -> Any:
    """Return a reward function that reads completions as text where TRL's own rows are text."""
    if not inspect.isfunction(reward):
        return reward

    def to_text(arguments: dict[str, Any]) -> dict[str, Any]:
        if arguments.get("format", [""])[0] != "standard":
            return arguments
        return {**arguments, "completions": [messages[0]["content"] for messages in arguments["completions"]]}

    @functools.wraps(reward)
    def of_text(**arguments: Any) -> Any:
        return reward(**to_text(arguments))

    @functools.wraps(reward)
    async def awaited_of_text(**arguments: Any) -> Any:
        return await reward(**to_text(arguments))

    return awaited_of_text if inspect.iscoroutinefunction(reward) else of_text


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    own = record.setdefault(item.nodeid.split("::", 1)[1], {"outcome": "passed", "why": "", "runs": []})
    if call.when == "setup":
        runs.clear()
    if report.outcome != "passed" and own["outcome"] == "passed":
        own |= {"outcome": report.outcome, "why": _explain_failure(report, call)}
    own["runs"] = list(runs)
    return report


def _explain_failure(report: pytest.TestReport, call: pytest.CallInfo[None]) -> str:
    if call.excinfo is None:
        return ""
    why = str(call.excinfo.value) if report.outcome == "skipped" else f"{call.excinfo.typename}: {call.excinfo.value}"
    return why.partition("\n")[0]


def pytest_runtest_logfinish() -> None:
    file = Path(os.environ["RECORD"])
    file.with_suffix(".part").write_text(json.dumps(record))
    file.with_suffix(".part").replace(file)
