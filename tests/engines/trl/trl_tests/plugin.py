"""A pytest plugin that puts vapo's names in the place of TRL's, and records what each test came to.

It is loaded into a pytest of its own. The environment says with which options the trainer runs, as JSON, or that TRL's
own names stay (`VAPO_OPTIONS`), and where the record goes (`RECORD`).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import transformers
import trl

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
    transformers.AutoModelForCausalLM = transformers.AutoModelForImageTextToText
    record_runs()
    if OPTIONS is not None:
        import vapo.engines.trl.trainer as trainer

        trainer.VAPOConfig = Config  # what it makes of no arguments
        trl.GRPOTrainer, trl.GRPOConfig = trainer.VAPOTrainer, Config


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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    own = record.setdefault(item.nodeid.split("::", 1)[1], {"outcome": "passed", "why": "", "runs": []})
    if call.when == "setup":
        runs.clear()
    if report.outcome != "passed" and own["outcome"] == "passed":
        own |= {"outcome": report.outcome, "why": _tell_why(report, call)}
    own["runs"] = list(runs)
    return report


def _tell_why(report: pytest.TestReport, call: pytest.CallInfo[None]) -> str:
    if call.excinfo is None:
        return ""
    if report.outcome == "skipped":
        return str(call.excinfo.value)
    return f"{call.excinfo.typename}: {call.excinfo.value}"


def pytest_runtest_logfinish() -> None:
    file = Path(os.environ["RECORD"])
    file.with_suffix(".part").write_text(json.dumps(record))
    file.with_suffix(".part").replace(file)
