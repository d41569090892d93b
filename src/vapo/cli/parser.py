"""How commands are parsed: what is wrong is said in one sentence."""

from __future__ import annotations

import argparse
from typing import NoReturn, TypeAlias

RAW = argparse.RawDescriptionHelpFormatter


class Parser(argparse.ArgumentParser):
    """Say what is wrong in one sentence, with where to look, and exit with status 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`\n")


class Renamed(argparse.Action):
    """An option by the name that it no longer has: an error that says the new one, `const`."""

    def __call__(self, parser: argparse.ArgumentParser, *given: object) -> NoReturn:
        parser.error(f"{given[-1]} is called {self.const} now")


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
"""Where a command adds its parser."""
