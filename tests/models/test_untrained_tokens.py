from __future__ import annotations

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from vapo.models.untrained_tokens import look_untrained

TAGS = (990, 991)


def make_table(rows: int = 1024, hidden: int = 64, unused: bool = False) -> torch.Tensor:
    """Rows as training leaves them; those from 1000 belong to no token, and are smaller and alike if `unused`."""
    table = torch.randn(rows, hidden, generator=torch.Generator().manual_seed(0))
    if unused:
        own = torch.randn(rows - 1000, hidden, generator=torch.Generator().manual_seed(1))
        table[1000:] = 0.6 + 0.2 * own
    return table


def change(kind: str, table: torch.Tensor) -> torch.Tensor:
    table = table.clone()
    ids = list(TAGS)
    match kind:
        case "zero":
            table[ids] = 0
        case "small":
            table[ids] *= 0.01
        case "the same row":
            table[991] = table[990] + 1e-4
        case "the row of another added token":
            table[991] = table[995]
        case "near the mean of all":
            table[ids] = table.mean(0) + 1e-5 * table[ids]
        case "like rows that no token has":
            table[ids] = 0.6 + 0.2 * torch.randn(2, 64, generator=torch.Generator().manual_seed(2))
    return table


KINDS = ("zero", "small", "the same row", "the row of another added token", "near the mean of all")


@pytest.mark.parametrize("kind", [*KINDS, "like rows that no token has"])
def test_rows_that_no_text_has_reached_are_found(kind):
    table = change(kind, make_table(unused=True))
    assert look_untrained(TAGS, [table], 1000, range(980, 1000)) is True


@pytest.mark.parametrize("kind", KINDS)
def test_no_unused_rows_are_needed(kind):
    assert look_untrained(TAGS, [change(kind, make_table(1000))], 1000, range(980, 1000)) is True


@pytest.mark.parametrize("unused", [False, True])
def test_trained_rows_are_not_taken_for_others(unused):
    assert look_untrained(TAGS, [make_table(unused=unused)], 1000, range(980, 1000)) is False


def test_where_nothing_is_trained_nothing_stands_out():
    table = 0.02 * make_table()  # as initialised, behind the vocabulary too
    assert look_untrained(TAGS, [table], 1000, range(980, 1000)) is False


def test_one_matrix_in_which_they_look_trained_is_enough():
    tables = [change("zero", make_table()), make_table()]
    assert look_untrained(TAGS, tables, 1000, range(980, 1000)) is False


def test_one_untrained_tag_is_enough():
    table = make_table()
    table[991] = 0
    assert look_untrained(TAGS, [table], 1000, range(980, 1000)) is True


def test_without_a_matrix_nothing_is_said():
    assert look_untrained(TAGS, [], 1000, ()) is None
    assert look_untrained(TAGS, [make_table(500)], 1000, ()) is None


def test_files_are_read_as_matrices_are(tmp_path):
    save_file({"x": change("zero", make_table()).bfloat16()}, tmp_path / "x.safetensors")
    with safe_open(tmp_path / "x.safetensors", "pt") as file:
        assert look_untrained(TAGS, [file.get_slice("x")], 1000, range(980, 1000)) is True
