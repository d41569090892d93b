"""One thread, as in the tests of the lab."""

from lab.conftest import one_thread

__all__ = ["one_thread"]
