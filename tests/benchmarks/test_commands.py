"""Each benchmark on a model that answers at once: what it prints, what it writes, and that its sides agree."""

from __future__ import annotations

import json
import re
import sys

import pytest

from benchmarks.__main__ import main
from benchmarks.clock import Spread, compare
from benchmarks.growth import find_lines, fit_exponent
from benchmarks.memory import PeakMemory
from benchmarks.rollouts import Work
from benchmarks.settings import Settings
from benchmarks.texts import train_tokenizer, write_claim
from benchmarks.whole_step import PARTS, make_stepped
from vapo.algorithms.registry import BUILT_IN
from vapo.models.questions import PROBE_TEMPLATE
from vapo.training.trainer import VAPOTrainer

SMALL = ["--model", "test", "--device", "cpu", "--repeats", "2", "--group", "2", "--image-tokens", "16"]
RATIOS = {
    "probe": ["probe_packed_over_reference@", "probe_packed_over_published@"],
    "step": ["step_time@"],
    "floor": ["floor@"],
    "attention": [
        "attention_outputs_memory@",
        "attention_outputs_time@",
        "attention_memory@",
        "attention_time@",
        "attention@",
    ],
}


def run(capsys, benchmark: str, *options: str) -> list[str]:
    assert main([benchmark, *SMALL, *options]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.torchvision
@pytest.mark.parametrize("benchmark", RATIOS)
def test_table_json_and_ratio(benchmark, capsys, tmp_path):
    found = tmp_path / "new" / "found.json"
    options = ["--probes", "3", "--completion-tokens", "24", "--json", str(found)]
    lines = run(capsys, benchmark, *options)
    assert any("i16,c24,G2,K3" in line and "[" in line for line in lines)
    printed = [re.fullmatch(r"RATIO (\S+) ([\d.e+-]+)", line) for line in lines[-len(RATIOS[benchmark]) :]]
    assert [match[1].split("@")[0] + "@" for match in printed if match] == RATIOS[benchmark]
    written = json.loads(found.read_text())
    assert written["benchmark"] == benchmark and written["settings"]["model"] == "test"
    assert len(written["rows"]) == 1
    for match in printed:
        assert written["ratios"][match[1]]["median"] == pytest.approx(float(match[2]), rel=1e-3)


@pytest.mark.torchvision
@pytest.mark.parametrize(
    ("benchmark", "sides", "ratios"),
    [("whole", 4, 5), pytest.param("methods", len(BUILT_IN), len(BUILT_IN) - 1, marks=pytest.mark.slow)],
)
def test_whole_steps(benchmark, sides, ratios, capsys, tmp_path):
    found = tmp_path / "found.json"
    run(capsys, benchmark, "--probes", "3", "--completion-tokens", "24", "--json", str(found))
    written = json.loads(found.read_text())
    assert len(written["rows"]) == sides and len(written["ratios"]) == ratios
    for row in written["rows"]:
        parts = [row[part] for part in PARTS.values() if row[part] is not None]
        assert row["rollouts"] > 0 and row["update"] > 0 and sum(parts) <= row["step s"]["high"]
    if benchmark == "whole":
        asked = {row["side"]: row["rewards, probes"] for row in written["rows"]}
        assert asked["vapo"] > asked["grpo"]


@pytest.mark.torchvision
def test_a_side_that_fails_says_so():
    class Failing(VAPOTrainer):
        def training_step(self, *_, **__):
            raise RuntimeError("broken")

    settings = Settings(model="test", threads=1, repeats=1)
    with pytest.raises(RuntimeError, match="broken"):
        make_stepped(Failing, settings, Work(2, 3, 16, 24), algorithm="grpo").advance()


@pytest.mark.torchvision
def test_growth_fits_an_exponent_for_the_axis_that_varies(capsys):
    lines = run(capsys, "growth", "--probes", "2", "4", "--completion-tokens", "24")
    (exponent,) = [line for line in lines if line.startswith("exponent")]
    assert exponent.startswith("exponent over probes from 2 to 4: time ")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from /proc")
def test_peak_memory_is_that_of_the_run_alone():
    import torch

    held = torch.ones(30_000_000)  # 120 MB, and there before
    memory = PeakMemory("cpu")
    for _ in range(2):
        torch.ones(10_000_000)  # 40 MB each, one after the other
    assert 35 < memory.megabytes() < 75
    assert PeakMemory("cpu").megabytes() < 5
    assert len(held)


def test_ratios_are_taken_round_by_round():
    assert compare([1.0, 4.0, 3.0], [2.0, 4.0, 12.0]) == Spread(0.5, 0.25, 1.0)


def test_an_exponent_is_the_slope_between_logarithms():
    assert fit_exponent([1, 2, 4], [3, 12, 48]) == pytest.approx(2)


def test_a_line_holds_works_that_differ_along_its_axis_alone():
    works = [Work(2, 5), Work(2, 9), Work(4, 5), Work(3, 7)]
    assert find_lines(works, "probes") == [[Work(2, 5), Work(2, 9)]]
    assert find_lines(works, "group") == [[Work(2, 5), Work(4, 5)]]


def test_a_question_has_about_as_many_tokens_as_with_the_published_tokenizers():
    import numpy as np

    rng = np.random.default_rng(3)
    tokenizer = train_tokenizer()
    lengths = [len(tokenizer.encode(PROBE_TEMPLATE.format(claim=write_claim(rng)))) for _ in range(50)]
    assert min(lengths) >= 22 and max(lengths) <= 26
