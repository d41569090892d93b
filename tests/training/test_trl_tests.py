"""TRL's own GRPO tests come out with vapo's names as with TRL's, but for what is listed; and a difference is found."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset
from training.trl_tests.comparison import (
    STOCK,
    VARIANTS,
    list_surprises,
    read_differences,
    read_record,
    start_tests,
)
from training.trl_tests.stand_ins import lay_out_stand_ins
from transformers import AutoModelForImageTextToText

CHECKOUT = Path(os.environ["TRL_CHECKOUT"]).resolve() if os.environ.get("TRL_CHECKOUT") else None
"""A checkout of TRL, with its tests; see CONTRIBUTING.md."""


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """What TRL's tests come to, by variant; all variants are run side by side."""
    assert CHECKOUT is not None
    folders = {variant.name: tmp_path_factory.mktemp(variant.name) for variant in (STOCK, *VARIANTS)}
    started = [start_tests(CHECKOUT, variant, folders[variant.name]) for variant in (STOCK, *VARIANTS)]
    for process in started:
        process.wait()
    return {name: read_record(folder) for name, folder in folders.items()}


@pytest.mark.slow
@pytest.mark.torchvision
@pytest.mark.xdist_group("trl_tests")
@pytest.mark.skipif(CHECKOUT is None, reason="TRL_CHECKOUT names no checkout of TRL; see CONTRIBUTING.md")
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_trls_own_tests_come_out_as_listed(records, variant):
    surprises = list_surprises(records["stock"], records[variant.name], variant, read_differences(CHECKOUT))
    assert not surprises, "\n".join(surprises)


MADE_UP = """
from trl import GRPOConfig, GRPOTrainer


def test_same(tmp_path):
    assert GRPOConfig(str(tmp_path), use_cpu=True).num_generations == 8


def test_name():
    assert GRPOTrainer.__name__ == "GRPOTrainer"


def test_broken():
    assert GRPOTrainer.__name__ == "nothing"
"""


def test_a_test_that_vapos_names_break_is_found_in_a_checkout(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/__init__.py").touch()
    (tmp_path / "tests/test_grpo_trainer.py").write_text(MADE_UP, encoding="utf-8")
    folders = [tmp_path / "stock", tmp_path / "own"]
    for process in [start_tests(tmp_path, *pair) for pair in zip((STOCK, VARIANTS[0]), folders, strict=True)]:
        process.wait()
    stock, own = map(read_record, folders)
    assert [run["outcome"] for run in stock.values()] == ["passed", "passed", "failed"]
    listed = {"cannot_run": {"test_broken": "made so"}, "grpo": {"test_broken": "it tells the trainer's name"}}
    surprises = list_surprises(stock, own, VARIANTS[0], listed)
    assert len(surprises) == 1 and surprises[0].startswith("test_name has failed, with TRL's names passed: Assertion")


def ran(outcome: str = "passed", why: str = "", loss: str = "0.5") -> dict[str, Any]:
    return {"outcome": outcome, "why": why, "runs": [[{"loss": loss}]]}


EXACT, ALIKE = VARIANTS[0], VARIANTS[-1]
FAILED = ran("failed", "KeyError: 'x'")


@pytest.mark.parametrize(
    ("stock", "own", "variant", "listed", "surprise"),
    [
        (ran(), ran(), EXACT, {}, None),
        (ran(), ran(loss="0.50001"), ALIKE, {}, None),
        (ran(), ran(loss="0.50001"), EXACT, {}, "test_a[1] logs {'loss': '0.50001'}, but {'loss': '0.5'}"),
        (ran(), FAILED, ALIKE, {}, "test_a[1] has failed, with TRL's names passed: KeyError"),
        (ran(), FAILED, ALIKE, {"claims": {"test_a": "why"}}, None),
        (ran(), FAILED, ALIKE, {"claims": {"test_a[1]": "why"}}, None),
        (ran(), FAILED, ALIKE, {"grpo": {"test_a": "why"}}, "test_a[1] has failed"),
        (ran(), ran("skipped"), ALIKE, {}, "test_a[1] has skipped"),
        (ran(), ran(), ALIKE, {"claims": {"test_a": "why"}}, "test_a is listed, but no longer differs"),
        (FAILED, FAILED, EXACT, {}, "test_a[1] fails with TRL's own names"),
        (FAILED, FAILED, EXACT, {"cannot_run": {"test_a": "why"}}, None),
        (ran(), ran(), EXACT, {"cannot_run": {"test_a": "why"}}, "test_a is listed, but no longer fails"),
        (
            FAILED,
            ran("failed", "TypeError"),
            EXACT,
            {"cannot_run": {"test_a": "why"}},
            "test_a[1] has failed with 'Type",
        ),
    ],
)
def test_what_is_not_expected_is_told(stock, own, variant, listed, surprise):
    surprises = list_surprises({"test_a[1]": stock}, {"test_a[1]": own}, variant, listed)
    assert len(surprises) == (surprise is not None)
    assert surprise is None or surprises[0].startswith(surprise)


def test_a_test_that_is_not_run_is_told():
    assert list_surprises({"test_a": ran()}, {}, EXACT, {}) == ["test_a is not run"]


def test_stand_ins_answer_to_the_names_of_a_test_file(tmp_path, monkeypatch):
    names = (
        "zen",
        "zen-multi-image",
        "tiny-Qwen2ForSequenceClassification-2.5",
        "tiny-Gemma3ForConditionalGeneration",
    )
    source = tmp_path / "test_grpo_trainer.py"
    source.write_text("".join(f'"trl-internal-testing/{name}"\n' for name in names), encoding="utf-8")
    lay_out_stand_ins(source, tmp_path, claims=True)
    monkeypatch.chdir(tmp_path)
    rows = load_dataset(
        "trl-internal-testing/zen", "standard_prompt_only", split="test", cache_dir=str(tmp_path / "hub")
    )
    assert len(rows) == 2 and {"prompt", "image", "claims", "format"} == set(rows.column_names)
    model = AutoModelForImageTextToText.from_pretrained("trl-internal-testing/tiny-Gemma3ForConditionalGeneration")
    assert model.config.model_type == "gemma3"
