"""The names of a run's options, on a command line and in its file, looked at before TRL is imported to read values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from vapo.algorithms.options import describe_unknown
from vapo.errors import ConfigError
from vapo.training.declared_options import UnreadableSourceError, read_run_options
from vapo.training.recipes import open_recipe


def check_words(arguments: Sequence[str]) -> None:
    """Refuse an option that no run has, on the command line of `vapo train` or in the file that it names.

    Where the names cannot be told from the sources alone, nothing is refused here.

    Raises:
        ConfigError: an option is unknown (the nearest right one is named), or the file cannot be read.
    """
    try:
        known = [option.name for options in read_run_options().values() for option in options]
    except UnreadableSourceError:
        return
    words = separate_config(arguments)
    check_names(words, known)
    if "--config" in words:
        read_run_file(find_run_file(words), known)


def check_changes(run: str, changes: Sequence[str]) -> None:
    """Refuse what `check_words` does of a planned run: a file or recipe, and options in place of its own.

    Raises:
        ConfigError: likewise.
    """
    check_words(["--config", run, *(f"--{change.partition('=')[0]}" for change in changes)])


def separate_config(arguments: Sequence[str]) -> list[str]:
    """Return the words with `--config=FILE` as two of them."""
    return [word for a in arguments for word in (a.split("=", 1) if a.startswith("--config=") else [a])]


def find_run_file(words: Sequence[str]) -> Path:
    """Return the file behind `--config`: a path, or that of a recipe. Raises ConfigError if there is none."""
    place = words.index("--config") + 1
    if place >= len(words):
        raise ConfigError("--config needs the path of a YAML file, or the name of a recipe")
    path = Path(words[place])
    if not path.exists() and not path.suffix and len(path.parts) == 1:
        return open_recipe(str(path)).path
    return path


def read_run_file(path: Path, known: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Return what a run file holds, with the names of its options checked, and its text.

    Raises:
        ConfigError: it cannot be read, or an option is none of those known.
    """
    try:
        text = path.read_text(encoding="utf-8")
        config: Any = yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none is a ValueError
        raise ConfigError(f"{path} is not YAML: {error}") from error
    if not isinstance(config, dict):
        raise ConfigError(f"{path} must hold options as 'name: value' lines")
    for name in config:
        if name != "env" and name not in known:
            raise ConfigError(f"{path}: unknown option {name!r}{describe_unknown(str(name), known)}")
    return config, text


def check_names(arguments: Sequence[str], known: Sequence[str]) -> None:
    """Raise ConfigError if an option on the command line is none of those known."""
    for argument in arguments:
        name = argument[2:].split("=")[0].replace("-", "_")
        negated = name.removeprefix("no_")
        if argument.startswith("--") and name not in ("config", "help", *known) and negated not in known:
            raise ConfigError(f"unknown option {argument!r}{describe_unknown(name, known)}")
