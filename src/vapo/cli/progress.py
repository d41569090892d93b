"""How far a command is, on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable


def show_progress(what: str) -> Callable[[int, int], None]:
    """Return a callback that shows how far `what` is, as one line on the terminal's error stream."""
    from tqdm import tqdm

    bar = tqdm(desc=what, total=0, leave=False, disable=not sys.stderr.isatty())

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done >= total:
            bar.close()

    return show
