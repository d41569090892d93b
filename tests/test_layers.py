"""Imports only go down, and rooms on one floor do not import each other (docs/house.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "vapo"
FLOORS = {
    "types": 0,
    "errors": 0,
    "drafts": 0,
    "versions": 0,
    "api": 1,
    "core": 1,
    "algorithms": 2,
    "claims": 2,
    "data": 2,
    "models": 2,
    "suites": 2,
    "engines": 3,
    "diagnosis": 4,
    "planning": 4,
    "lab": 5,
    "sharing": 5,
    "cli": 6,
    "__main__": 7,
}
# Inside engines, likewise: a room may use those on lower floors. `run_folder` and `recipes` are files used by all that
# train.
FLOORS_OF_ENGINES = {
    "policy": 0,
    "tree": 0,
    "vllm": 0,
    "run_folder": 0,
    "recipes": 0,
    "outline": 1,
    "probes": 1,
    "examination": 2,
    "servers": 3,
    "judge": 4,
    "trl": 4,
    "verl": 5,
    "lmms_eval": 4,
    "vlmevalkit": 4,
}
ENGINES = {"trl", "lmms_eval", "vlmeval", "accelerate", "peft", "vllm", "verl", "ray", "deepspeed"}
MODULES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def find_imports(code: str, package: tuple[str, ...]) -> set[str]:
    """Return the full names of what a module of `package` imports, inside functions and for types included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*start, *([node.module] if node.module else [])])
            # `from vapo import core` and `from . import marks` import modules by the name behind "import".
            found |= {f"{base}.{alias.name}" for alias in node.names} if base == "vapo" or not node.module else {base}
    return found


def may_use(parts: list[str], room: str, inner: str | None) -> bool:
    if parts[1] == "engines" == room and inner not in (None, parts[2]):
        return FLOORS_OF_ENGINES[parts[2]] < FLOORS_OF_ENGINES[str(inner)]
    return parts[1] == room or FLOORS[parts[1]] < FLOORS[room]


def find_wrong_imports(room: str, code: str, package: tuple[str, ...]) -> list[str]:
    wrong: list[str] = []
    inner = package[2] if len(package) > 2 else None
    for name in sorted(find_imports(code, package)):
        parts = name.split(".")
        if parts[0] == "vapo" and len(parts) > 1 and parts[1] in FLOORS:
            if not may_use(parts, room, inner):
                wrong.append(name)
        elif parts[0] in ENGINES and room != "engines":
            wrong.append(name)
    return wrong


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).with_suffix("").parts[0]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_only_go_down(path: Path):
    assert room_of(path) in FLOORS, f"{room_of(path)} is on no floor; give it one in docs/house.md and here"
    parts = path.relative_to(SOURCE).with_suffix("").parts
    if parts[0] == "engines" and parts[1] != "__init__":
        assert parts[1] in FLOORS_OF_ENGINES, (
            f"engines/{parts[1]} is on no floor; give it one in docs/house.md and here"
        )
    package = ("vapo", *path.relative_to(SOURCE).parent.parts)
    wrong = find_wrong_imports(room_of(path), path.read_text(encoding="utf-8"), package)
    assert not wrong, f"{name_of(path)} must not import {', '.join(wrong)}"


@pytest.mark.parametrize(
    ("room", "code", "wrong"),
    [
        ("core", "from vapo.types import Claim", []),
        ("core", "from vapo.data.rows import Rows", ["vapo.data.rows"]),
        ("core", "from vapo import lab", ["vapo.lab"]),
        ("core", "def f():\n    import vapo.cli", ["vapo.cli"]),
        ("data", "from vapo.models.vision import find", ["vapo.models.vision"]),
        ("data", "from .rows import Rows", []),
        ("data", "from ..engines import trl", ["vapo.engines"]),
        ("data", "from .. import engines", ["vapo.engines"]),
        ("types", "from vapo.errors import DataError", ["vapo.errors"]),
        ("models", "import trl.trainer", ["trl.trainer"]),
        ("lab", "from vapo.engines.trl.trainer import VAPOTrainer", []),
    ],
)
def test_wrong_imports_are_found(room: str, code: str, wrong: list[str]):
    assert find_wrong_imports(room, code, ("vapo", room)) == wrong


@pytest.mark.parametrize(
    ("inner", "code", "wrong"),
    [
        ("trl", "from vapo.engines.probes.prober import Prober", []),
        ("probes", "from vapo.engines.trl.config import VAPOConfig", ["vapo.engines.trl.config"]),
        ("tree", "from vapo.engines.policy.checkpoint import Policy", ["vapo.engines.policy.checkpoint"]),
        ("tree", "from vapo.engines.tree.mask import make_mask", []),
    ],
)
def test_wrong_imports_inside_engines_are_found(inner: str, code: str, wrong: list[str]):
    assert find_wrong_imports("engines", code, ("vapo", "engines", inner)) == wrong
