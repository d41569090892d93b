"""Whether a tokenizer lets the tags of the thinking part be seen."""

from __future__ import annotations

from typing import Any

from vapo.core.boundaries import THINK_TAGS
from vapo.errors import ModelError


def check_think_tags(tokenizer: Any, otherwise: str = "") -> None:
    """Refuse a tokenizer under which no completion could have the format that is rewarded.

    Args:
        tokenizer: of the policy.
        otherwise: what else can be done about it, as the end of a sentence.

    Raises:
        ModelError: it treats a tag as special, so that decoding drops it.
    """
    hidden = set(THINK_TAGS) & set(tokenizer.all_special_tokens)
    if hidden:
        raise ModelError(
            f"the tokenizer treats {' and '.join(sorted(hidden))} as special, so decoding drops them and no "
            f"completion could earn the format reward; make them ordinary added tokens (special=False){otherwise}"
        )
