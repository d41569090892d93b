"""How a run starts its processes; `test_run.py` starts two for real."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
import yaml
from accelerate.commands.config.config_args import load_config_from_file

from vapo.errors import ConfigError
from vapo.training import launch as launching
from vapo.training.launch import (
    CONFIGURATIONS,
    SET_BY_LAUNCHERS,
    LaunchOptions,
    find_configuration,
    launch,
    wants_launch,
)
from vapo.training.options import read_options

NAMES = {"fsdp2": "FSDP", "zero2": "DEEPSPEED", "zero3": "DEEPSPEED", "multi_gpu": "MULTI_GPU", "single_gpu": "NO"}


@pytest.fixture
def gpus(monkeypatch):
    """Make it seem that there are so many GPUs, and that DeepSpeed is installed."""
    monkeypatch.setattr(launching, "find_spec", lambda name: object())
    return lambda count: monkeypatch.setattr(torch.accelerator, "device_count", lambda: count)


@pytest.fixture
def launched(monkeypatch) -> list:
    """What accelerate was asked to launch, which it does not do here."""
    asked = []
    monkeypatch.setattr(launching, "launch_command", asked.append)
    return asked


def test_those_that_come_with_vapo_are_accelerates():
    assert {file.stem for file in CONFIGURATIONS.iterdir()} == NAMES.keys()
    for name, kind in NAMES.items():
        config = load_config_from_file(str(find_configuration(name)))
        assert config.distributed_type == kind and config.mixed_precision == "no"
    fsdp2 = load_config_from_file(str(find_configuration("fsdp2"))).fsdp_config
    assert fsdp2["fsdp_version"] == 2 and fsdp2["fsdp_state_dict_type"] == "FULL_STATE_DICT"


@pytest.mark.parametrize("name", NAMES)
def test_accelerate_is_asked_for_the_runs_processes(name, gpus, launched):
    gpus(4)
    count = 1 if name == "single_gpu" else 4
    assert launch(LaunchOptions(name, num_processes=count), ["--config", "run.yaml"]) == 0
    (args,) = launched
    assert (args.num_processes, args.num_machines, args.main_process_port) == (count, 1, 0)
    assert args.module and args.training_script == "vapo"
    assert args.training_script_args == ["train", "--config", "run.yaml"]


def test_there_are_as_many_as_gpus_on_all_machines(gpus, launched):
    gpus(4)
    options = LaunchOptions("fsdp2", num_machines=2, main_process_ip="10.0.0.1", main_process_port=29500)
    launch(options, [])
    (args,) = launched
    assert (args.num_processes, args.main_process_ip, args.main_process_port) == (8, "10.0.0.1", 29500)


@pytest.mark.parametrize(
    ("options", "num_gpus", "message"),
    [
        (LaunchOptions("fsdp1"), 2, "is neither a file nor one of fsdp2, .*; the nearest is 'fsdp2'"),
        (LaunchOptions("fsdp2"), 0, "'fsdp2' needs a GPU, and there is none; multi_gpu starts processes on CPUs, too"),
        (LaunchOptions("zero3"), 0, "'zero3' needs a GPU"),
        (LaunchOptions("single_gpu", num_processes=2), 2, "runs one process, not 2; use multi_gpu or fsdp2"),
        (LaunchOptions("fsdp2", num_processes=8), 4, r"this one has 4 GPU\(s\); a GPU takes one process"),
        (LaunchOptions("fsdp2", num_processes=-1), 4, "num_processes=-1 cannot be divided among num_machines=1"),
        (LaunchOptions("fsdp2", num_machines=2), 4, "need main_process_ip and main_process_port"),
    ],
)
def test_what_does_not_go_together_is_said(options, num_gpus, message, gpus, launched):
    gpus(num_gpus)
    with pytest.raises(ConfigError, match=message):
        launch(options, [])
    assert not launched


def test_without_deepspeed_zero_is_refused(gpus, launched, monkeypatch):
    gpus(2)
    monkeypatch.setattr(launching, "find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match="needs DeepSpeed, which is not installed: pip install deepspeed, or use fsdp2"
    ):
        launch(LaunchOptions("zero2"), [])


@pytest.mark.parametrize("text", ["a: [", "- a", "mixed_precision: bf16"])
def test_a_file_that_is_no_configuration_is_refused(text, tmp_path, gpus, launched):
    gpus(2)
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"mine\.yaml (is no|cannot be read as an) accelerate configuration"):
        launch(LaunchOptions(str(tmp_path / "mine.yaml")), [])


def test_a_run_file_may_name_it_and_the_command_line_wins(tmp_path):
    run = {"model_name_or_path": "m", "data": "d", "accelerate_config": "zero3", "num_processes": 8}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
    options = read_options(
        ["--config", str(tmp_path / "run.yaml"), "--num_processes", "2", "--num_anchors", "3"]
    ).parse_launch()
    assert (options.accelerate_config, options.num_processes) == ("zero3", 2)
    with pytest.raises(ConfigError, match="unknown option '--num_process'; the nearest is 'num_processes'"):
        read_options(["--num_process", "2"])


@pytest.mark.parametrize("name", SET_BY_LAUNCHERS)
def test_a_process_that_was_started_starts_none(name, monkeypatch):
    for variable in SET_BY_LAUNCHERS:
        monkeypatch.delenv(variable, raising=False)
    assert wants_launch(LaunchOptions("multi_gpu")) and not wants_launch(LaunchOptions())
    monkeypatch.setenv(name, "0")
    assert not wants_launch(LaunchOptions("multi_gpu"))


def test_a_failing_process_fails_the_command_with_what_it_said():
    words = ["train", "--accelerate_config", "single_gpu", "--data", "lab"]
    environment = {name: value for name, value in os.environ.items() if name not in SET_BY_LAUNCHERS}
    done = subprocess.run(
        [sys.executable, "-m", "vapo", *words], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("vapo: model_name_or_path is missing") == 1 and "Traceback" not in done.stderr
