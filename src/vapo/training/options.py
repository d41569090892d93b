"""The options of `vapo train`: what to train on, beside TRL's own options and VAPO's."""

from __future__ import annotations

import os
from argparse import ArgumentError
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from trl import ModelConfig, TrlParser, get_peft_config

from vapo.data.options import DataOptions
from vapo.errors import ConfigError
from vapo.training.config import VAPOConfig
from vapo.training.declared_options import DeclaredOption
from vapo.training.launch import LaunchOptions
from vapo.training.option_names import check_names, find_run_file, read_run_file, separate_config
from vapo.training.option_values import OptionValues
from vapo.training.run_file import check_run_file


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


@dataclass(frozen=True)
class GivenOptions:
    """What a command line and its run file give, read once.

    Attributes:
        parser: of all options of a run.
        words: of the command line, but for `--config`.
        config: what the run file holds but for `env`, in the types that the options have; empty without one.
        text: of the run file.
    """

    parser: TrlParser
    words: Sequence[str]
    config: Mapping[str, Any]
    text: str

    def parse_run(self) -> RunOptions:
        """Return the options of a run.

        Raises:
            ConfigError: a value cannot be converted, or the model or the data is missing.
        """
        data, training, model, launch = _parse(self.parser, self.words, self.config)
        model_name, source = model.model_name_or_path, data.data
        for value, name in ((model_name, "model_name_or_path"), (source, "data")):
            if not value:
                raise ConfigError(f"{name} is missing; pass --{name} (the word 'lab' stands for the shipped one)")
        targets = model.lora_target_modules
        if isinstance(targets, str) and targets != "all-linear" and targets.isidentifier():
            model.lora_target_modules = [targets]  # TRL makes a pattern of one name, which peft then finds nowhere
        return RunOptions(str(model_name), str(source), data, training, model, launch)

    def parse_launch(self) -> LaunchOptions:
        """Return how a run starts its processes, and leave the rest to these; raises ConfigError for values of it."""
        classes: Any = (LaunchOptions,)
        parser = TrlParser(classes, prog=self.parser.prog, exit_on_error=False)
        options, _ = _parse(parser, self.words, self.config, rest=True)
        return options


def parse_run(arguments: Sequence[str], prog: str = "vapo train") -> RunOptions:
    """Parse `--config run.yaml` and overrides, as `trl grpo` does.

    Raises:
        ConfigError: as `read_options` and `GivenOptions.parse_run`.
    """
    return read_options(arguments, prog).parse_run()


def read_options(arguments: Sequence[str], prog: str = "vapo train") -> GivenOptions:
    """Read a command line and its run file, and set the variables of the environment that the file sets.

    Raises:
        ConfigError: the file cannot be read or says what it may not, or an option is unknown (the nearest right one
            is named).
    """
    classes: Any = (DataOptions, VAPOConfig, ModelConfig, LaunchOptions)
    parser = TrlParser(classes, prog=prog, exit_on_error=False)
    known = sorted({action.dest for action in parser._actions} - {"help"})
    arguments = separate_config(arguments)
    check_names(arguments, known)
    values = OptionValues(parser, classes)
    if "--config" not in arguments:
        return GivenOptions(parser, values.split_lists(arguments), {}, "")
    place, path = arguments.index("--config") + 1, find_run_file(arguments)
    config, text = read_run_file(path, known)
    check_run_file(path, config)
    os.environ.update({str(name): str(value) for name, value in (config.pop("env", None) or {}).items()})
    rest = [*arguments[: place - 1], *arguments[place + 1 :]]
    return GivenOptions(parser, values.split_lists(rest), values.convert(config, path), text)


def import_run_options() -> list[DeclaredOption]:
    """Return the options of `vapo train` as its parser has them."""
    parser = read_options([]).parser
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
