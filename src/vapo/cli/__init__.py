"""The command line: parse, call, print. Whatever is slow to import is imported inside the command that needs it."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence

from vapo.api.redaction import redact
from vapo.cli import (
    check,
    claims,
    compare,
    data,
    demo,
    diagnose,
    evaluate,
    export,
    lab,
    plan,
    recipes,
    report,
    train,
    verl,
)
from vapo.cli.parser import RAW, Parser
from vapo.cli.terminal import plain_output
from vapo.core.control_characters import show_controls
from vapo.errors import VapoError
from vapo.versions import OWN, report_untested

Command = Callable[[argparse.Namespace], int]
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0 done, 1 refused with a reason, 2 misused, 130 interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["train"]:  # TRL's own parser reads this command's options
        return _report_errors(_train, words[1:])
    return run_command(build_parser(), words)


def run_command(parser: Parser, words: Sequence[str]) -> int:
    """Parse words, run the command they name and return its exit status, as `main` does."""
    return _report_errors(_parse_and_run, parser, words)


def _train(words: Sequence[str]) -> int:
    if {"-h", "--help"} & set(words):
        train.print_help()
        return 0
    report_untested(print_note)
    return train.train(words)


def _parse_and_run(parser: Parser, words: Sequence[str]) -> int:
    options = parser.parse_args(words)
    report_untested(print_note)
    command: Command = options.command
    with plain_output():
        return command(options)


def _report_errors(run: Callable[..., int], *arguments: object) -> int:
    # peft and TRL call by names that transformers 5.23 calls old: nothing that a user could fix.
    warnings.filterwarnings("ignore", r"`(is_)?gradient_checkpointing\w*` is deprecated", FutureWarning)
    try:
        return run(*arguments)
    except VapoError as error:
        print(f"vapo: {show_controls(redact(str(error)))}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.filename is None:
            raise
        place = show_controls(str(error.filename))
        print(f"vapo: {place}: {error.strerror}; choose another place or fix this one", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nvapo: interrupted; the same command goes on where this one stopped", file=sys.stderr)
        return INTERRUPTED


def print_note(sentence: str) -> None:
    """Print what a person should know beside what a command prints."""
    print(f"vapo: {sentence}", file=sys.stderr)


def build_parser() -> Parser:
    """Return the parser of all commands; `vapo train` is listed here and parsed by TRL's parser."""
    parser = Parser(
        prog="vapo",
        description="Train vision-language models to reason without forgetting to look, and see whether they do.",
        epilog="example: vapo demo\nThe word 'lab' stands for the shipped model or data wherever one is asked for.",
        formatter_class=RAW,
    )
    parser.add_argument("--version", action="version", version=f"vapo {OWN}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    train.add_train(commands)
    recipes.add_recipes(commands)
    plan.add_plan(commands)
    check.add_check(commands)
    evaluate.add_evaluate(commands)
    compare.add_compare(commands)
    diagnose.add_diagnose(commands)
    report.add_report(commands)
    export.add_export(commands)
    demo.add_demo(commands)
    data.add_data(commands)
    claims.add_claims(commands)
    verl.add_verl(commands)
    lab.add_lab(commands)
    return parser
