"""How far a command is, on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable


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
