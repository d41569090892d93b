"""`vapo train`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vapo.cli.parser import Commands


def add_train(commands: Commands) -> None:
    commands.add_parser("train", help="train a model with VAPO or GRPO", add_help=False)


def train(arguments: Sequence[str]) -> int:
    from vapo.engines.trl.launch import launch, wants_launch
    from vapo.engines.trl.options import parse_launch, parse_run
    from vapo.engines.trl.run import leave_other_processes
    from vapo.engines.trl.run import train as run
    from vapo.lab.shipped import resolve_data, resolve_model

    processes = parse_launch(arguments)
    if wants_launch(processes):
        return launch(processes, arguments)
    options = parse_run(arguments)
    options = replace(options, model_name=resolve_model(options.model_name), source=resolve_data(options.source))
    finished = run(options)
    if options.training.process_index == 0:
        print(f"{finished.steps} steps done ({finished.new_steps} of them now); the policy is in {finished.folder}")
    leave_other_processes()
    return 0
