"""Import a library when it is needed, and without its types.

`datasets` and `pyarrow` take a second to import, and type themselves too loosely to check against.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def import_untyped(name: str) -> Any:
    """Import a module by name, as a value that type checkers do not look into.

    Args:
        name: the module, as in an import statement.
    """
    return import_module(name)
