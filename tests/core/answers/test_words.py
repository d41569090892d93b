"""Words, dates, times, ranges and figures."""

import pytest

from vapo.core.answers.words import read_date, read_figure, read_said_span, read_span, read_time, spell_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The Cat.", "a cat"),
        ("grey", "Gray"),
        ("caf\u00e9", "cafe\u0301"),
        ("St. Mary’s", "St Mary's"),
        ("U.K.", "UK"),
        ("ice-cream", "ice cream"),
        ("three cats", "3 cats"),
        ("first", "1st"),
        ("It is red", "red"),
        ("H_2O", "H2O"),
        ("organise", "organize"),
        ("红色的", "红色"),
    ],
)
def test_the_same_words(one, other):
    assert spell_key(one) == spell_key(other)


@pytest.mark.parametrize(
    ("one", "other"), [("west", "stew"), ("cat", "cats"), ("not red", "red"), ("ガ", "カ"), ("Q3", "Q4")]
)
def test_other_words(one, other):
    assert spell_key(one) != spell_key(other)


def test_times():
    assert read_time("8 pm") == (20 * 3600, True) == read_time("20:00")
    assert read_time("8:30") == (8.5 * 3600, False) and read_time("noon") == (12 * 3600, True)
    assert read_time("8 o'clock") == (8 * 3600, False) == read_time("8点")
    assert read_time("8") is None and read_time("10:75") is None and read_time("5 hours") is None


def test_dates():
    for text in ("July 4, 1776", "4 July 1776", "jul 4th, 1776", "the 4th of July 1776", "1776-07-04", "1776年7月4日"):
        assert read_date(text) == (1776, 7, 4), text
    assert read_date("March 3") == (0, 3, 3) and read_date("May 2020") == (2020, 5, 0) and read_date("maybe") is None


def test_spans():
    assert read_span("2010-2015") == ("-", ("2010", "2015")) and read_span("2 : 3") == (":", ("2", "3"))
    assert read_span("07/04/1776") == ("/", ("7", "4", "1776"))
    assert read_span("-5") is None and read_span("3/4") is None and read_said_span("from 2 to 3") == ("2", "3")


def test_figures_are_named_from_either_end():
    assert read_figure("\\angle ABC") == read_figure("angle CBA") != read_figure("\\angle ACB")
    assert read_figure("\\overline{BA}") == "AB" and read_figure("AB") is None
