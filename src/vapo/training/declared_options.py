"""The options of a run, read from the source of the classes that declare them: importing TRL and torch takes long.

What a source alone does not settle, such as a default that depends on the machine, is left out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_type_hints

from vapo.algorithms.options import list_choices
from vapo.algorithms.vapo import VAPO
from vapo.data.options import DataOptions

UNKNOWN: Any = object()
"""A default that the source alone does not settle."""

_CONFIG = "vapo.training.config"
_OPTIONS = "vapo.training.options"


class UnreadableSourceError(Exception):
    """Options are declared in a way that is not understood."""


@dataclass(frozen=True, slots=True)
class DeclaredOption:
    """An option.

    Attributes:
        name: of the option.
        help: what it means.
        default: its default, or UNKNOWN.
        choices: values that it may take; empty where none are listed, or none that can be read.
    """

    name: str
    help: str
    default: Any
    choices: tuple[str, ...]


def read_run_options() -> dict[str, list[DeclaredOption]]:
    """Return the options of `vapo train` by what they are about: vapo's own first, then TRL's.

    Raises:
        UnreadableSourceError: TRL or transformers declares them in a way that is not understood.
    """
    preset = _evaluate(_CONFIG, ast.Name("REWARDS_OF_PRESETS"))
    own = {one.name: one for one in _read_fields(_CONFIG, "VAPOConfig")}
    own |= {one.name: one for one in _list_fields(VAPO, unset=preset)}
    trl = {one.name: one for one in _read_class(_CONFIG, "GRPOConfig") if one.name not in own}
    return {
        "What to train on": _list_fields(DataOptions),
        "The method": list(own.values()),
        "Processes": _read_class(_OPTIONS, "LaunchOptions"),
        "The model (TRL's options)": _read_class(_OPTIONS, "ModelConfig"),
        "Training (TRL's options)": list(trl.values()),
    }


def _list_fields(declared: type, unset: tuple[str, ...] = ()) -> list[DeclaredOption]:
    """Return the options of a dataclass at hand; those `unset` default to None."""
    hints = get_type_hints(declared)
    return [
        DeclaredOption(
            one.name,
            one.metadata["help"],
            None if one.name in unset else one.default,
            list_choices(hints[one.name]),
        )
        for one in fields(declared)
    ]


def _read_class(module: str, name: str) -> list[DeclaredOption]:
    """Return the options of a dataclass, those of its bases first, as `dataclasses.fields` does."""
    module, declared = _find(module, name)
    if not isinstance(declared, ast.ClassDef):
        raise UnreadableSourceError(f"{module}.{name} is no class")
    found: dict[str, DeclaredOption] = {}
    for base in declared.bases:
        found |= {one.name: one for one in _read_class(module, ast.unparse(base))}
    return list((found | {one.name: one for one in _read_fields(module, name)}).values())


def _read_fields(module: str, name: str) -> Iterator[DeclaredOption]:
    """Yield the options that a dataclass declares itself."""
    module, declared = _find(module, name)
    assert isinstance(declared, ast.ClassDef)
    for line in declared.body:
        if not isinstance(line, ast.AnnAssign) or ast.unparse(line.annotation).startswith("ClassVar"):
            continue
        declaration = line.value
        if not isinstance(line.target, ast.Name) or not isinstance(declaration, ast.Call):
            raise UnreadableSourceError(f"{module}.{name}: {ast.unparse(line)}")
        said = _read_declaration(declaration)
        meaning = _evaluate(module, said.get("help"))
        if not isinstance(meaning, str):
            raise UnreadableSourceError(f"{module}.{name}: {ast.unparse(line)}")
        default = _evaluate(module, said.get("default"))
        if "default_factory" in said:
            default = [] if ast.unparse(said["default_factory"]) == "list" else UNKNOWN
        choices = _evaluate(module, said["choices"]) if "choices" in said else _read_choices(module, line.annotation)
        yield DeclaredOption(line.target.id, meaning, default, () if choices is UNKNOWN else tuple(choices))


def _read_declaration(declaration: ast.Call) -> dict[str, ast.expr]:
    """Return what `field(default=..., metadata={...})`, or vapo's `option(default, meaning)`, says, by name."""
    if ast.unparse(declaration.func) == "option":
        return dict(zip(("default", "help"), declaration.args, strict=False))
    said = {keyword.arg: keyword.value for keyword in declaration.keywords if keyword.arg}
    metadata = said.pop("metadata", None)
    if ast.unparse(declaration.func) != "field" or not isinstance(metadata, ast.Dict):
        return {}
    pairs = zip(metadata.keys, metadata.values, strict=True)
    return said | {str(key.value): value for key, value in pairs if isinstance(key, ast.Constant)}


