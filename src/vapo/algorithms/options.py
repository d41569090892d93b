"""Options of an algorithm: declared once, as fields of its dataclass; shown, checked and parsed by every engine."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field, fields, make_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from vapo.errors import ConfigError

Bounds = tuple[float | None, float | None]
"""Least and greatest value; None where there is none."""


def option(default: Any, meaning: str, *, at_least: float | None = None, at_most: float | None = None) -> Any:
    """Declare an option: a dataclass field with its default, its meaning, and the bounds of its value.

    A `Literal` in its annotation lists the values it may take.
    """
    return field(default=default, metadata={"help": meaning, "bounds": (at_least, at_most)})


def check_options(holder: Any, declared: type | None = None, bounds: Mapping[str, Bounds] | None = None) -> None:
    """Check the values of options: those that an annotation lists, and their bounds.

    Args:
        holder: has the values as attributes; None passes, for it stands for "not set".
        declared: the dataclass that declares the options; default: the holder's.
        bounds: of options that are not declared by `option`. If given, no others are checked.

    Raises:
        ConfigError: a value is none of those listed, or out of its bounds.
    """
    declared = declared or type(holder)
    hints = get_type_hints(declared)
    for one in fields(declared):
        value = getattr(holder, one.name)
        if value is None or (bounds is not None and one.name not in bounds):
            continue
        choices = list_choices(hints[one.name])
        if choices and value not in choices:
            raise ConfigError(f"{one.name} must be one of {', '.join(choices)}, but is {value!r}")
        least, most = (bounds or {}).get(one.name) or one.metadata.get("bounds", (None, None))
        if least is not None and not value >= least:  # NaN is nowhere
            raise ConfigError(f"{one.name} must be at least {least}, but is {value}")
        if most is not None and not value <= most:
            raise ConfigError(f"{one.name} must be at most {most}, but is {value}")


def list_choices(hint: Any) -> tuple[str, ...]:
    """Return the values that an annotation lists: those of `Literal[...]` and `Literal[...] | None`."""
    parts = [hint] if get_origin(hint) is Literal else [part for part in get_args(hint) if get_origin(part) is Literal]
    return tuple(choice for part in parts for choice in get_args(part))


def make_options_class(name: str, algorithm: type, *, unset: Collection[str] = (), frozen: bool = False) -> Any:
    """Return a dataclass of an algorithm's options, to derive an engine's configuration from.

    Its fields keep the meaning alone: TRL's parser hands whatever else they hold to argparse, which knows no bounds.

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
        declared.append((one.name, hint, field(default=default, metadata={"help": one.metadata.get("help", "")})))
    return make_dataclass(name, declared, frozen=frozen)
