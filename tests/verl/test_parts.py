from __future__ import annotations

import math

import pytest

from vapo.algorithms.vapo import VAPO
from vapo.probing.perception_log import PerceptionLog
from vapo.probing.perception_scorer import ScoredRollout
from vapo.types import Anchor, Claim, Probe, Reward, Rollout, Sample, Verdict
from vapo.verl.asking import AskedProbes
from vapo.verl.parts import name_answer, name_parts, summarise_parts

ROLLOUT = Rollout(Sample("row-0", (), "?", "1"), (1,), (2,) * 8, ("a",) * 8)


def verdict(index: int, *, correct: bool, is_true: bool = True) -> Verdict:
    return Verdict(Probe(ROLLOUT, Anchor(index, index / 8), Claim("c", is_true)), 0.9 if correct == is_true else 0.2)


SEEN = (verdict(1, correct=True), verdict(3, correct=True), verdict(8, correct=False, is_true=False))
BLIND = (verdict(2, correct=False), verdict(8, correct=False, is_true=False))
REWARDS = (Reward(1.0, 1.0, 0.6, 0.06, 2.06), Reward(0.0, 1.0, 0.0, 0.0, 1.0))


def test_a_steps_metrics_are_those_that_a_run_on_trl_logs():
    rows = [
        name_parts(
            reward,
            AskedProbes(verdicts, num_asked=len(verdicts)),
            len(verdicts),
            4,
            gate_open=reward.accuracy == 1,
        )
        for reward, verdicts in zip(REWARDS, (SEEN, BLIND), strict=True)
    ]
    logged: dict[str, list[float]] = {}
    log = PerceptionLog(
        lambda name, value: logged.setdefault(name, []).append(value), lambda *_: None, VAPO(num_anchors=4)
    )
    scored = [
        ScoredRollout(ROLLOUT, tuple(v.probe for v in verdicts), verdicts, reward, reward.accuracy == 1)
        for reward, verdicts in zip(REWARDS, (SEEN, BLIND), strict=True)
    ]
    log.add(scored, tables=False)
    means = {name: sum(values) / len(values) for name, values in logged.items()}
    metrics = summarise_parts(rows)
    assert {name: metrics[name] for name in means} == pytest.approx(means)
    assert [metrics[f"perception/{name}"] for name in ("yes_rate", "accuracy_true", "accuracy_false")] == [
        pytest.approx(4 / 5),
        pytest.approx(2 / 3),
        0.0,
    ]
    assert metrics.keys() - means.keys() == {
        "perception/failed_probes",
        "perception/probes_without_room",
        "perception/probes_on_other_weights",
    }


def test_failed_probes_are_a_share_of_those_that_were_asked():
    asked = AskedProbes(SEEN, num_asked=10, num_failed=5, num_without_room=2, num_on_other_weights=1)
    silent = name_parts(REWARDS[1], AskedProbes(), 10, 10, gate_open=False)
    metrics = summarise_parts([name_parts(REWARDS[0], asked, 10, 10, gate_open=True), silent])
    assert metrics["perception/failed_probes"] == 0.5 and metrics["perception/probes_without_room"] == 0.2
    assert metrics["perception/probes_on_other_weights"] == pytest.approx(1 / 3)


def test_all_probed_completions_have_the_same_parts():
    nothing = Reward(1.0, 1.0, None, 0.0, 2.0)
    probed = name_parts(REWARDS[0], AskedProbes(SEEN, 3), 3, 4, gate_open=True)
    unprobed = name_parts(nothing, AskedProbes(), 0, 4, gate_open=True)
    assert probed.keys() == unprobed.keys() and math.isnan(unprobed["perception"])
    assert all(isinstance(value, float) for value in {**probed, **unprobed}.values())


def test_rows_that_were_not_to_be_probed_say_nothing():
    assert summarise_parts([name_answer(REWARDS[0])]) == {} == summarise_parts([])
