"""TRL's own GRPO tests, run with TRL's names and with vapo's in their place, and what came of it compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from engines.trl.trl_tests.stand_ins import lay_out_stand_ins

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
VARIANTS = (
    Variant("grpo", {"algorithm": "grpo", "packing": "off"}, exact=True),
    Variant("claims_without_weight", {"perception_weight": 0.0, "packing": "off"}, claims=True, exact=True),
    # The rewards of TRL's tests are lengths and scores of reward models, which open no gate.
    Variant("claims", {"accuracy_gate": "none"}, claims=True),
)


def start_tests(checkout: Path, variant: Variant, folder: Path) -> subprocess.Popen[bytes]:
    """Start a pytest of its own in `folder`, which writes `record.json` and `out.txt` there."""
    folder.mkdir(parents=True, exist_ok=True)
    lay_out_stand_ins(checkout / TEST_FILE, folder, variant.claims)
    words = ["-p", "engines.trl.trl_tests.plugin", "-p", "no:cacheprovider", "-p", "no:xdist", "-q", "-m", "not slow"]
    own = {"VAPO_OPTIONS": json.dumps(variant.options), "RECORD": str(folder / "record.json")}
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

    Args:
        stock: what came of the tests with TRL's names.
        own: with vapo's.
        variant: how those were run.
        expected: reasons by test, under "cannot_run" those that fail with TRL's own names on the stand-ins, under the
            variant's name those that differ. A name without parameters stands for all of its tests.
    """
    broken = {test: f"fails with TRL's own names: {run['why']}" for test, run in stock.items() if _failed(run)}
    differing = {
        test: difference
        for test, run in stock.items()
        if not _failed(run) and (difference := _tell_difference(run, own.get(test), variant.exact))
    }
    return [
        *_compare_with_list(broken, expected.get("cannot_run") or {}, "cannot_run"),
        *_compare_with_list(differing, expected.get(variant.name) or {}, variant.name),
    ]


def read_differences() -> Mapping[str, Mapping[str, str]]:
    return yaml.safe_load(DIFFERENCES.read_text(encoding="utf-8"))


def _compare_with_list(found: Mapping[str, str], listed: Mapping[str, str], name: str) -> list[str]:
    names = {listing: [test for test in found if listing in (test, test.split("[")[0])] for listing in listed}
    covered = {test for tests in names.values() for test in tests}
    new = [f"{test} {why}" for test, why in found.items() if test not in covered]
    stale = [
        f"{listing} is listed under {name!r}, but no longer differs; remove it"
        for listing in listed
        if not names[listing]
    ]
    return new + stale


def _failed(run: Mapping[str, Any]) -> bool:
    return run["outcome"] == "failed"


def _tell_difference(stock: Mapping[str, Any], own: Mapping[str, Any] | None, exact: bool) -> str | None:
    if own is None:
        return "is not run"
    if own["outcome"] != stock["outcome"]:
        return f"is {own['outcome']}, with TRL's names {stock['outcome']}: {own['why']}"
    if exact and own["runs"] != stock["runs"]:
        return f"logs other numbers: {_first_difference(stock['runs'], own['runs'])}"
    return None


def _first_difference(stock: list[Any], own: list[Any]) -> str:
    pairs = [(theirs, ours) for run, other in zip(stock, own) for theirs, ours in zip(run, other) if theirs != ours]
    return (
        "{} with TRL's names, {} with vapo's".format(*pairs[0]) if pairs else "as many runs or entries are not there"
    )
