"""Switch a model's attention to another registered implementation, for as long as a pass takes."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any


@contextmanager
def switched_attention(config: Any, implementation: str) -> Generator[None]:
    """Make the layers that read `config` use an implementation, and put back the one that was there.

    Args:
        config: of the text part alone (`find_feature_module(model).get_decoder().config`): the vision part keeps its
            own.
        implementation: a name registered with transformers' AttentionInterface and AttentionMaskInterface.
    """
    before = config._attn_implementation
    config._attn_implementation = implementation
    try:
        yield
    finally:
        config._attn_implementation = before
