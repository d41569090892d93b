"""TRL's own GRPO tests, run with TRL's names and with vapo's in their place, and what came of it compared."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from training.trl_tests.stand_ins import lay_out_stand_ins

TEST_FILE = Path("tests/test_grpo_trainer.py")
DIFFERENCES = Path(__file__).with_name("differences.yaml")

Record = dict[str, dict[str, Any]]
"""By test: its outcome, why it did not pass, and the numbers logged by each of its runs."""


@dataclass(frozen=True)
class Variant:
    """A way to run TRL's tests.

    Args:
        name: its key in the list of expected differences.
        options: those of every `VAPOConfig`, where a test sets nothing else; None keeps TRL's own names.
        claims: whether rows have claims.
        exact: whether runs must log TRL's own numbers.
    """

    name: str
    options: dict[str, Any] | None
    claims: bool = False
    exact: bool = False


STOCK = Variant("stock", None)
TRLS_WAY = {"packing": "off", "use_cpu": True}
"""TRL's own rows; and its conftest sets `use_cpu`, behind which TRL computes in bfloat16 on a CPU too."""
VARIANTS = (
    Variant("grpo", {"algorithm": "grpo", **TRLS_WAY}, exact=True),
    Variant("claims_without_weight", {"perception_weight": 0.0, **TRLS_WAY}, claims=True, exact=True),
    # The rewards of TRL's tests are lengths and scores of reward models, which open no gate.
    Variant("claims", {"accuracy_gate": "none"}, claims=True),
)


def start_tests(checkout: Path, variant: Variant, folder: Path) -> subprocess.Popen[bytes]:
    """Start a pytest of its own in `folder`, which writes `record.json` and `out.txt` there."""
    folder.mkdir(parents=True, exist_ok=True)
    lay_out_stand_ins(checkout / TEST_FILE, folder, variant.claims)
    words = ["-p", "training.trl_tests.plugin", "-p", "no:cacheprovider", "-p", "no:xdist", "-q", "-m", "not slow"]
    own = {
        "VAPO_OPTIONS": json.dumps(variant.options),
        "RECORD": str(folder / "record.json"),
        "HF_HOME": str(folder / "hub"),  # datasets keeps rows by the names of their files
        "HF_HUB_OFFLINE": "1",
    }
    with (folder / "out.txt").open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", *words, "--basetemp", str(folder / "tmp"), str(checkout / TEST_FILE)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **own},
            stdout=out,
            stderr=subprocess.STDOUT,
        )


def read_record(folder: Path) -> Record:
    """Return what the tests in `folder` came to.

    Raises:
        AssertionError: they were not run to their end; the end of what pytest wrote is its message.
    """
    out = (folder / "out.txt").read_text(encoding="utf-8", errors="replace")
    file = folder / "record.json"
    assert file.is_file(), f"TRL's tests did not run: {out[-3000:]}"
    return json.loads(file.read_text(encoding="utf-8"))


def list_surprises(
    stock: Record, own: Record, variant: Variant, expected: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """Return a sentence for every test that came out otherwise than expected.

    A test that fails with TRL's own names too must fail in the same way with vapo's.

    Args:
        stock: what came of the tests with TRL's names.
        own: with vapo's.
        variant: how those were run.
        expected: reasons by test, under "cannot_run" those that fail with TRL's own names on the stand-ins, under the
            variant's name those that differ. A name without parameters stands for all of its tests.
    """
    broken = {
        test: f"fails with TRL's own names: {run['why']}" for test, run in stock.items() if run["outcome"] == "failed"
    }
    differing = {
        test: difference
        for test, run in stock.items()
        if (difference := _describe_difference(run, own.get(test), variant.exact))
    }
    return [
        *_compare_with_list(broken, expected.get("cannot_run") or {}, "fails"),
        *_compare_with_list(differing, expected.get(variant.name) or {}, "differs"),
    ]


def read_differences(checkout: Path) -> Mapping[str, Mapping[str, str]]:
    """Return what is expected of the tests of a checkout; some of it depends on its version."""
    expected = yaml.safe_load(DIFFERENCES.read_text(encoding="utf-8"))
    version = (checkout / "VERSION").read_text(encoding="utf-8").strip()
    return {**expected, "cannot_run": expected["cannot_run"] | expected.get(f"cannot_run of {version}", {})}


def _compare_with_list(found: Mapping[str, str], listed: Mapping[str, str], verb: str) -> list[str]:
    covered = {name: [test for test in found if name in (test, test.split("[")[0])] for name in listed}
    known = {test for tests in covered.values() for test in tests}
    new = [f"{test} {why}" for test, why in found.items() if test not in known]
    return new + [
        f"{name} is listed, but no longer {verb}; take it off the list" for name in listed if not covered[name]
    ]


def _describe_difference(stock: Mapping[str, Any], own: Mapping[str, Any] | None, exact: bool) -> str | None:
    if own is None:
        return "is not run"
    if own["outcome"] != stock["outcome"]:
        return f"has {own['outcome']}, with TRL's names {stock['outcome']}: {own['why'] or stock['why']}"
    if own["why"] != stock["why"]:
        return f"has {own['outcome']} with {own['why']!r}, with TRL's names with {stock['why']!r}"
    if exact and own["runs"] != stock["runs"]:
        return f"logs {_first_difference(own['runs'], stock['runs'])} with TRL's names"
    return None


def _first_difference(own: list[Any], stock: list[Any]) -> str:
    pairs = zip(itertools.chain.from_iterable(own), itertools.chain.from_iterable(stock), strict=False)
    return next((f"{ours}, but {theirs}" for ours, theirs in pairs if ours != theirs), "fewer or more entries than")
