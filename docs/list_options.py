"""Write the tables in docs/training.md and docs/readings.md from the code: `python docs/list_options.py`.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; what is between them is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from trl import GRPOConfig

from vapo.core.rewards import PRESETS, Preset
from vapo.engines.trl.config import VAPOConfig
from vapo.engines.trl.options import DataOptions

PAGES = ("training.md", "readings.md")


def list_own_options() -> str:
    """Return a table of the options that VAPOConfig declares itself."""
    shared = {field.name for field in fields(GRPOConfig)}
    own = [field for field in fields(VAPOConfig) if field.name in VAPOConfig.__annotations__]
    new_ones_first = sorted(own, key=lambda field: field.name in shared)
    return write_table(("Option", "Default", "Meaning"), (describe_field(field) for field in new_ones_first))


def list_data_options() -> str:
    """Return a table of the options of `vapo train` that say what to train on."""
    return write_table(("Option", "Default", "Meaning"), (describe_field(field) for field in fields(DataOptions)))


def list_presets() -> str:
    """Return a table of the settings that each preset stands for."""
    names = list(PRESETS)
    rows = ([f"`{f.name}`", *(f"`{getattr(PRESETS[name], f.name)}`" for name in names)] for f in fields(Preset))
    return write_table(("Setting", *(f"`{name}`" for name in names)), rows)


TABLES: dict[str, Callable[[], str]] = {
    "own options": list_own_options,
    "data options": list_data_options,
    "presets": list_presets,
}


def describe_field(field: Any) -> list[str]:
    """Return the name, default and help text of a dataclass field."""
    default = "" if field.default is None else f"`{field.default!r}`"
    return [f"`{field.name}`", default, field.metadata["help"].replace("|", "\\|")]


def write_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *map(list, rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def fill_tables(text: str) -> str:
    """Return a page with its tables written anew. Raises KeyError for a table of an unknown name."""
    pattern = re.compile(r"(<!-- table: ([\w ]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
    return pattern.sub(lambda match: f"{match[1]}\n{TABLES[match[2]]()}\n\n{match[4]}", text)


if __name__ == "__main__":
    for name in PAGES:
        page = Path(__file__).parent / name
        page.write_text(fill_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
