"""The softmax mass on some keys, against one dense softmax."""

from __future__ import annotations

import pytest
import torch

from vapo.models import key_shares
from vapo.models.key_shares import measure_share


def test_worked_by_hand():
    # Scores ln 1, ln 2, ln 3: the weights of the last row are 1/6, 2/6, 3/6; the row before sees 1/3, 2/3.
    key = torch.tensor([1.0, 2.0, 3.0]).log().reshape(1, 3, 1)
    counted = torch.tensor([1])
    shares = measure_share(torch.ones(1, 3, 1), key, range(3), counted, None, 1.0)
    torch.testing.assert_close(shares, torch.tensor([[0, 2 / 3, 2 / 6]]))


def test_a_sink_is_in_the_whole_alone():
    key = torch.tensor([1.0, 2.0, 3.0]).log().reshape(1, 3, 1)
    shares = measure_share(
        torch.ones(1, 1, 1), key, range(2, 3), torch.arange(2), None, 1.0, sinks=torch.tensor([0.0])
    )
    torch.testing.assert_close(shares, torch.tensor([[3 / 7]]))


def test_keys_out_of_the_window_count_in_neither_sum():
    key = torch.tensor([1.0, 2.0, 3.0]).log().reshape(1, 3, 1)
    window = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 1]]).bool()[None, None]
    shares = measure_share(torch.ones(1, 2, 1), key, range(1, 3), torch.tensor([0, 1]), window[0, :, 1:], 1.0)
    torch.testing.assert_close(shares, torch.tensor([[1, 2 / 5]]))
    slid = measure_share(torch.ones(1, 2, 1), key, range(1, 3), torch.tensor([0, 1]), None, 1.0, window=2)
    assert torch.equal(slid, shares)


@pytest.mark.parametrize("kind", ["none", "booleans", "added", "per head"])
@pytest.mark.parametrize("at_once", [1, 300, 2**20])
def test_equals_one_dense_softmax(kind, at_once, monkeypatch):
    monkeypatch.setattr(key_shares, "_SCORES_AT_ONCE", {"cpu": at_once})
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(heads, 23, 8, generator=generator) for heads in (6, 2))
    counted = torch.nonzero(torch.rand(23, generator=generator) < 0.4).flatten()
    seen = torch.ones(23, 23).tril().bool()
    if kind != "none":
        seen &= torch.ones(23, 23).triu(-6).bool()
        seen[5:9, 5:9] = True  # an image whose tokens see each other both ways
    seen = seen.expand(1, 6, 23, 23).clone() if kind == "per head" else seen[None, None]
    if kind == "per head":
        seen[0, 3] = torch.ones(23, 23).tril().bool()
    given = {"none": None, "added": torch.zeros(seen.shape).masked_fill(~seen, -torch.inf)}.get(kind, seen)
    given = given if given is None else given[0, :, 4:19]
    scores = (query @ key.repeat_interleave(3, 0).mT * 0.3).masked_fill(~seen[0], -torch.inf)
    expected = scores.softmax(-1)[..., counted].sum(-1)[:, 4:19]
    shares = measure_share(query[:, 4:19], key, range(4, 19), counted, given, 0.3)
    torch.testing.assert_close(shares, expected, atol=1e-6, rtol=0)


def test_scores_of_bfloat16_states_are_not_rounded_again():
    generator = torch.Generator().manual_seed(0)
    query, key = (10 * torch.randn(2, 40, 16, generator=generator).bfloat16() for _ in range(2))
    counted = torch.arange(9)
    shares = measure_share(query[:, 10:], key, range(10, 40), counted, None, 0.25)
    exact = measure_share(query[:, 10:].double(), key.double(), range(10, 40), counted, None, 0.25)
    torch.testing.assert_close(shares, exact, atol=1e-5, rtol=0)


def test_shares_far_below_the_others_are_zero_and_not_nan():
    key = torch.tensor([-1e4, 0.0, 1e4]).reshape(1, 3, 1)
    for counted, share in (([0], 0.0), ([2], 1.0), ([], 0.0)):
        assert (
            measure_share(torch.ones(1, 1, 1), key, range(2, 3), torch.tensor(counted, dtype=torch.long), None, 1.0)
            == share
        )
