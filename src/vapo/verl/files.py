"""The files of a run on verl, and the commands that use them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vapo.errors import ConfigError
from vapo.training.options import RunOptions
from vapo.verl.derived import Derived, Machines, derive, derive_settings
from vapo.verl.obstacles import list_obstacles
from vapo.verl.parts import FILTERS
from vapo.verl.settings import AGENT_NAME, TARGET, LoopSettings

CONFIG, AGENT_LOOP, TRAIN_DATA, VALIDATION_DATA = "verl.yaml", "agent_loop.yaml", "train.parquet", "validation.parquet"
BUFFER = "pkg://vapo.verl.perception_buffer"

_HEAD = """\
# Made by `vapo verl config`: the run's options in verl's terms. Whatever verl's own files say besides is theirs.
# Change what is yours; `vapo verl check` reads it before a GPU does.
defaults:
  - ppo_trainer
  - _self_

"""
_AGENT_HEAD = """\
# Made by `vapo verl config`: what the agent loop 'vapo' is told. The names are those of `vapo train`.
"""


@dataclass(frozen=True, slots=True)
class VerlRun:
    """What a run on verl needs.

    Attributes:
        files: their texts, by the names they have in the run's folder.
        commands: what makes the data, checks the cluster and trains, in this order.
    """

    files: Mapping[str, str]
    commands: Sequence[str]


def plan_run(
    options: RunOptions, folder: Path, machines: Machines, *, given: Collection[str], sources: Mapping[str, str]
) -> VerlRun:
    """Return the files and commands of a run.

    Args:
        options: of the run.
        folder: where its files will be; every machine must find it under the same name.
        machines: what it is spread over.
        given: names of the options that the user or the recipe gave.
        sources: what the recipe says of where each of its values comes from.

    Raises:
        ConfigError: options have no counterpart on verl, or the batches do not fit the machines; all of it is told.
    """
    place = folder.absolute()
    derived = derive(options, machines)
    obstacles = list(list_obstacles(options, machines, given, derived))
    if obstacles:
        raise ConfigError("\n  ".join(["this run cannot go to verl as it is:", *obstacles]))
    validates = options.data.eval_split is not None
    derived += [
        Derived("data.train_files", str(place / TRAIN_DATA)),
        Derived(
            "data.val_files",
            str(place / (VALIDATION_DATA if validates else TRAIN_DATA)),
            ("eval_split",),
            "" if validates else "verl wants a file; without eval_split it validates on none of it",
        ),
        Derived("actor_rollout_ref.rollout.agent.agent_loop_config_path", str(place / AGENT_LOOP)),
        Derived("trainer.default_local_dir", str(place / "checkpoints")),
        Derived("trainer.v1.sampler.custom_sampler.path", BUFFER, (), "puts perception into the trainer's log"),
        Derived("trainer.v1.sampler.custom_sampler.name", "make_perception_buffer"),
        Derived(
            "trainer.v1.sampler.sampler_kwargs.filter_groups_metric", FILTERS.get(options.training.dynamic_sampling)
        ),
        Derived("trainer.v1.sampler.sampler_kwargs.train_batch_size", _find(derived, "data.train_batch_size")),
    ]
    files = {
        CONFIG: _HEAD + write_tree(derived, sources),
        AGENT_LOOP: _AGENT_HEAD + write_agent_loop(derive_settings(options)),
    }
    return VerlRun(files, write_commands(options, folder, validates=validates))


def write_agent_loop(settings: LoopSettings) -> str:
    """Return the text of an agent-loop file."""
    entry = {"name": AGENT_NAME, "_target_": TARGET, **settings.as_dict()}
    return yaml.safe_dump([entry], sort_keys=False, allow_unicode=True, width=1000)


def write_tree(derived: Sequence[Derived], sources: Mapping[str, str]) -> str:
    """Return values as nested YAML, each with what it is made of beside it."""
    tree: dict[str, Any] = {}
    for one in derived:
        *parents, name = one.path.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[name] = one
    return "\n".join(_write_branch(tree, "", sources)) + "\n"


def _write_branch(branch: Mapping[str, Any], indent: str, sources: Mapping[str, str]) -> list[str]:
    lines: list[str] = []
    for name, under in branch.items():
        if isinstance(under, Derived):
            comment = _explain(under, sources)
            line = f"{indent}{name}: {json.dumps(under.value, ensure_ascii=False)}"
            lines.append(f"{line}  # {comment}" if comment else line)
        else:
            lines += [f"{indent}{name}:", *_write_branch(under, indent + "  ", sources)]
    return lines


def _explain(one: Derived, sources: Mapping[str, str]) -> str:
    options = [f"{option} ({sources[option]})" if option in sources else option for option in one.options]
    return "; ".join([*([" / ".join(options)] if options else []), *([one.why] if one.why else [])])


def read_sources(recipe: str) -> dict[str, str]:
    """Return what a run file says behind each of its values, by the value's name."""
    return {match[1]: match[2].strip() for match in re.finditer(r"^(\w+):.*?\s#\s(.*)$", recipe, re.MULTILINE)}


def write_commands(options: RunOptions, folder: Path, *, validates: bool) -> list[str]:
    """Return the commands that make the data, check the cluster, and train."""
    config = ["--config-dir", str(folder.absolute()), "--config-name", CONFIG.removesuffix(".yaml")]
    commands = [write_convert_command(options, options.data.split, folder / TRAIN_DATA)]
    if validates:
        split = str(options.data.eval_split)
        commands.append(write_convert_command(options, split, folder / VALIDATION_DATA) + " --validation")
    trust = ["--trust-remote-code"] if options.training.trust_remote_code else []
    commands.append(shlex.join(["vapo", "verl", "check", str(folder), *trust]))
    commands.append(shlex.join(["python", "-m", "verl.trainer.main_ppo", *config]))
    return commands


def write_convert_command(options: RunOptions, split: str, out: Path) -> str:
    """Return the command that writes one split of the data in verl's form."""
    data = options.data
    words = ["vapo", "verl", "convert", str(options.source), "--out", str(out), "--split", split]
    named = {
        "--question-column": (data.question_column, "problem"),
        "--answer-column": (data.answer_column, "answer"),
        "--images-column": (data.images_column, "images"),
        "--claims-column": (data.claims_column, "claims"),
        "--id-column": (data.id_column, "id"),
        "--image-folder": (data.image_folder, None),
        "--on-bad-row": (data.on_bad_row, "error"),
        "--limit": (data.limit, None),
        "--system-prompt": (data.system_prompt, None),
        "--processor": (options.model_name, None),
    }
    for flag, (value, default) in named.items():
        if value != default:
            words += [flag, str(value)]
    if options.training.trust_remote_code:
        words.append("--trust-remote-code")
    return shlex.join([*words, "--allow-urls"] if data.allow_urls else words)


def _find(derived: Sequence[Derived], path: str) -> Any:
    return next(one.value for one in derived if one.path == path)
