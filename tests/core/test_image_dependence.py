from __future__ import annotations

from math import log

import pytest
import torch

from vapo.core.image_dependence import MOST, estimate_dependence, stretch_to_unit


def test_values_by_hand():
    p, q = torch.tensor([0.5, 0.25, 0.5]), torch.tensor([0.25, 0.5, 0.5])
    expected = torch.tensor([0.5 + log(2) - 1, 2 - log(2) - 1, 0.0])
    torch.testing.assert_close(estimate_dependence(p.log(), q.log()), expected)


def test_its_mean_over_tokens_drawn_from_p_is_the_divergence():
    p, q = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.2, 0.5, 0.3])
    mean = (p * estimate_dependence(p.log(), q.log())).sum()
    torch.testing.assert_close(mean, (p * (p / q).log()).sum())


@pytest.mark.parametrize("log_p", [-100.0, 0.0])
def test_no_token_outweighs_all_others(log_p):
    found = estimate_dependence(torch.tensor([log_p]), torch.tensor([-100.0 - log_p]))
    assert found.item() == MOST


def test_numbers_are_stretched_over_the_unit_interval():
    torch.testing.assert_close(stretch_to_unit(torch.tensor([2.0, 4.0, 3.0])), torch.tensor([0.0, 1.0, 0.5]))
    assert stretch_to_unit(torch.tensor([3.0, 3.0])) is None
