"""`vapo claims stats`."""

from __future__ import annotations

import argparse
from pathlib import Path

from vapo.cli.parser import RAW, Commands


def add_stats(group: Commands) -> None:
    parser = group.add_parser(
        "stats",
        help="what a store holds, what it cost, and how good it is as far as that is known",
        description="Count what a store of claims holds, what was rejected and why, and what it cost; and tell what "
        "audits and reviews have found so far.",
        epilog="example: vapo claims stats claims.db",
        formatter_class=RAW,
    )
    parser.add_argument("store", type=Path, help="the store")
    parser.set_defaults(command=stats)


def stats(options: argparse.Namespace) -> int:
    from vapo.claims.contents import count_contents, format_contents
    from vapo.claims.quality.quality import format_quality, measure_quality
    from vapo.claims.store.store import Store

    with Store(options.store) as store:
        print(format_contents(count_contents(store)))
        print(format_quality(measure_quality(store)))
    return 0
