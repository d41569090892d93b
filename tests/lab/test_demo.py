"""The demo runs for real, in its shortest form, and goes on where it was."""

from __future__ import annotations

import pytest

from vapo.errors import ConfigError
from vapo.lab.demo import format_demo, run_demo


def keep_quiet(stage: str):
    return lambda done, total: None


def test_it_measures_trains_and_measures_again(tmp_path):
    out = tmp_path / "demo"
    demo = run_demo(out, steps=1, questions=4, seed=0, on_progress=keep_quiet)
    assert (out / "train" / "checkpoint-1").exists() and demo.steps == 1
    assert len(demo.before.rows) == len(demo.after.rows) == 4
    assert demo.before.settings["weights"] != demo.after.settings["weights"]
    shown = format_demo(demo)
    for words in ("answers right", "before the chain", "quarter 4 of 4", "completion length", str(out / "train")):
        assert words in shown
    saved = (out / "train" / "model.safetensors").stat().st_mtime_ns
    again = run_demo(out, steps=1, questions=4, seed=0, on_progress=keep_quiet)
    assert (out / "train" / "model.safetensors").stat().st_mtime_ns == saved
    assert format_demo(again) == shown


@pytest.mark.parametrize("numbers", [{"steps": 0, "questions": 4}, {"steps": 1, "questions": 0}])
def test_nothing_to_do_is_refused(tmp_path, numbers):
    with pytest.raises(ConfigError, match="must be at least 1"):
        run_demo(tmp_path, **numbers, seed=0, on_progress=keep_quiet)
