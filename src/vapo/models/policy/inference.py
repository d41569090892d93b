"""A model as it is asked, not trained: without gradients, without dropout, and left as it was found."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch

from vapo.errors import ModelError, VapoError
from vapo.versions import choose_remedy


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


@contextmanager
def explaining_failures(name: str, given: str = "what its processor made of a prompt") -> Generator[None]:
    """Turn what a family's own code raises into a sentence; memory that is short stays so.

    Args:
        name: what errors call the model, or its processor.
        given: what it fails on.

    Raises:
        ModelError: it fails.
    """
    try:
        yield
    except (VapoError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a family's code raises what it likes
        said = next(iter(str(error).strip().splitlines()), "")
        raise ModelError(
            f"{name} fails on {given} ({type(error).__name__}: {said}); use "
            f"{choose_remedy('another model, or another version of it')}"
        ) from error
