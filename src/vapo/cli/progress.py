"""How far a command is, on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vapo.claims.making.counts import RunCounts


def show_progress(what: str) -> Callable[[int, int], None]:
    """Return a callback that shows how far `what` is, as one line on the terminal's error stream.

    What is done at the first call was done by an earlier command and does not count for the speed.
    """
    from tqdm import tqdm

    bar = tqdm(desc=what, total=0, leave=False, disable=not sys.stderr.isatty())

    def show(done: int, total: int) -> None:
        if bar.total != total:
            bar.initial = bar.n = done
        bar.total = total
        bar.update(done - bar.n)
        if done >= total:
            bar.close()

    return show


def show_counts(what: str) -> Callable[[RunCounts], None]:
    """Return a callback that shows how far the making of claims is, with its rate, its cost and the time left."""
    from tqdm import tqdm

    from vapo.claims.making.counts import describe_progress

    bar = tqdm(desc=what, leave=False, disable=not sys.stderr.isatty())

    def show(counts: RunCounts) -> None:
        bar.total = counts.total
        bar.set_postfix_str(describe_progress(counts), refresh=False)
        bar.update(counts.done - bar.n)

    return show
