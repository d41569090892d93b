"""How commands are parsed: what is wrong is said in one sentence."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn, TypeAlias

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
        """Parse words as argparse does, unless the first of them names a command that is elsewhere now."""
        for name in list(args or ())[:1]:
            if name in self.moved:
                self.error(f"{name} is elsewhere now: run `{self.moved[name]}` in a checkout of the repository")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`\n")


class Renamed(argparse.Action):
    """An option by the name that it no longer has: an error that says the new one, `const`."""

    def __call__(self, parser: argparse.ArgumentParser, *given: object) -> NoReturn:
        parser.error(f"{given[-1]} is called {self.const} now")


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
"""Where a command adds its parser."""
