"""What holds for all tests."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from vapo.versions import REPORTED

# None has a time limit: machines may be busy.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# What commands print does not depend on which packages are newer than those tested.
os.environ[REPORTED] = "1"


# What tests of one model share: they say which by a fixture `model_and_processor` of their own.
@pytest.fixture
def model(model_and_processor):
    return model_and_processor[0]


@pytest.fixture
def processor(model_and_processor):
    return model_and_processor[1]
