from __future__ import annotations

from types import SimpleNamespace

import pytest

from vapo.errors import ModelError
from vapo.models.think_tags import check_think_tags


def test_a_hidden_tag_is_named_and_what_to_do_about_it():
    check_think_tags(SimpleNamespace(all_special_tokens=["<|im_end|>"]))
    with pytest.raises(ModelError, match=r"treats </think> as special, .*\(special=False\), or something else$"):
        check_think_tags(SimpleNamespace(all_special_tokens=["<|im_end|>", "</think>"]), ", or something else")
