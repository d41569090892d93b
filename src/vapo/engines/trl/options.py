"""The options of `vapo train`: what to train on, beside TRL's own options and VAPO's."""

from __future__ import annotations

import os
from argparse import ArgumentDefaultsHelpFormatter, ArgumentError, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import yaml
from trl import ModelConfig, TrlParser, get_peft_config

from vapo.algorithms.options import tell_unknown
from vapo.data.columns import DEFAULT_COLUMNS, Columns
from vapo.data.pictures import MAX_PIXELS
from vapo.engines.recipes import open_recipe
from vapo.engines.trl.config import VAPOConfig
from vapo.engines.trl.launch import LaunchOptions
from vapo.engines.trl.option_values import OptionValues
from vapo.engines.trl.run_file import check_run_file
from vapo.errors import ConfigError

EXAMPLE = """\
example:
  vapo train --config run.yaml --learning_rate 1e-5
  vapo train --config qwen2_5_vl_7b --data my.parquet    (a recipe; `vapo recipes` lists them)
  vapo train --config run.yaml --accelerate_config fsdp2 --num_processes 4

  where run.yaml holds any of these options:
    model_name_or_path: lab
    data: lab
    output_dir: runs/first
    num_generations: 8
    num_anchors: 8
    max_steps: 100
"""


@dataclass
class DataOptions:
    """What to train on."""

    data: str | None = field(
        default=None,
        metadata={"help": "A Hugging Face data set, a folder, a parquet or JSONL file, or 'lab'."},
    )
    data_split: str = field(default="train", metadata={"help": "Split of it to train on."})
    eval_split: str | None = field(default=None, metadata={"help": "Split of it to evaluate on, with eval_strategy."})
    question_column: str = field(default=DEFAULT_COLUMNS.question, metadata={"help": "Column of the question."})
    answer_column: str = field(default=DEFAULT_COLUMNS.answer, metadata={"help": "Column of the reference answer."})
    images_column: str = field(default=DEFAULT_COLUMNS.images, metadata={"help": "Column of the image or images."})
    claims_column: str = field(
        default=DEFAULT_COLUMNS.claims,
        metadata={"help": "Column of the claims; without it claim_1, label_1, ... are looked for."},
    )
    id_column: str | None = field(default=DEFAULT_COLUMNS.id, metadata={"help": "Column that names rows."})
    image_folder: str | None = field(default=None, metadata={"help": "Folder that image paths are relative to."})
    system_prompt: str | None = field(default=None, metadata={"help": "Text put before every question."})
    on_bad_row: Literal["error", "skip"] = field(default="error", metadata={"help": "What a bad row leads to."})
    allow_urls: bool = field(default=False, metadata={"help": "Fetch images from the web."})
    max_pixels: int = field(default=MAX_PIXELS, metadata={"help": "Largest image accepted, in pixels."})
    max_prompt_tokens: int | None = field(
        default=None,
        metadata={"help": "Leave out rows whose prompt has more tokens, those of its pictures included."},
    )
    limit: int | None = field(default=None, metadata={"help": "Use the first rows only."})

    @property
    def columns(self) -> Columns:
        """The columns to read."""
        return Columns(
            question=self.question_column,
            answer=self.answer_column,
            images=self.images_column,
            claims=self.claims_column,
            id=self.id_column,
        )


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
    parser, arguments, config = _read(arguments, prog)
    if {"-h", "--help"} & set(arguments):
        parser.print_help()
        parser.exit()
    classes: Any = (LaunchOptions,)
    options, _ = _parse(TrlParser(classes, prog=prog, exit_on_error=False), arguments, config, rest=True)
    return options


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
    parser = TrlParser(classes, prog=prog, epilog=EXAMPLE, exit_on_error=False)
    parser.formatter_class = _KeepExample
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
            raise ConfigError(f"{path}: unknown option {name!r}{tell_unknown(str(name), known)}")
    check_run_file(path, config)
    return config


def _check_names(arguments: Sequence[str], known: Sequence[str]) -> None:
    for argument in arguments:
        name = argument[2:].split("=")[0].replace("-", "_")
        negated = name.removeprefix("no_")
        if argument.startswith("--") and name not in ("config", "help", *known) and negated not in known:
            raise ConfigError(f"unknown option {argument!r}{tell_unknown(name, known)}")


class _KeepExample(ArgumentDefaultsHelpFormatter, RawDescriptionHelpFormatter):
    """Show defaults, and the example with its line breaks."""
