"""Imports only go down, and rooms on one floor do not import each other (docs/house.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "vapo"
FLOORS = {
    "types": 0,
    "errors": 0,
    "atomic_files": 0,
    "versions": 0,
    "api": 1,
    "core": 1,
    "own_code": 1,
    "algorithms": 2,
    "data": 2,
    "run_folder": 2,
    "stop_condition": 2,
    "models": 3,
    "claims": 4,
    "planning": 4,
    "probing": 4,
    "serving": 4,
    "diagnosis": 5,
    "training": 5,
    "check": 6,
    "evaluation": 6,
    "export": 6,
    "lab": 6,
    "verl": 6,
    "cli": 7,
    "__main__": 8,
}
ENGINES = {
    "trl": {"training", "models", "diagnosis"},
    "accelerate": {"training", "models"},
    "peft": {"training", "models", "planning", "export"},
    "deepspeed": {"training"},
    "vllm": {"probing", "training", "serving"},
    "verl": {"verl"},
    "ray": {"verl"},
    "lmms_eval": {"evaluation"},
    "vlmeval": {"evaluation"},
}
"""Training and serving engines, with the rooms that may import them."""
MAX_SHARE = 0.2
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
            # `from vapo import core` and `from . import names` import modules by the name behind "import".
            found |= {f"{base}.{alias.name}" for alias in node.names} if base == "vapo" or not node.module else {base}
    return found


def find_wrong_imports(room: str, code: str, package: tuple[str, ...]) -> list[str]:
    wrong: list[str] = []
    for name in sorted(find_imports(code, package)):
        parts = name.split(".")
        if parts[0] == "vapo":
            # What `vapo` itself gives is for users: it comes from all rooms.
            where = parts[1] if len(parts) > 1 else ""
            if where != room and FLOORS.get(where, len(FLOORS)) >= FLOORS[room]:
                wrong.append(name)
        elif parts[0] in ENGINES and room not in ENGINES[parts[0]]:
            wrong.append(name)
    return wrong


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).with_suffix("").parts[0]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_only_go_down(path: Path):
    assert room_of(path) in FLOORS, f"{room_of(path)} is on no floor; give it one in docs/house.md and here"
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
        ("data", "from vapo import Claim", ["vapo.Claim"]),
        ("cli", "import vapo", ["vapo"]),
        ("verl", "from vapo import __version__", ["vapo.__version__"]),
        ("data", "from ..training import rows", ["vapo.training"]),
        ("data", "from .. import training", ["vapo.training"]),
        ("types", "from vapo.errors import DataError", ["vapo.errors"]),
        ("core", "import trl.trainer", ["trl.trainer"]),
        ("probing", "from vapo.training.config import VAPOConfig", ["vapo.training.config"]),
        ("lab", "from vapo.training.trainer import VAPOTrainer", []),
        ("verl", "from vapo.training.options import DataOptions", []),
        ("verl", "import ray", []),
    ],
)
def test_wrong_imports_are_found(room: str, code: str, wrong: list[str]):
    assert find_wrong_imports(room, code, ("vapo", room)) == wrong


def test_no_room_is_too_large():
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    rooms = {room: sum(n for path, n in lines.items() if room_of(path) == room) for room in map(room_of, MODULES)}
    large = [room for room, number in rooms.items() if number > MAX_SHARE * sum(rooms.values())]
    assert not large, f"{', '.join(large)}: more than a fifth of the source; split by what it does"
