"""Write what the docs list of options, presets, recipes and commands from the code: `python docs/list_options.py`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from filled_tables import fill_tables
from trl import GRPOConfig

from vapo.algorithms.registry import BUILT_IN, find_algorithm
from vapo.algorithms.vapo import VAPO
from vapo.cli import build_parser
from vapo.cli.data_options import add_data_options
from vapo.cli.parser import Parser, Renamed
from vapo.core.rewards import PRESETS, Preset
from vapo.data.options import DataOptions
from vapo.training.config import VAPOConfig
from vapo.training.launch import LaunchOptions
from vapo.training.recipes import list_recipes

PAGES = ("training.md", "methods.md", "many_gpus.md", "readings.md", "recipes.md", "commands.md")
PARSED_BY_TRL = "vapo train"  # its options are those of a run, which have tables of their own
PLACES: dict[Any, str] = {int: "N", float: "X", Path: "PATH"}


def list_own_options() -> str:
    """Return a table of the options of VAPOConfig that are not TRL's alone: which method, its own, TRL's changed."""
    shared = {field.name for field in fields(GRPOConfig)}
    methods = [field.name for field in fields(VAPO)]
    own = [field for field in fields(VAPOConfig) if field.name in (*VAPOConfig.__annotations__, *methods)]
    choices = ("algorithm", "algorithm_options", "preset")
    ordered = sorted(own, key=lambda field: (field.name not in choices, field.name in shared))
    return write_table(("Option", "Default", "Meaning"), (describe_field(field) for field in ordered))


def list_data_options() -> str:
    """Return a table of the options of `vapo train` that say what to train on."""
    return write_table(("Option", "Default", "Meaning"), (describe_field(field) for field in fields(DataOptions)))


def list_launch_options() -> str:
    """Return a table of the options of `vapo train` that say how its processes are started."""
    return write_table(("Option", "Default", "Meaning"), (describe_field(field) for field in fields(LaunchOptions)))


def list_presets() -> str:
    """Return a table of the settings that each preset stands for."""
    names = list(PRESETS)
    rows = ([f"`{f.name}`", *(f"`{getattr(PRESETS[name], f.name)}`" for name in names)] for f in fields(Preset))
    return write_table(("Setting", *(f"`{name}`" for name in names)), rows)


def list_method_presets() -> str:
    """Return a table of what each preset of a method other than VAPO sets."""
    found = {name: find_algorithm(name).presets for name in BUILT_IN}
    rows = (
        [f"`{name}`", f"`{preset}`", ", ".join(f"`{option}: {value}`" for option, value in settings.items())]
        for name, presets in found.items()
        for preset, settings in presets.items()
    )
    return write_table(("Method", "Preset", "Sets"), rows)


def list_shipped_recipes() -> str:
    """Return a table of the run files that come with vapo."""
    rows = ([f"`{recipe.name}`", recipe.title.rstrip(".")] for recipe in list_recipes())
    return write_table(("Name", "What it trains"), rows)


def list_commands() -> str:
    """Return a section for every command but `vapo train`: what it does, its example, and its arguments."""
    parsers = [parser for parser in find_commands(build_parser()) if parser.prog != PARSED_BY_TRL]
    return "\n\n".join(map(describe_command, parsers))


def list_naming_options() -> str:
    """Return a table of the options that commands share to say what is where in their data."""
    rows = ([name_argument(action), explain(action)] for action in make_naming_parser()._actions)
    return write_table(("Argument", "Meaning"), rows)


def make_naming_parser() -> Parser:
    """Return a parser of the options that say what is where in a data set, whichever command reads it."""
    parser = Parser(add_help=False)
    add_data_options(parser, split="")
    own = ("--data", "--split")  # these differ from command to command
    parser._actions = [action for action in parser._actions if action.option_strings[-1] not in own]
    return parser


def find_commands(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """Return the parsers that run something, in the order in which they were added."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        return [parser]
    return [command for group in groups for own in group.choices.values() for command in find_commands(own)]


def describe_command(parser: argparse.ArgumentParser) -> str:
    """Return a section about one command."""
    examples = re.findall(r"^(?:example:)?\s*(vapo .*)$", parser.epilog or "", re.MULTILINE)
    shown = "\n".join(f"$ {example}" for example in examples)
    naming = {action.option_strings[-1] for action in make_naming_parser()._actions}
    hidden = (argparse._HelpAction, Renamed)
    actions = [action for action in parser._actions if not isinstance(action, hidden)]
    own = [action for action in actions if not naming & set(action.option_strings)]
    table = write_table(("Argument", "Meaning"), ([name_argument(action), explain(action)] for action in own))
    parts = [f"## {parser.prog}", parser.description or "", f"```console\n{shown}\n```", table]
    if len(own) < len(actions):
        parts.append("And the options for [reading data](#reading-data).")
    return "\n\n".join(parts)


def name_argument(action: argparse.Action) -> str:
    """Return an argument as it is typed, with what stands for its value."""
    if action.choices is not None:
        value = "|".join(map(str, action.choices))
    elif isinstance(action.metavar, tuple):
        value = " ".join(action.metavar)
    else:
        value = action.metavar or PLACES.get(action.type, "TEXT")
        value = " ".join([value] * action.nargs) if isinstance(action.nargs, int) else value
    if action.option_strings:
        shown = action.option_strings[-1] + (f" {value}" if value else "")
    else:
        name = action.metavar or action.dest.upper()
        shown = {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} ..."}.get(str(action.nargs), str(name))
    return f"`{escape(shown)}`"


def explain(action: argparse.Action) -> str:
    """Return what an argument means, as its help says."""
    text = argparse.HelpFormatter("vapo")._expand_help(action) if action.help else ""
    return escape(text).replace("<", "&lt;")


TABLES: dict[str, Callable[[], str]] = {
    "own options": list_own_options,
    "data options": list_data_options,
    "launch options": list_launch_options,
    "presets": list_presets,
    "method presets": list_method_presets,
    "recipes": list_shipped_recipes,
    "commands": list_commands,
    "columns": list_naming_options,
}


def describe_field(field: Any) -> list[str]:
    """Return the name, default and help text of a dataclass field."""
    default = "" if field.default is None else f"`{field.default!r}`"
    return [f"`{field.name}`", default, escape(field.metadata["help"])]


def escape(text: str) -> str:
    """Return text that does not end a cell of a table."""
    return text.replace("|", "\\|")


def write_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *map(list, rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def fill_page(text: str) -> str:
    """Return a page with its lists written anew."""
    return fill_tables(text, TABLES)


if __name__ == "__main__":
    for name in PAGES:
        page = Path(__file__).parent / name
        page.write_text(fill_page(page.read_text(encoding="utf-8")), encoding="utf-8")
