from __future__ import annotations

import json
from collections import defaultdict

import pytest

from vapo.algorithms.vapo import VAPO
from vapo.probing.perception_log import PerceptionLog
from vapo.probing.perception_scorer import ScoredRollout
from vapo.types import Anchor, Claim, Probe, Reward, Rollout, Sample, Verdict

ROLLOUT = Rollout(Sample("s", (), "?", "1"), (1,), (1, 2, 3, 4), ("a,", " b,", " c,", " d."))


def test_what_is_reported():
    seen, tables = defaultdict(list), {}
    log = PerceptionLog(lambda name, value: seen[name].append(value), tables.__setitem__, VAPO(num_anchors=4))
    verdicts = [
        Verdict(Probe(ROLLOUT, Anchor(3, 0.75), Claim("a dog", False)), 0.8),
        Verdict(Probe(ROLLOUT, Anchor(1, 0.25), Claim("a cat", True)), 0.9),
    ]
    rewards = [Reward(1.0, 0.0, 0.4, 0.04, 1.04), Reward(0.0, 0.0, None, 0.0, 0.0)]
    probes = tuple(verdict.probe for verdict in verdicts)
    scored = [
        ScoredRollout(ROLLOUT, probes, tuple(verdicts), rewards[0], True),
        ScoredRollout(ROLLOUT, probes[:1], (), rewards[1], False),
    ]
    log.add(scored, tables=True)
    assert seen == {
        "perception/gate_open": [1.0, 0.0],
        "perception/anchors_without_boundary": [0.5, 0.75],
        "perception/reward": [0.4],
        "perception/accuracy": [0.0, 1.0],
        "perception/yes_rate": [1.0, 1.0],
        "perception/accuracy_true": [1.0],
        "perception/accuracy_false": [0.0],
        "perception/accuracy_quarter_3": [0.0],
        "perception/accuracy_quarter_1": [1.0],
    }
    assert tables["num_tokens"] == [4, 4]
    first, second = (json.loads(cell) for cell in tables["anchors"])
    assert [row["index"] for row in first] == [1, 3] and first[0]["before"] == "a," and second == []


def test_rows_without_claims_are_counted_and_part_of_no_other_number():
    seen = defaultdict(list)
    log = PerceptionLog(
        lambda name, value: seen[name].append(value), lambda *_: None, VAPO(num_anchors=4), count_unclaimed=True
    )
    claimed = Rollout(Sample("s", (), "?", "1", (Claim("a cat", True),)), (1,), (1,), ("a.",))
    log.add(
        [ScoredRollout(one, (), (), Reward(1.0, 0.0, None, 0.0, 1.0), True) for one in (ROLLOUT, claimed)],
        tables=False,
    )
    assert seen == {
        "perception/rows_without_claims": [1.0, 0.0],
        "perception/gate_open": [1.0],
        "perception/anchors_without_boundary": [1.0],
    }


def test_two_halves_of_the_probes_are_correlated_where_the_gate_is_open():
    """Probes alternate between the halves in the order of the response; the responses of a prompt are compared."""
    seen = defaultdict(list)
    log = PerceptionLog(lambda name, value: seen[name].append(value), lambda *_: None, VAPO(late_emphasis=0.0))

    def see(*hits: int, sample: Sample, gate_open: bool = True) -> ScoredRollout:
        rollout = Rollout(sample, (1,), (1, 2, 3, 4), ("a,", " b,", " c,", " d."))
        verdicts = [
            Verdict(Probe(rollout, Anchor(number, number / 4), Claim("a cat", True)), float(hit))
            for number, hit in enumerate(hits, 1)
        ]
        drawn = tuple(verdict.probe for verdict in verdicts)
        return ScoredRollout(rollout, drawn, tuple(verdicts[::-1]), Reward(1.0, 0.0, 0.5, 0.0, 1.0), gate_open)

    first, second = Sample("1", (), "?", "1"), Sample("2", (), "?", "1")
    scored = [
        see(1, 1, 1, 1, sample=first),  # halves 1 and 1
        see(0, 0, 0, 0, sample=first),  # 0 and 0
        see(1, 0, 1, 0, sample=second),  # 1 and 0
        see(0, 1, 0, 1, sample=second),  # 0 and 1
        see(1, 1, 1, 1, sample=second, gate_open=False),
    ]
    log.add(scored[:2], tables=False)
    log.add(scored, tables=False)
    log.add(scored[:1], tables=False)
    assert seen["perception/split_half_correlation"] == pytest.approx([1.0, 0.0])
