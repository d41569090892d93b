from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_type_hints

import pytest

from vapo.algorithms.options import check_options, list_choices, make_options_class, option
from vapo.errors import ConfigError


@dataclass(frozen=True)
class Method:
    count: int = option(3, "How many.", at_least=0)
    share: float = option(0.5, "Which part.", at_least=0, at_most=1)
    place: Literal["front", "back"] = option("front", "Where.")
    free: str = "anything"


@pytest.mark.parametrize("given", [{}, {"count": 0}, {"share": 1}, {"share": None}, {"place": "back"}, {"free": ""}])
def test_what_passes(given):
    check_options(Method(**given))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"count": -1}, "count must be at least 0, but is -1"),
        ({"share": 1.5}, "share must be at most 1, but is 1.5"),
        ({"place": "top"}, "place must be one of front, back, but is 'top'"),
    ],
)
def test_what_does_not(given, message):
    with pytest.raises(ConfigError, match=message):
        check_options(Method(**given))


def test_choices_are_those_of_a_literal():
    assert list_choices(Literal["a", "b"]) == list_choices(Literal["a", "b"] | None) == ("a", "b")
    assert list_choices(int | None) == ()


@dataclass
class Run(make_options_class("Options", Method, unset=("place",))):
    own: int = 1


def test_a_configuration_has_the_options_of_a_method_and_checks_them():
    assert [one.name for one in fields(Run)] == ["count", "share", "place", "free", "own"]
    run = Run(count=2)
    assert (run.count, run.share, run.place) == (2, 0.5, None)
    assert get_type_hints(Run)["place"] == Literal["front", "back"] | None
    check_options(run)
    with pytest.raises(ConfigError, match="place must be one of front, back"):
        check_options(Run(place="top"))
