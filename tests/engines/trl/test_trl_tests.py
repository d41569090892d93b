"""TRL's own GRPO tests come out with vapo's names as with TRL's, but for what is listed; and a difference is found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trl
from datasets import load_dataset

from engines.trl.trl_tests.comparison import (
    STOCK,
    VARIANTS,
    list_surprises,
    read_differences,
    read_record,
    start_tests,
)

CHECKOUT = os.environ.get("TRL_CHECKOUT")
"""A checkout of TRL, with its tests; see CONTRIBUTING.md."""


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """What TRL's tests come to, by variant; all variants are run side by side."""
    assert CHECKOUT is not None
    folders = {variant.name: tmp_path_factory.mktemp(variant.name) for variant in (STOCK, *VARIANTS)}
    started = [start_tests(Path(CHECKOUT), variant, folders[variant.name]) for variant in (STOCK, *VARIANTS)]
    for process in started:
        process.wait()
    return {name: read_record(folder) for name, folder in folders.items()}


@pytest.mark.slow
@pytest.mark.torchvision
@pytest.mark.xdist_group("trl_tests")
@pytest.mark.skipif(CHECKOUT is None, reason="TRL_CHECKOUT names no checkout of TRL; see CONTRIBUTING.md")
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_trls_own_tests_come_out_as_listed(records, variant):
    surprises = list_surprises(records["stock"], records[variant.name], variant, read_differences())
    assert not surprises, "\n".join(surprises)


MADE_UP = """
from trl import GRPOConfig, GRPOTrainer


def test_same(tmp_path):
    assert GRPOConfig(str(tmp_path)).num_generations == 8


def test_name():
    assert GRPOTrainer.__name__ == "GRPOTrainer"


def test_broken():
    assert GRPOTrainer.__name__ == "nothing"
"""


def test_a_difference_is_found_in_a_checkout(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/__init__.py").touch()
    (tmp_path / "tests/test_grpo_trainer.py").write_text(MADE_UP, encoding="utf-8")
    folders = [tmp_path / "stock", tmp_path / "own"]
    for process in [start_tests(tmp_path, *pair) for pair in zip((STOCK, VARIANTS[0]), folders, strict=True)]:
        process.wait()
    stock, own = map(read_record, folders)
    assert [run["outcome"] for run in stock.values()] == ["passed", "passed", "failed"]
    surprises = list_surprises(stock, own, VARIANTS[0], {"cannot_run": {"test_broken": "made so"}})
    assert len(surprises) == 1 and surprises[0].startswith("test_name is failed, with TRL's names passed: Assertion")
