from __future__ import annotations

import pytest
import torch

from vapo import versions
from vapo.errors import DataError, ModelError
from vapo.models.policy.inference import explaining_failures


def fail(error: BaseException) -> None:
    with explaining_failures("seer"):
        raise error


def test_what_a_models_own_code_raises_is_a_sentence(monkeypatch):
    monkeypatch.setattr(versions, "find_untested", lambda: [])
    with pytest.raises(ModelError, match=r"^seer fails on .* \(AttributeError: no image_outputs\); use another model"):
        fail(AttributeError("no image_outputs\nin this version"))
    monkeypatch.setattr(versions, "find_untested", lambda: ["transformers 9 (tested up to 8)"])
    with pytest.raises(ModelError, match=r"\(StopIteration: \); use tested versions instead of transformers 9"):
        fail(StopIteration())


@pytest.mark.parametrize("error", [DataError("row 1"), torch.OutOfMemoryError("full"), KeyboardInterrupt()])
def test_what_others_explain_is_left_to_them(error):
    with pytest.raises(type(error)):
        fail(error)
