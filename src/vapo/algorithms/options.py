"""Options of an algorithm: declared once, as fields of its dataclass; shown, checked and parsed by every engine."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field, fields, make_dataclass
from types import MappingProxyType
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from vapo.errors import ConfigError, suggest_nearest

Bounds = tuple[float | None, float | None]
"""Least and greatest value; None where there is none."""


DAPO: Mapping[str, Any] = MappingProxyType(
    {"beta": 0.0, "epsilon": 0.2, "epsilon_high": 0.28, "loss_type": "dapo", "dynamic_sampling": "accuracy"}
)
"""What papers that build on DAPO (arXiv 2503.14476) train with, in the options of a run."""


class Meaning(str):
    """What an option means, with the bounds of its value.

    One word for both, because TRL's parser hands all else that a field tells of itself to argparse.
    """

    bounds: Bounds = (None, None)


def option(default: Any, meaning: str, *, at_least: float | None = None, at_most: float | None = None) -> Any:
    """Declare an option: a dataclass field with its default, its meaning, and the bounds of its value.

    A `Literal` in its annotation lists the values it may take.
    """
    described = Meaning(meaning)
    described.bounds = (at_least, at_most)
    return field(default=default, metadata={"help": described})


def check_options(holder: Any, bounds: Mapping[str, Bounds] | None = None) -> None:
    """Check the values of options: those that an annotation lists, and their bounds.

    Args:
        holder: a dataclass with options that `option` declares; a value of None passes, for it stands for "not set".
        bounds: of fields that are declared otherwise.

    Raises:
        ConfigError: a value is none of those listed, or out of its bounds.
    """
    hints = get_type_hints(cast(Any, type(holder)))
    bounds = bounds or {}
    for one in fields(holder):
        value, meaning = getattr(holder, one.name), one.metadata.get("help")
        if value is None or not (isinstance(meaning, Meaning) or one.name in bounds):
            continue
        choices = list_choices(hints[one.name])
        if choices and value not in choices:
            raise ConfigError(f"{one.name} must be one of {', '.join(choices)}, but is {value!r}")
        least, most = meaning.bounds if isinstance(meaning, Meaning) else bounds[one.name]
        if least is not None and not value >= least:  # NaN is nowhere
            raise ConfigError(f"{one.name} must be at least {least}, but is {value}")
        if most is not None and not value <= most:
            raise ConfigError(f"{one.name} must be at most {most}, but is {value}")


REMOVED: Mapping[str, str] = {
    "max_refills": "dynamic_sampling draws up to 4 rounds of further prompts for a batch",
    "min_anchor_distance": "an anchor may stand at any boundary, however near to another",
    "probe_batch_tokens": "a forward pass of probes holds up to 8192 tokens",
}
"""Options that earlier versions had, and what happens now."""


RENAMED: Mapping[str, str] = {
    "data_split": "split",
    "silent_share": "closed_gate_probe_share",
    "masked": "view_strength",
}
"""Options by the names that they no longer have, with those that they have."""


def describe_unknown(name: str, known: Collection[str]) -> str:
    """Return the end of a message about an unknown option: its new name, what happens instead, or the nearest one."""
    if name in RENAMED:
        return f"; it is called {RENAMED[name]!r} now"
    return f", which was removed: {REMOVED[name]}" if name in REMOVED else suggest_nearest(name, known)


def list_choices(hint: Any) -> tuple[str, ...]:
    """Return the values that an annotation lists: those of `Literal[...]` and `Literal[...] | None`."""
    parts = [hint] if get_origin(hint) is Literal else [part for part in get_args(hint) if get_origin(part) is Literal]
    return tuple(choice for part in parts for choice in get_args(part))


def make_options_class(name: str, algorithm: type, *, unset: Collection[str] = (), frozen: bool = False) -> Any:
    """Return a dataclass of an algorithm's options, to derive an engine's configuration from.

    Args:
        name: of the new class.
        algorithm: a dataclass whose fields are options.
        unset: names of the options that default to None, because something else fills them in.
        frozen: whether its instances, and those of classes derived from it, are.
    """
    hints: Mapping[str, Any] = get_type_hints(algorithm)
    declared: list[tuple[str, Any, Any]] = []
    for one in fields(algorithm):
        hint, default = (hints[one.name] | None, None) if one.name in unset else (hints[one.name], one.default)
        declared.append((one.name, hint, field(default=default, metadata=one.metadata)))
    return make_dataclass(name, declared, frozen=frozen)
