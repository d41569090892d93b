from __future__ import annotations

from dataclasses import fields

import pytest

from vapo import VAPOConfig
from vapo.algorithms.algorithm import Needs, SecondView
from vapo.algorithms.grpo import GRPO
from vapo.algorithms.vapo import VAPO
from vapo.errors import ConfigError
from vapo.verl.settings import LoopSettings, read_settings


def test_the_defaults_are_those_of_the_trainer():
    assert read_settings({}).make_algorithm() == VAPO() == VAPOConfig("run").make_algorithm()
    known = {field.name for field in fields(VAPOConfig)}
    assert {field.name for field in fields(LoopSettings)} - known == {"probe_timeout", "validation_probes"}


def test_grpo_asks_nothing():
    assert not read_settings({"algorithm": "grpo"}).make_algorithm().needs.claims


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        (Needs(token_loss=True), "weighs tokens or responses, or adds to the loss of tokens"),
        (Needs(image_similarity=True), "the similarity of tokens to the image, or attention on it"),
        (Needs(image_attention="all"), "the similarity of tokens to the image, or attention on it"),
        (Needs(second_view=SecondView()), "a second view of the image"),
    ],
)
def test_what_a_plug_in_cannot_give_is_refused_by_name(monkeypatch, needs, message):
    monkeypatch.setattr(GRPO, "needs", needs)
    with pytest.raises(ConfigError, match=f"algorithm 'grpo' .*{message}.* `vapo train`"):
        read_settings({"algorithm": "grpo"}).make_algorithm()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_anchor": 4}, "the nearest is 'num_anchors'"),
        ({"accuracy_gate": "open"}, "accuracy_gate must be one of strict, relaxed, graded, none"),
        ({"closed_gate_probe_share": 2}, "closed_gate_probe_share must be at most 1"),
        ({"probe_timeout": 0}, "probe_timeout must be more than 0"),
        ({"num_anchors": -1}, "num_anchors must be at least 0"),
        ({"probe_template": "Is it?"}, "must contain {claim}"),
    ],
)
def test_wrong_settings_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        read_settings(given)
