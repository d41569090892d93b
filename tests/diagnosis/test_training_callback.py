from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from prober_contract import make_sample
from tiny_models import save_tiny
from training.training_world import even_letters, make_config, make_rows

from vapo import DiagnosisCallback, DiagnosisSettings, VAPOTrainer
from vapo.errors import ConfigError

SMALL = DiagnosisSettings(
    step=50, max_completion_tokens=8, max_answer_tokens=4, num_depths=2, claims_per_depth=1, views=("image", "blank")
)


def train(folder: Path, steps: int = 2, **diagnosis: Any) -> tuple[VAPOTrainer, DiagnosisCallback | None]:
    checkpoint = save_tiny("llava", folder / "start")
    trainer = VAPOTrainer(
        str(checkpoint),
        args=make_config(
            folder,
            max_steps=steps,
            logging_steps=1,
        ),
        reward_funcs=even_letters,
        train_dataset=make_rows(),
    )
    callback = None
    if diagnosis:
        callback = DiagnosisCallback(trainer, [make_sample("a"), make_sample("b")], settings=SMALL, **diagnosis)
        trainer.add_callback(callback)
    trainer.train()
    return trainer, callback


def test_it_logs_and_changes_nothing(tmp_path):
    plain, _ = train(tmp_path / "plain")
    diagnosed, callback = train(tmp_path / "diagnosed", every_steps=1, out=tmp_path / "reports")
    assert callback is not None and list(callback.diagnoses) == [0, 1, 2]
    for before, after in zip(plain.model.parameters(), diagnosed.model.parameters(), strict=True):
        assert torch.equal(before, after)
    assert (tmp_path / "reports" / "step-2" / "report.html").is_file()

    def read(name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]

    lines = read("diagnosed")
    ours = [line for line in lines if "diagnosis/accuracy" in line]
    assert [line["step"] for line in ours] == [0, 1, 2]
    assert {"diagnosis/direct_accuracy", "diagnosis/claims_before_image", "diagnosis/claims_at_end_blank"} <= set(
        ours[0]
    )
    # The step's own numbers stay in the step's own lines.
    steps = [line for line in lines if "step_time" in line]
    assert len(steps) == 2
    for without, beside in zip([line for line in read("plain") if "step_time" in line], steps, strict=True):
        assert without.keys() == beside.keys() and without["reward"] == beside["reward"]


def stand_in(*, fsdp: bool = False, zero_stage: int | None = None) -> Any:
    plugin = SimpleNamespace(zero_stage=zero_stage) if zero_stage is not None else None
    return SimpleNamespace(
        args=SimpleNamespace(),
        is_fsdp_enabled=fsdp,
        accelerator=SimpleNamespace(state=SimpleNamespace(deepspeed_plugin=plugin)),
    )


@pytest.mark.parametrize("trainer", [stand_in(fsdp=True), stand_in(zero_stage=3)], ids=["fsdp", "zero 3"])
def test_spread_parameters_are_refused(trainer):
    with pytest.raises(ConfigError, match="whole model in one process"):
        DiagnosisCallback(trainer, [make_sample("a")])


def test_options_out_of_range_are_refused():
    DiagnosisCallback(stand_in(zero_stage=2), [make_sample("a")])
    with pytest.raises(ConfigError, match="every_steps is 0"):
        DiagnosisCallback(stand_in(), [make_sample("a")], every_steps=0)
    with pytest.raises(ConfigError, match="no questions"):
        DiagnosisCallback(stand_in(), [])
    with pytest.raises(ConfigError, match="choose among"):
        DiagnosisCallback(stand_in(), [make_sample("a")], protocols=["erly"])
