"""What tests of one model share: they say which by a fixture `model_and_processor` of their own."""

import pytest


@pytest.fixture
def model(model_and_processor):
    return model_and_processor[0]


@pytest.fixture
def processor(model_and_processor):
    return model_and_processor[1]
