from __future__ import annotations

import sys
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace

import pytest

from vapo.algorithms.algorithm import Algorithm
from vapo.algorithms.grpo import GRPO
from vapo.algorithms.options import option
from vapo.algorithms.registry import BUILT_IN, find_algorithm, make_algorithm
from vapo.algorithms.vapo import VAPO
from vapo.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Outside(Algorithm):
    weight: float = option(0.5, "Its own.", at_least=0)
    perception_weight: float = option(0.1, "Shared with the run.")


@dataclass(frozen=True, kw_only=True)
class Demanding(Algorithm):
    must: int


@pytest.fixture(autouse=True)
def package(monkeypatch):
    module = ModuleType("outside_package")
    module.Outside, module.Demanding, module.number = Outside, Demanding, 3
    monkeypatch.setitem(sys.modules, "outside_package", module)


def run(name, **options):
    return SimpleNamespace(algorithm=name, **options)


def test_those_that_come_with_it():
    assert find_algorithm("vapo") is VAPO and find_algorithm("grpo") is GRPO
    assert all(issubclass(find_algorithm(name), Algorithm) for name in BUILT_IN)


def test_options_of_the_run_are_taken_by_name_and_others_are_left():
    made = make_algorithm(run("vapo", num_anchors=4, accuracy_gate="none", learning_rate=1.0))
    assert made == VAPO(num_anchors=4, accuracy_gate="none")


def test_one_of_ones_own_by_its_import_path():
    made = make_algorithm(run("outside_package:Outside", perception_weight=0.3), {"weight": 2.0})
    assert made == Outside(weight=2.0, perception_weight=0.3)


@pytest.mark.parametrize(
    ("name", "own", "message"),
    [
        ("vapoo", {}, "is none of grpo, vapo, .*; the nearest is 'vapo'; one of your own is named by its import path"),
        ("outside_package:", {}, "is none of grpo, vapo"),
        ("no_such_package:Method", {}, "cannot be imported: No module named 'no_such_package'; install the package"),
        ("outside_package:number", {}, "has no class 'number' that derives from"),
        ("outside_package:Missing", {}, "has no class 'Missing' that derives from"),
        ("outside_package:Outside", {"weigth": 1}, "has no option 'weigth'; the nearest is 'weight'"),
        ("outside_package:Outside", {"perception_weight": 1}, "is an option of the run; set it there"),
        ("outside_package:Outside", {"weight": -1}, "weight must be at least 0"),
        ("outside_package:Demanding", {}, "cannot be made: .* 'must'"),
    ],
)
def test_refusals(name, own, message):
    with pytest.raises(ConfigError, match=message):
        make_algorithm(run(name, perception_weight=0.3), own)
