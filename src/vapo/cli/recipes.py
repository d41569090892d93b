"""`vapo recipes`."""

from __future__ import annotations

import argparse

from vapo.cli.parser import RAW, Commands


def add_recipes(commands: Commands) -> None:
    parser = commands.add_parser(
        "recipes",
        help="list the run files that come with vapo, or print one",
        description="List the run files that come with vapo. With a name, print that one: save it, change what is "
        "yours, and train with it. `vapo train --config` takes the names themselves as well.",
        epilog="example: vapo recipes qwen2_5_vl_7b > run.yaml",
        formatter_class=RAW,
    )
    parser.add_argument("name", nargs="?", help="a recipe; without it, all are listed")
    parser.set_defaults(command=recipes)


def recipes(options: argparse.Namespace) -> int:
    from vapo.training.recipes import format_recipes, open_recipe

    print(format_recipes() if options.name is None else open_recipe(options.name).text.rstrip())
    return 0
