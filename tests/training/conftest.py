"""A trainer of a small model, for tests of what it does."""

import pytest
from tiny_models import save_tiny
from training.training_world import (
    even_letters,
    make_config,
    make_rows,
)

from vapo import VAPOTrainer


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Find a small model of a family, which is made once for each file of tests."""
    made: dict[str, str] = {}

    def find(family: str) -> str:
        if family not in made:
            made[family] = str(save_tiny(family, tmp_path_factory.mktemp(family)))
        return made[family]

    return find


@pytest.fixture(scope="module")
def checkpoint(checkpoints) -> str:
    return checkpoints("llava")


@pytest.fixture
def make_trainer(checkpoint, tmp_path):
    def make(rows=None, reward_funcs=even_letters, model=checkpoint, trainer_options=None, **options) -> VAPOTrainer:
        return VAPOTrainer(
            model,
            reward_funcs=reward_funcs,
            args=make_config(tmp_path, **options),
            train_dataset=make_rows() if rows is None else rows,
            **(trainer_options or {}),
        )

    return make
