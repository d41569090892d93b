from __future__ import annotations

import random
import time
from email.utils import formatdate

import pytest

from vapo.api.retry_policy import MAX_BACK_OFF_S, back_off, choose_wait, find_retry_after


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"Retry-After-Ms": "250", "Retry-After": "7"}, 0.25),
        ({"Retry-After-Ms": "soon", "Retry-After": "7"}, 7.0),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After-Ms": "nan", "Retry-After": "7"}, 7.0),
        ({}, None),
    ],
)
def test_what_a_server_asks_for(headers, seconds):
    assert find_retry_after(headers) == seconds


def test_a_date_is_a_wait_until_then():
    found = find_retry_after({"Retry-After": formatdate(time.time() + 100, usegmt=True)})
    assert found is not None and 90 < found <= 101
    assert find_retry_after({"Retry-After": formatdate(0, usegmt=True)}) == 0.0


def test_back_off_doubles_up_to_a_limit():
    rng = random.Random(0)
    for failures, most in ((1, 0.5), (2, 1.0), (5, 8.0), (7, MAX_BACK_OFF_S), (10_000, MAX_BACK_OFF_S)):
        waits = [back_off(failures, rng) for _ in range(200)]
        assert most / 2 <= min(waits) < max(waits) <= most


@pytest.mark.parametrize("asked", [None, 0.0, 1e-9])
def test_a_server_that_asks_for_no_wait_is_waited_for_all_the_same(asked):
    assert choose_wait(asked, 3, random.Random(0)) >= 0.05
    assert choose_wait(asked, 7, random.Random(0)) >= (0.05 if asked else MAX_BACK_OFF_S / 2)


def test_a_server_is_waited_for_as_long_as_it_asks():
    assert choose_wait(7.0, 1, random.Random(0)) == 7.0
