"""The options of `vapo train`: what to train on, beside TRL's own options and VAPO's."""

from __future__ import annotations

import os
from argparse import ArgumentError
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from trl import ModelConfig, TrlParser, get_peft_config

from vapo.data.options import DataOptions
from vapo.engines.recipes import open_recipe
from vapo.engines.trl.config import VAPOConfig
from vapo.engines.trl.declared_options import DeclaredOption
from vapo.engines.trl.launch import LaunchOptions
from vapo.engines.trl.option_values import OptionValues
from vapo.engines.trl.run_file import check_run_file
from vapo.errors import ConfigError, tell_nearest


@dataclass(frozen=True)
class RunOptions:
    """All options of one run: which model, on which data, and how."""

    model_name: str
    source: str
    data: DataOptions
    training: VAPOConfig
    model: ModelConfig
    launch: LaunchOptions

    @property
    def adapters(self) -> Any:
        """peft's configuration of the adapters to train, if there are to be any.

        Raises:
            ConfigError: peft is missing.
        """
        if self.model.use_peft and find_spec("peft") is None:
            raise ConfigError("use_peft needs peft, which is not installed: pip install 'vapo[peft]'")
        return get_peft_config(self.model)


RENAMED = {"data_split": "split"}
"""Options by the names that they no longer have, with those that they have."""


def parse_run(arguments: Sequence[str], prog: str = "vapo train") -> RunOptions:
    """Parse `--config run.yaml` and overrides, as `trl grpo` does.

    Raises:
        ConfigError: the file cannot be read, an option is unknown (the nearest right one is named), a value cannot be
            converted, or the model or the data is missing.
    """
    parser, arguments, config = _read(arguments, prog)
    data, training, model, launch = _parse(parser, arguments, config)
    model_name, source = model.model_name_or_path, data.data
    for value, name in ((model_name, "model_name_or_path"), (source, "data")):
        if not value:
            raise ConfigError(f"{name} is missing; pass --{name} (the word 'lab' stands for the shipped one)")
    targets = model.lora_target_modules
    if isinstance(targets, str) and targets != "all-linear" and targets.isidentifier():
        model.lora_target_modules = [targets]  # TRL makes a pattern of one name, which peft then finds nowhere
    return RunOptions(str(model_name), str(source), data, training, model, launch)


def parse_launch(arguments: Sequence[str], prog: str = "vapo train") -> LaunchOptions:
    """Parse how a run starts its processes, and leave the rest to these.

    Raises:
        ConfigError: as `parse_run`, but for values that are none of the launch's.
    """
    _, arguments, config = _read(arguments, prog)
    classes: Any = (LaunchOptions,)
    options, _ = _parse(TrlParser(classes, prog=prog, exit_on_error=False), arguments, config, rest=True)
    return options


def import_run_options() -> list[DeclaredOption]:
    """Return the options of `vapo train` as its parser has them."""
    parser, _, _ = _read([], "vapo train")
    actions = {action.dest: action for action in reversed(parser._actions) if action.dest != "help"}  # not --no_NAME
    return [
        DeclaredOption(name, action.help or "", action.default, tuple(action.choices or ()))
        for name, action in reversed(actions.items())
    ]


def _parse(parser: Any, arguments: Sequence[str], config: Mapping[str, Any], *, rest: bool = False) -> Any:
    """Return the options, one object for each class of the parser; with `rest`, behind them what is not theirs."""
    parser.set_defaults_with_config(**config)
    try:
        return parser.parse_args_into_dataclasses(args=list(arguments), return_remaining_strings=rest)
    except (ArgumentError, ArithmeticError, ImportError, OSError, RuntimeError, ValueError, TypeError) as error:
        raise ConfigError(f"{parser.prog}: {error}") from error


def _read(arguments: Sequence[str], prog: str) -> tuple[TrlParser, list[str], dict[str, Any]]:
    """Return the parser of a run's options, the arguments but for `--config`, and what its file holds."""
    classes: Any = (DataOptions, VAPOConfig, ModelConfig, LaunchOptions)
    parser = TrlParser(classes, prog=prog, exit_on_error=False)
    known = sorted({action.dest for action in parser._actions} - {"help"})
    arguments = [word for a in arguments for word in (a.split("=", 1) if a.startswith("--config=") else [a])]
    _check_names(arguments, known)
    values = OptionValues(parser, classes)
    if "--config" not in arguments:
        return parser, values.split_lists(arguments), {}
    place = arguments.index("--config") + 1
    if place >= len(arguments):
        raise ConfigError("--config needs the path of a YAML file, or the name of a recipe")
    path = Path(arguments[place])
    if not path.exists() and not path.suffix and len(path.parts) == 1:
        path = open_recipe(str(path)).path
    config = _read_file(path, known)
    os.environ.update({str(name): str(value) for name, value in (config.pop("env", None) or {}).items()})
    rest = [*arguments[: place - 1], *arguments[place + 1 :]]
    return parser, values.split_lists(rest), values.convert(config, path)


def _read_file(path: Path, known: Sequence[str]) -> dict[str, Any]:
    """Return what a run file holds, with the names of its options checked."""
    try:
        config: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none is a ValueError
        raise ConfigError(f"{path} is not YAML: {error}") from error
    if not isinstance(config, dict):
        raise ConfigError(f"{path} must hold options as 'name: value' lines")
    for name in config:
        if name != "env" and name not in known:
            raise ConfigError(f"{path}: unknown option {name!r}{_tell_known(str(name), known)}")
    check_run_file(path, config)
    return config


def _check_names(arguments: Sequence[str], known: Sequence[str]) -> None:
    for argument in arguments:
        name = argument[2:].split("=")[0].replace("-", "_")
        negated = name.removeprefix("no_")
        if argument.startswith("--") and name not in ("config", "help", *known) and negated not in known:
            raise ConfigError(f"unknown option {argument!r}{_tell_known(name, known)}")


def _tell_known(name: str, known: Sequence[str]) -> str:
    return f"; it is called {RENAMED[name]!r} now" if name in RENAMED else tell_nearest(name, known)
