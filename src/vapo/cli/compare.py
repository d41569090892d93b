"""`vapo compare`."""

from __future__ import annotations

import argparse
from pathlib import Path

from vapo.cli.parser import RAW, Commands


def add_compare(commands: Commands) -> None:
    parser = commands.add_parser(
        "compare",
        help="put a suite's scores beside the published ones, or two models side by side, paired by question",
        description="Read the answers in a folder that `vapo evaluate --suite` wrote, or lmms-eval (--log_samples). "
        "Of one folder, print its scores beside the published ones; of two, the second's less the first's on the "
        "questions that both answered, with intervals paired by question.",
        epilog="example: vapo compare runs/paper-grpo runs/paper-vapo",
        formatter_class=RAW,
    )
    parser.add_argument("first", type=Path, metavar="FOLDER", help="answers of a model")
    parser.add_argument("second", type=Path, nargs="?", metavar="OTHER", help="answers of another one")
    parser.add_argument("--suite", default="paper", metavar="NAME", help="that they are answers of (default: paper)")
    parser.add_argument("--seed", type=int, default=0, help="of the resampling (default: 0)")
    parser.set_defaults(command=compare)


def compare(options: argparse.Namespace) -> int:
    from vapo.evaluation.suite_runs.comparison import compare_answers
    from vapo.evaluation.suite_runs.result import read_result
    from vapo.evaluation.suite_runs.table import format_differences, format_result
    from vapo.evaluation.suites.answers import read_answers
    from vapo.evaluation.suites.suite import find_suite

    suite = find_suite(options.suite)
    if options.second is None:
        print(format_result(suite, read_result(options.first, suite, seed=options.seed)))
        return 0
    folders = (options.first, options.second)
    first, second = (read_answers(folder) for folder in folders)
    differences = compare_answers(suite, first, second, seed=options.seed)
    print(format_differences(suite, [str(folder) for folder in folders], differences))
    return 0
