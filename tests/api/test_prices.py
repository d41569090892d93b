from __future__ import annotations

import pytest

from vapo.api.prices import Prices


def test_cost():
    # 300 x 2.5 / 10^6 + 30 x 10 / 10^6 = 0.00105
    assert Prices(2.5, 10.0).cost(300, 30) == pytest.approx(0.00105)
    assert Prices(2.5, 10.0).cost(0, 0) == 0
