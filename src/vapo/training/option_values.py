"""What a run file and the command line give, in the types that a run's options have."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from vapo.errors import ConfigError, suggest_nearest

_PLAIN = re.compile(r"[\w.+-]+")
_WORDS = {False: ("no", "off", "none"), True: ("yes", "on", "all")}
"""What people write where YAML reads a truth value: `save_strategy: no`, `packing: off`."""


class OptionValues:
    """Converts values.

    Args:
        parser: of the options.
        classes: dataclasses of the options, whose annotations say what an option takes.
    """

    def __init__(self, parser: Any, classes: Sequence[type]) -> None:
        self._actions = {action.dest: action for action in reversed(parser._actions)}  # not those of --no_NAME
        hints = {name: hint for own in classes for name, hint in get_type_hints(own).items()}
        self._kinds = {name: list_kinds(hint) for name, hint in hints.items()}
        for name, action in self._actions.items():
            if action.nargs is None and {str, list} <= set(self._kinds.get(name, ())):
                action.type = _one_or_several

    def split_lists(self, words: Sequence[str]) -> list[str]:
        """Return the words of a command line with `a,b` as two words where an option takes several."""
        split: list[str] = []
        takes_several = False
        for word in words:
            name, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
            if name:
                action = self._actions.get(name[2:].replace("-", "_"))
                takes_several = action is not None and action.nargs == "+"
            if not takes_several:
                split.append(word)
                continue
            split += [name] if name else []
            split += split_list(value) if equals or not name else []
        return split

    def convert(self, config: Mapping[str, Any], file: Any) -> dict[str, Any]:
        """Return what a run file gives as options take it; text is left to the parser.

        Args:
            config: values by the names of options, as YAML holds them.
            file: for errors.

        Raises:
            ConfigError: an option does not take such a value.
        """
        return {name: self._convert(name, value, f"{file}: {name}") for name, value in config.items()}

    def _convert(self, name: str, value: Any, place: str) -> Any:
        kinds, action = self._kinds[name], self._actions[name]
        if value is None:
            if NoneType not in kinds:
                raise ConfigError(f"{place} is empty; give it a value, or leave the line out")
            return None
        if isinstance(value, Mapping):
            if dict not in kinds:
                raise ConfigError(f"{place} holds names and values, and takes {_describe(kinds)}")
            return value
        if list in kinds and (action.nargs == "+" or isinstance(value, list)):
            values = value if isinstance(value, list) else [value]
            return [self._convert_one(action, own, place) for given in values for own in split_list(str(given))]
        if isinstance(value, list):
            raise ConfigError(f"{place} holds a list, and takes {_describe(kinds)}; give one value")
        if isinstance(value, bool) and bool not in kinds:
            words = [word for word in _WORDS[value] if word in (action.choices or kinds)]
            if not words:
                raise ConfigError(f"{place} is {str(value).lower()}, and takes {_describe(kinds)}")
            return words[0]
        if isinstance(value, bool):
            return value
        text, choices = str(value), [choice for choice in action.choices or () if isinstance(choice, str)]
        if choices and text not in choices and str not in kinds:
            raise ConfigError(
                f"{place} must be one of {', '.join(choices)}, but is {text!r}{suggest_nearest(text, choices)}"
            )
        return text

    def _convert_one(self, action: Any, text: str, place: str) -> Any:
        if action.nargs != "+":
            return text
        try:
            return action.type(text)
        except ValueError as error:
            raise ConfigError(f"{place} holds {text!r}, which is no {action.type.__name__}; fix it") from error


def split_list(text: str) -> list[str]:
    """Return the parts of `a,b`; text that is no list of plain words, such as a pattern, stays whole."""
    parts = [part for part in map(str.strip, text.split(",")) if part]
    return parts if parts and all(_PLAIN.fullmatch(part) for part in parts) else [text]


def _one_or_several(text: str) -> str | list[str]:
    parts = split_list(text)
    return parts if len(parts) > 1 else parts[0]


def list_kinds(hint: Any) -> tuple[Any, ...]:
    """Return what an annotation allows: types, with `dict` and `list` bare, and the values of literals."""
    if str(get_origin(hint)) in ("typing.Union", "<class 'types.UnionType'>"):
        return tuple(kind for own in get_args(hint) for kind in list_kinds(own))
    if str(get_origin(hint)) == "typing.Literal":
        return get_args(hint)
    return (get_origin(hint) or hint,)


def _describe(kinds: Sequence[Any]) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text", list: "a list"}
    names |= {dict: "names and values"}
    described = [names.get(kind, repr(kind)) for kind in kinds if isinstance(kind, str) or kind in names]
    return " or ".join(dict.fromkeys(described)) or "another kind of value"
