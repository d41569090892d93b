from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from diagnosis.scripted_model import ALL, RIGHT, SMALL, ScriptedModel, make_question

from vapo.diagnosis.diagnose import diagnose
from vapo.diagnosis.reasoning_perception import estimate_area, measure_area
from vapo.errors import ConfigError
from vapo.models.diagnosed_model import Cut, View
from vapo.types import Probe

HALVES = replace(SMALL, num_cuts=2, num_waits=1)
"""Cuts at 0, 1/2 and 1 of the thinking part: behind 7, 14 and 22 of "<think>ab, cd. ef! gh?</think>", or near them."""


def think_on(cut: Cut) -> str:
    """Wrong at once, right from half on; made to think on, one thought more, and wrong again where q1 is asked."""
    if cut.text:
        return f" ij, kl.</think>\\boxed{{{7 if cut.rollout.sample.id == 'q1' else 8}}}"
    return "\\boxed{8}" if cut.index >= 14 else "\\boxed{7}"


def see_until_the_end(probe: Probe, view: View) -> float:
    """Judge all claims right up to half of the response, then say yes to all: half of them are true."""
    return float(probe.claim.is_true) if probe.anchor.index <= 14 else 1.0


def vary(names: list[str], settings: Any = HALVES, **options: Any) -> Any:
    diagnosed_model = ScriptedModel(dict.fromkeys(names, RIGHT), early=think_on, judge=see_until_the_end)
    samples = [make_question(name) for name in names]
    found = diagnose([diagnosed_model], samples, protocols=["balance"], settings=settings, **options)
    return found.models[0], diagnosed_model


def test_both_accuracies_and_the_areas_by_hand():
    model, diagnosed_model = vary(["q0", "q1"])
    points = {
        name: [(point.at, point.estimate.value) for point in found]
        for name, found in model.numbers.items()
        if isinstance(found, tuple)
    }
    # The thinking part begins behind 7 tokens and ends behind 22; " Wait ij, kl." makes it 13 longer.
    assert points["reasoning_accuracy"] == [(0, 0), (7, 1), (15, 1), (28, 1 / 2)]
    assert points["reasoning_claims"] == [(0, 1), (7, 1), (15, 1 / 2), (28, 1 / 2)]
    assert points["reasoning_perception"] == [(0, 1), (1 / 2, 1 / 2), (1, 1), (1, 1 / 2)]
    # By trapezoids from 0 to 1/2 and from there to 1: scaled to [0, 1] claims are 1, 0, 1.
    assert model.numbers["rh_auc"].value == pytest.approx(1 / 4 + 1 / 4)
    assert model.numbers["perception_held"].value == pytest.approx(3 / 8 + 3 / 8)
    (cut, _) = [cut for cut in diagnosed_model.cuts if cut.text]
    assert (cut.index, cut.suffix, cut.text) == (22, "", " Wait")
    asked = [probe for probe, _ in diagnosed_model.probes if probe.anchor.index > 22]
    assert asked[0].rollout.text == "<think>ab, cd. ef! gh? Wait ij, kl." and len(asked) == 2 * 2
    assert {view for _, view in diagnosed_model.probes} == {"image"}


def test_waits_follow_one_another_and_can_be_left_out():
    model, diagnosed_model = vary(["q0"], replace(HALVES, num_waits=2))
    assert [row.length for row in model.questions[0].rows["balance"]] == [0, 0.5, 1, 2, 3]
    assert [cut.rollout.text[22:] + cut.text for cut in diagnosed_model.cuts if cut.text] == [
        "</think>\\boxed{8} Wait", " Wait ij, kl. Wait",
    ]  # fmt: skip
    model, diagnosed_model = vary(["q0"], replace(HALVES, num_waits=0))
    assert [row.length for row in model.questions[0].rows["balance"]] == [0, 0.5, 1]
    with pytest.raises(ConfigError, match="num_waits is -1"):
        replace(HALVES, num_waits=-1)


@pytest.mark.parametrize(
    ("response", "written", "thought", "answer"),
    [
        (RIGHT, " ij, kl, mn", "<think>ab, cd. ef! gh? Wait ij, kl, mn", None),  # cut off: it has no end
        ("ab, cd. So \\boxed{8}", " no. It is \\boxed{9}.", "ab, cd. So Wait no. It is ", "9"),  # no tags at all
    ],
)
def test_what_is_thinking_of_what_is_written(response: str, written: str, thought: str, answer: str | None):
    diagnosed_model = ScriptedModel({"q0": response}, early=lambda cut: written if cut.text else "\\boxed{8}")
    found = diagnose([diagnosed_model], [make_question("q0")], protocols=["balance"], settings=HALVES)
    assert diagnosed_model.probes[-1][0].rollout.text == thought
    assert found.models[0].questions[0].rows["balance"][-1].answer == answer


