"""Tables in the docs that scripts write: each stands between `<!-- table: NAME -->` and `<!-- end -->`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_TABLE = re.compile(r"(<!-- table: ([^\n]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill_tables(text: str, tables: Mapping[str, Callable[[], str]]) -> str:
    """Return a page with its tables written anew. Raises KeyError for a table of an unknown name."""
    return _TABLE.sub(lambda found: f"{found[1]}\n{tables[found[2]]()}\n\n{found[3]}", text)
