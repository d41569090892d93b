"""`vapo data grade`: see how answers are graded before a run is."""

from __future__ import annotations

import argparse
from pathlib import Path

from vapo.cli.parser import RAW, Commands


def add_grade(commands: Commands) -> None:
    parser = commands.add_parser(
        "grade",
        help="which answers are equal to their references, by which rule, and why not",
        description="Compare answers with references as the accuracy reward does, and say for each pair whether they "
        "are equal, by which rule, and why not. A column `options` may list the texts behind A, B, ...",
        epilog="example: vapo data grade pairs.csv --answer response --reference answer",
        formatter_class=RAW,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="Parquet, JSON Lines, CSV or TSV file")
    parser.add_argument("--answer", default="answer", metavar="COLUMN", help="(default: answer)")
    parser.add_argument("--reference", default="reference", metavar="COLUMN", help="(default: reference)")
    parser.set_defaults(command=grade)


def grade(options: argparse.Namespace) -> int:
    from vapo.data.answer_pairs import format_pairs, grade_pairs

    pairs = grade_pairs(options.file, answer_column=options.answer, reference_column=options.reference)
    print(format_pairs(pairs))
    return 0
