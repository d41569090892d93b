"""A function of a library stood in for, as long as a context lasts."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import wraps
from typing import Any


@contextmanager
def replaced_method(owner: object, name: str, method: Callable[..., Any]) -> Generator[None]:
    """Give one instance, or a module, another function of a name, and put back what it had.

    The new one keeps the signature of the old one, because libraries choose arguments by it: `generate` of
    transformers 5.18 encodes images with those that `get_image_features` names.

    Args:
        owner: an instance or a module.
        name: of a method or function that it has.
        method: called in its place, for an instance without `self`.
    """
    own = vars(owner)
    before = own.get(name)  # an instance rarely has one of its own, but another tool may have put it there
    own[name] = wraps(getattr(owner, name))(method)
    try:
        yield
    finally:
        if before is None:
            del own[name]
        else:
            own[name] = before
