"""Functions of the user's own, found by the module or the file that they are in."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from vapo.errors import ConfigError


def load_function(name: str, *, what: str, example: str) -> Callable[..., Any]:
    """Return the function that `FILE.py:FUNCTION` or `MODULE:FUNCTION` names; a module may lie in the current folder.

    Args:
        name: as said.
        what: the function is, for errors.
        example: of such a name, for errors.

    Raises:
        ConfigError: there is no such file, module or function.
    """
    place, colon, function = name.rpartition(":")
    if not colon or not place or not function:
        raise ConfigError(f"the {what} {name!r} cannot be found; name it as {example}")
    try:
        module = _load_file(Path(place)) if place.endswith(".py") else _import_module(place)
    except (ImportError, OSError, SyntaxError) as error:
        raise ConfigError(f"the {what} {place} cannot be loaded: {error}") from error
    found = getattr(module, function, None)
    if not callable(found):
        raise ConfigError(f"{place} has no function {function!r}")
    return found


def _import_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        file = Path(f"{name}.py")
        if not file.is_file():
            raise
        return _load_file(file)


def _load_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise OSError(f"there is no file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
