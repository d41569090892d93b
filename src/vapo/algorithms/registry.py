"""Algorithms by name, or by the import path of a class of one's own."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from vapo.algorithms.algorithm import Algorithm
from vapo.algorithms.combined import Combined
from vapo.algorithms.options import describe_unknown
from vapo.errors import ConfigError, suggest_nearest

BUILT_IN: Mapping[str, str] = {
    "grpo": "vapo.algorithms.grpo:GRPO",
    "vapo": "vapo.algorithms.vapo:VAPO",
    "vapo_tokens": "vapo.algorithms.vapo_tokens:VAPOTokens",
    "papo": "vapo.algorithms.papo:PAPO",
    "vppo": "vapo.algorithms.vppo:VPPO",
    "noisy_rollout": "vapo.algorithms.noisy_rollout:NoisyRollout",
    "pgpo": "vapo.algorithms.pgpo:PGPO",
    "vgpo": "vapo.algorithms.vgpo:VGPO",
    "attention_reward": "vapo.algorithms.attention_reward:AttentionReward",
}
"""The algorithms that come with vapo: what `algorithm` calls them, and where they are."""


def find_algorithm(name: str) -> type[Algorithm]:
    """Return the class of an algorithm.

    Args:
        name: one of `BUILT_IN`, or "package.module:Class"; several are joined by "+", and make a `Combined`.

    Raises:
        ConfigError: there is none, it cannot be imported, or it does not derive from `Algorithm`.
    """
    if "+" in name:
        for part in name.split("+"):
            find_algorithm(part)
        return Combined
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
        options: of the run, whose `algorithm` names it, or several joined by "+", and whose other attributes give the
            options it shares.
        own_options: those that the run has no option for, by the names of its dataclass fields.

    Raises:
        ConfigError: there is no such algorithm, it has no such option, or a value is out of its range.
    """
    kinds = {name: find_algorithm(name) for name in options.algorithm.split("+")}
    if len(kinds) <= options.algorithm.count("+"):
        raise ConfigError(f"algorithm {options.algorithm!r} names a method twice; name each once")
    known = {name: [one.name for one in fields(kind) if one.init] for name, kind in kinds.items()}
    every = {option for own in known.values() for option in own}
    for option in own_options or {}:
        takers = [name for name, own in known.items() if option in own]
        if not takers:
            raise ConfigError(
                f"algorithm_options: {options.algorithm} has no option {option!r}{describe_unknown(option, every)}"
            )
        if hasattr(options, option):
            raise ConfigError(f"algorithm_options: {option} is an option of the run; set it there")
        if len(takers) > 1:
            raise ConfigError(f"algorithm_options: {' and '.join(takers)} have an option {option!r}; leave it out")
    parts = [_make_one(name, kind, options, own_options or {}) for name, kind in kinds.items()]
    if len(parts) == 1:
        return parts[0]
    weights = {one.name: getattr(parts[0], one.name) for one in fields(Algorithm)}
    return Combined(parts=tuple(parts), **weights)


def _make_one(name: str, kind: type[Algorithm], options: Any, own_options: Mapping[str, Any]) -> Algorithm:
    names = [one.name for one in fields(kind) if one.init]
    shared = {option: getattr(options, option) for option in names if hasattr(options, option)}
    given = {option: value for option, value in own_options.items() if option in names}
    try:
        return kind(**shared, **given)
    except TypeError as error:
        raise ConfigError(f"algorithm {name!r} cannot be made: {error}") from error
