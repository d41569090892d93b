"""`vapo compare`."""

from __future__ import annotations

import argparse
from pathlib import Path

from vapo.cli.parser import RAW, Commands


def add_compare(commands: Commands) -> None:
    parser = commands.add_parser(
        "compare",
        help="put two evaluations side by side, paired by question, or a suite's scores beside the published ones",
        description="Read what `vapo evaluate --out` wrote, on your own data or of a suite, or lmms-eval "
        "(--log_samples). Of two folders, print the second's numbers less the first's on the questions that both "
        "answered, with intervals paired by question; of one, its numbers, a suite's beside the published ones.",
        epilog="example: vapo compare runs/before runs/after\n         vapo compare runs/paper-grpo runs/paper-vapo",
        formatter_class=RAW,
    )
    parser.add_argument("first", type=Path, metavar="FOLDER", help="evaluation of a model")
    parser.add_argument("second", type=Path, nargs="?", metavar="OTHER", help="answers of another one")
    parser.add_argument(
        "--suite", metavar="NAME", help="that answers are of (default: the first that has all of their benchmarks)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the resampling (default: 0)")
    parser.set_defaults(command=compare)


def compare(options: argparse.Namespace) -> int:
    from vapo.diagnosis.report import format_evaluation
    from vapo.errors import ConfigError
    from vapo.evaluation.paired_evaluations import format_changes, is_evaluation, load_evaluation, pair_evaluations
    from vapo.evaluation.suite_runs.comparison import compare_answers
    from vapo.evaluation.suite_runs.result import read_result
    from vapo.evaluation.suite_runs.sampled_comparison import compare_samples
    from vapo.evaluation.suite_runs.table import format_differences, format_result
    from vapo.evaluation.suites.answers import read_answers
    from vapo.evaluation.suites.suite import find_suite, find_suite_of

    folders = [folder for folder in (options.first, options.second) if folder is not None]
    own = [is_evaluation(folder) for folder in folders]
    if any(own) and not all(own):
        raise ConfigError(
            f"{folders[own.index(True)]} holds an evaluation of own data and {folders[own.index(False)]} does not; "
            "compare two of a kind"
        )
    if all(own):
        evaluations = [load_evaluation(folder) for folder in folders]
        if options.second is None:
            print(format_evaluation(evaluations[0]))
        else:
            names = [str(folder) for folder in folders]
            print(format_changes(names, pair_evaluations(*evaluations, seed=options.seed)))
        return 0
    answers = [read_answers(folder) for folder in folders]
    names = {answer.benchmark for own in answers for answer in own}
    suite = find_suite_of(names) if options.suite is None else find_suite(options.suite)
    if options.second is None:
        print(format_result(suite, read_result(options.first, suite, *answers, seed=options.seed)))
        return 0
    differences = compare_answers(suite, *answers, seed=options.seed)
    sampled = compare_samples(suite, *answers, seed=options.seed)
    print(format_differences(suite, [str(folder) for folder in folders], differences, sampled))
    return 0
