"""Algorithms by name, or by the import path of a class of one's own."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from vapo.algorithms.algorithm import Algorithm
from vapo.algorithms.options import describe_unknown
from vapo.errors import ConfigError, suggest_nearest

BUILT_IN: Mapping[str, str] = {
    "grpo": "vapo.algorithms.grpo:GRPO",
    "vapo": "vapo.algorithms.vapo:VAPO",
    "papo": "vapo.algorithms.papo:PAPO",
}
"""The algorithms that come with vapo: what `algorithm` calls them, and where they are."""


def find_algorithm(name: str) -> type[Algorithm]:
    """Return the class of an algorithm.

    Args:
        name: one of `BUILT_IN`, or "package.module:Class".

    Raises:
        ConfigError: there is none, it cannot be imported, or it does not derive from `Algorithm`.
    """
    path = BUILT_IN.get(name, name)
    module_name, colon, class_name = path.partition(":")
    if not colon or not class_name:
        raise ConfigError(
            f"algorithm {name!r} is none of {', '.join(BUILT_IN)}{suggest_nearest(name, BUILT_IN)}; one of your own "
            "is named by its import path, package.module:Class"
        )
    try:
        found = getattr(importlib.import_module(module_name), class_name, None)
    except ImportError as error:
        raise ConfigError(f"algorithm {name!r} cannot be imported: {error}; install the package it is in") from error
    if not (isinstance(found, type) and issubclass(found, Algorithm)):
        raise ConfigError(
            f"algorithm {name!r}: {module_name} has no class {class_name!r} that derives from "
            "vapo.algorithms.algorithm.Algorithm"
        )
    return found


def make_algorithm(options: Any, own_options: Mapping[str, Any] | None = None) -> Algorithm:
    """Return the algorithm that a run's options describe.

    Args:
        options: of the run, whose `algorithm` names it and whose other attributes give the options it shares.
        own_options: those that the run has no option for, by the names of its dataclass fields.

    Raises:
        ConfigError: there is no such algorithm, it has no such option, or a value is out of its range.
    """
    kind = find_algorithm(options.algorithm)
    names = [one.name for one in fields(kind) if one.init]
    shared = {name: getattr(options, name) for name in names if hasattr(options, name)}
    given = dict(own_options or {})
    for name in given:
        if name not in names:
            raise ConfigError(
                f"algorithm_options: {options.algorithm} has no option {name!r}{describe_unknown(name, names)}"
            )
        if name in shared:
            raise ConfigError(f"algorithm_options: {name} is an option of the run; set it there")
    try:
        return kind(**shared, **given)
    except TypeError as error:
        raise ConfigError(f"algorithm {options.algorithm!r} cannot be made: {error}") from error
