"""How commands are parsed: what is wrong is said in one sentence."""

from __future__ import annotations

import argparse
from collections.abc import Container, Mapping
from types import MappingProxyType
from typing import Any, NoReturn, TypeAlias

from vapo.errors import suggest_nearest

RAW = argparse.RawDescriptionHelpFormatter


class Parser(argparse.ArgumentParser):
    """Say what is wrong in one sentence, with where to look, and exit with status 2.

    Attributes:
        moved: commands that it had, with what to run in their place.
    """

    moved: Mapping[str, str] = MappingProxyType({})

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride] (it has overloads)
        self, args: Any = None, namespace: Any = None
    ) -> Any:
        """Parse words as argparse does, with options spelled with dashes or underscores; refuse what is unknown.

        The first word may not be a command that is elsewhere now. An unknown option is refused here, by the command
        that it was given to, and not by the parser of all commands.
        """
        words = list(args or ())
        for name in words[:1]:
            if name in self.moved:
                self.error(f"{name} is elsewhere now: run `{self.moved[name]}` in a checkout of the repository")
        known = self._option_string_actions
        parsed, unknown = super().parse_known_args([_spell(word, known) for word in words], namespace)
        if unknown:
            nearest = suggest_nearest(_split_value(unknown[0])[0], [name for name in known if name.startswith("--")])
            self.error(f"unrecognized arguments: {' '.join(unknown)}{nearest}")
        return parsed, unknown

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def _split_value(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    return name, equals + value


def _spell(word: str, known: Container[str]) -> str:
    """Return an option as it is declared: `--image_folder=x` is `--image-folder=x`."""
    name, value = _split_value(word)
    dashed = name.replace("_", "-")
    return dashed + value if name.startswith("--") and name not in known and dashed in known else word


class Renamed(argparse.Action):
    """An option by the name that it no longer has: an error that says the new one, `const`."""

    def __call__(self, parser: argparse.ArgumentParser, *given: object) -> NoReturn:
        parser.error(f"{given[-1]} is called {self.const} now")


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
"""Where a command adds its parser."""
