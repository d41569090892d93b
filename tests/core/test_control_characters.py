from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vapo.core.control_characters import show_controls, show_on_one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("done\rlost", "done\\rlost"),
        ("a\u202eb\u2066c", "a\\u202eb\\u2066c"),
        ("a\u2028b\ud800", "a\\u2028b\\ud800"),
        ("one\n\ttwo é 猫 👩‍🚀 می‌خواهم", "one\n\ttwo é 猫 👩‍🚀 می‌خواهم"),
    ],
)
def test_what_steers_a_terminal_is_shown(text: str, shown: str) -> None:
    assert show_controls(text) == shown


@given(st.text(st.characters()))
def test_any_text_can_be_printed_on_one_line(text: str) -> None:
    shown = show_on_one_line(text)
    assert len(shown.splitlines()) <= 1 and show_on_one_line(shown) == shown
    shown.encode()
