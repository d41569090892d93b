"""A model as it is asked, not trained: without gradients, without dropout, and left as it was found."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch


@contextmanager
def inference(model: torch.nn.Module) -> Generator[None]:
    """Run `model` without gradients and without dropout, and leave its modules' modes as they were."""
    was_training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in was_training.items():
            module.training = training