def _read_choices(module: str, annotation: ast.expr) -> tuple[str, ...]:
    """Return the values of `Literal[...]` or of an enumeration, which `str` and `None` may stand beside."""
    parts = [part for part in _split_union(annotation) if ast.unparse(part) not in ("str", "None")]
    if len(parts) != 1:
        return ()
    if isinstance(parts[0], ast.Subscript) and ast.unparse(parts[0].value) == "Literal":
        values = _evaluate(module, parts[0].slice)
        values = values if isinstance(values, tuple) else (values,)
        return values if all(isinstance(value, str) for value in values) else ()
    if not isinstance(parts[0], ast.Name) or parts[0].id in ("bool", "int", "float", "dict", "list"):
        return ()
    _, declared = _find(module, parts[0].id)
    if not isinstance(declared, ast.ClassDef) or not any("Enum" in ast.unparse(base) for base in declared.bases):
        return ()
    return tuple(_evaluate(module, line.value) for line in declared.body if isinstance(line, ast.Assign))


def _split_union(annotation: ast.expr) -> Iterator[ast.expr]:
    if isinstance(annotation, ast.BinOp):
        yield from _split_union(annotation.left)
        yield from _split_union(annotation.right)
    elif isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) in ("Union", "Optional"):
        inner = annotation.slice
        for part in inner.elts if isinstance(inner, ast.Tuple) else [inner]:
            yield from _split_union(part)
    else:
        yield annotation


def _evaluate(module: str, value: ast.expr | None) -> Any:
    """Return what an expression of literals and constants is; UNKNOWN for anything else."""
    if isinstance(value, ast.Name):
        try:
            module, value = _find(module, value.id)
        except UnreadableSourceError:
            return UNKNOWN
    try:
        return UNKNOWN if value is None else ast.literal_eval(value)
    except ValueError:
        return UNKNOWN


def _find(module: str, name: str) -> tuple[str, ast.expr]:
    """Return a class or a constant's value, and the module that declares it where this one imports it."""
    defined, imported = _read_module(module)
    if name in defined:
        return module, defined[name]
    if name in imported:
        return _find(*imported[name])
    raise UnreadableSourceError(f"{module} has no {name}")


@cache
def _read_module(name: str) -> tuple[dict[str, Any], dict[str, tuple[str, str]]]:
    """Return what a module declares, and where each name that it imports comes from: a module and the name there."""
    top, *rest = name.split(".")
    spec = find_spec(top)  # of the package alone: to find a module in it is to import the package
    if spec is None or not spec.submodule_search_locations:
        raise UnreadableSourceError(f"{top} is not installed")
    place = Path(spec.submodule_search_locations[0], *rest)
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError) as error:
        raise UnreadableSourceError(f"{file} cannot be read") from error
    package = name if place.is_dir() else name.rpartition(".")[0]
    defined: dict[str, Any] = {}
    for line in tree.body:
        if isinstance(line, ast.ClassDef):
            defined[line.name] = line
        elif isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            defined[line.targets[0].id] = line.value
    imported: dict[str, tuple[str, str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            start = ".".join(parents[: len(parents) - node.level + 1]) if node.level else ""
            origin = ".".join(part for part in (start, node.module) if part)
            imported |= {alias.asname or alias.name: (origin, alias.name) for alias in node.names}
    return defined, imported
