"""A run's own processes: started by accelerate's launcher, with a configuration that comes with vapo or one's own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate.commands.launch import launch_command, launch_command_parser
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from vapo.errors import ConfigError, suggest_nearest

CONFIGURATIONS = Path(__file__).parent / "accelerate_configs"
SET_BY_LAUNCHERS = ("LOCAL_RANK", "ACCELERATE_DYNAMO_BACKEND")
"""Variables that torchrun and `accelerate launch` give to every process they start."""


@dataclass
class LaunchOptions:
    """How a run starts its processes."""

    accelerate_config: str | None = field(
        default=None,
        metadata={
            "help": "Start the run's processes with accelerate: fsdp2, zero2, zero3, multi_gpu, single_gpu, or the "
            "path of an accelerate configuration."
        },
    )
    num_processes: int | None = field(
        default=None, metadata={"help": "How many, over all machines; default: the GPUs of this one."}
    )
    num_machines: int = field(default=1, metadata={"help": "On how many machines."})
    machine_rank: int = field(default=0, metadata={"help": "Number of this machine; 0 is the main one."})
    main_process_ip: str | None = field(default=None, metadata={"help": "Address of the main machine."})
    main_process_port: int | None = field(default=None, metadata={"help": "A free port of the main machine."})


def wants_launch(options: LaunchOptions) -> bool:
    """Return whether processes are to be started; those that a launcher has started start none."""
    return options.accelerate_config is not None and not any(name in os.environ for name in SET_BY_LAUNCHERS)


def launch(options: LaunchOptions, arguments: Sequence[str]) -> int:
    """Run `vapo train` in the processes that `options` describe, and return its exit status.

    Args:
        options: with an `accelerate_config`.
        arguments: of `vapo train`, handed to every process.

    Raises:
        ConfigError: there is no such configuration, what it needs is missing, or the numbers do not go together.
    """
    file = find_configuration(str(options.accelerate_config))
    count = options.num_processes or max(torch.accelerator.device_count(), 1) * options.num_machines
    check_configuration(file, options, count)
    words = ["--config_file", str(file), "--num_processes", str(count), "--num_machines", str(options.num_machines)]
    words += ["--machine_rank", str(options.machine_rank)]
    # Without a port, accelerate takes a fixed one, and complains where another run has it.
    port = options.main_process_port or (0 if options.num_machines == 1 else None)
    words += ["--main_process_port", str(port)] if port is not None else []
    words += ["--main_process_ip", options.main_process_ip] if options.main_process_ip else []
    try:
        launch_command(
            launch_command_parser().parse_args([*words, "--quiet", "--module", "vapo", "train", *arguments])
        )
    except ChildFailedError:  # it has said why, as a single process does, for which --quiet does the same
        return 1
    return 0


def find_configuration(name: str) -> Path:
    """Return the file of a configuration that comes with vapo, or the one at a path.

    Raises:
        ConfigError: there is neither; the nearest name is told.
    """
    path = Path(name)
    if path.is_file():
        return path
    shipped = {file.stem: file for file in sorted(CONFIGURATIONS.glob("*.yaml"))}
    if name in shipped:
        return shipped[name]
    nearest = suggest_nearest(name, shipped, closeness=0.6)
    raise ConfigError(f"accelerate_config={name!r} is neither a file nor one of {', '.join(shipped)}{nearest}")


def check_configuration(file: Path, options: LaunchOptions, count: int) -> None:
    """Refuse what would fail, or run otherwise than it says, once processes have been started.

    Args:
        file: an accelerate configuration.
        options: of the launch.
        count: of processes, over all machines.

    Raises:
        ConfigError: the file is none, DeepSpeed or GPUs are missing, or the numbers do not go together.
    """
    kind, num_gpus = read_kind(file), torch.accelerator.device_count()
    name = options.accelerate_config
    if count < 1 or count % options.num_machines:
        raise ConfigError(f"num_processes={count} cannot be divided among num_machines={options.num_machines}")
    if options.num_machines > 1 and not (options.main_process_ip and options.main_process_port):
        raise ConfigError(
            "several machines need main_process_ip and main_process_port, the same on each, and machine_rank"
        )
    if kind == "NO" and count > 1:
        raise ConfigError(f"accelerate_config={name!r} runs one process, not {count}; use multi_gpu or fsdp2")
    if kind == "DEEPSPEED" and find_spec("deepspeed") is None:
        raise ConfigError(
            f"accelerate_config={name!r} needs DeepSpeed, which is not installed: pip install deepspeed, or use fsdp2"
        )
    if kind in ("FSDP", "DEEPSPEED") and num_gpus == 0:
        raise ConfigError(
            f"accelerate_config={name!r} needs a GPU, and there is none; multi_gpu starts processes on CPUs, too"
        )
    if num_gpus and count // options.num_machines > num_gpus:
        raise ConfigError(
            f"num_processes={count} on {options.num_machines} machine(s), but this one has {num_gpus} GPU(s); a GPU "
            "takes one process"
        )


def read_kind(file: Path) -> str:
    """Return an accelerate configuration's `distributed_type`.

    Raises:
        ConfigError: the file is none.
    """
    try:
        config: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{file} cannot be read as an accelerate configuration: {error}") from error
    if not isinstance(config, dict) or "distributed_type" not in config:
        raise ConfigError(
            f"{file} is no accelerate configuration: it has no distributed_type; `accelerate config` asks"
        )
    return str(config["distributed_type"])