def area(x: list[float], y: list[float], *, scaled: bool) -> float:
    return float(measure_area(np.array([x]), np.array([y]), scaled=scaled)[0])


def test_the_area_is_that_of_the_papers_code():
    # Worked with numpy.trapezoid on the sorted, scaled points, as the published RH-AUC.py does.
    x, y = [0.5, 0.2, 0.4, 0.3], [0.6, 0.9, 0.8, 0.7]
    assert area(x, y, scaled=True) == pytest.approx((1 / 3) * ((1 + 1 / 3) / 2 + (1 / 3 + 2 / 3) / 2 + (2 / 3) / 2))
    assert area(x, y, scaled=False) == pytest.approx((0.8 + 0.75 + 0.7) / 3)
    # Neither depends on the order of lengths, nor RH-AUC on the level of either.
    assert area(x[::-1], y[::-1], scaled=True) == pytest.approx(area(x, y, scaled=True))
    assert area([a / 2 for a in x], [a - 0.3 for a in y], scaled=True) == pytest.approx(area(x, y, scaled=True))
    assert np.isnan(area([0.5, 0.5], [0.1, 0.9], scaled=False))
    assert np.isnan(area([0.1, 0.5], [0.9, 0.9], scaled=True))
    assert area([0.1, 0.5], [0.9, 0.9], scaled=False) == pytest.approx(0.9)


@pytest.mark.parametrize("count", [60, 300])
def test_intervals_hold_the_truth_as_often_as_they_say(count: int):
    """200 data sets whose shares are known: 95 % intervals miss in 10 of them; more than 22 has a chance of 3e-4."""
    x_L, y_L = np.array([0.3, 0.5, 0.8]), np.array([0.9, 0.8, 0.6])
    truth = area(list(x_L), list(y_L), scaled=False)
    rng = np.random.default_rng(0)
    missed = 0
    for seed in range(200):
        right_NL, claims_NL = (rng.random((count, 3)) < share for share in (x_L, y_L))
        images = [f"{number}" for number in range(count)]
        found = estimate_area(right_NL.astype(float), claims_NL.astype(float), images, scaled=False, seed=seed)
        missed += not found.low <= truth <= found.high
    assert missed <= 22


def test_all_lengths_of_an_image_are_resampled_together():
    rng = np.random.default_rng(1)
    right_NL, claims_NL = rng.integers(0, 2, (40, 3)).astype(float), rng.random((40, 3))
    each = estimate_area(right_NL, claims_NL, [f"{n}" for n in range(40)], scaled=False, seed=0)
    twice = [np.concatenate([values, values]) for values in (right_NL, claims_NL)]
    pairs = estimate_area(*twice, [f"{n % 40}" for n in range(80)], scaled=False, seed=0)
    assert (pairs.low, pairs.high) == pytest.approx((each.low, each.high))
    assert estimate_area(right_NL, claims_NL, ["one"] * 40, scaled=False, seed=0).low is None


def test_without_claims_it_is_left_out_by_name():
    found = diagnose(
        [ScriptedModel({"q0": RIGHT})],
        [make_question("q0", claims=0)],
        protocols=["early", "balance"],
        settings=HALVES,
    )
    assert found.left_out == (
        "Reasoning against perception was left out: no row of the data has claims; add a claims column.",
    )
    found = diagnose(
        [ScriptedModel({"q0": RIGHT}, abilities=ALL - {"probe"})], [make_question("q0")], protocols=["balance"]
    )
    assert "was left out for scripted: a script cannot probe" in found.left_out[0]


def test_finished_rows_are_read_again_and_written_as_a_table(tmp_path):
    first, _ = vary(["q0", "q1"], out=tmp_path)
    again, asked = vary(["q0", "q1"], out=tmp_path)
    assert again == first and asked.asked == {}
    table = pyarrow.parquet.read_table(tmp_path / "tables" / "balance.parquet").to_pylist()
    assert table[7] == {
        "model": "scripted", "sample_id": "q1", "length": 2.0, "tokens": 28, "answer": "7", "right": False,
        "claims_right": 0.5, "num_claims": 2,
    }  # fmt: skip
    assert "rh_auc,,0.5," in (tmp_path / "summary.csv").read_text()
    assert "Reasoning against perception" in (tmp_path / "report.html").read_text()


def test_the_conclusion_says_what_thinking_costs():
    model, _ = vary([f"q{number}" for number in range(12)])
    assert (
        "From 0 to 28 tokens of thinking, right answers go from 0.0 % to 91.7 %, and claims judged right from 100.0 % "
        "to 50.0 %. RH-AUC is 0.50." in model.conclusion
    )
