"""Which tokens a checkpoint has never trained, as far as the rows of its embeddings tell.

Rows that no text reaches end up small, or close to each other, or among the rows behind the vocabulary, which fill a
matrix up to a round size and are untrained by construction.

Source: arXiv 2405.05417, Section 2, whose indicators these are.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch

BLOCKS, ROWS_OF_A_BLOCK = 32, 64
"""Rows of ordinary tokens that a row is compared with: read in runs, so that a file is not read whole."""
FEWEST_UNUSED, MOST_UNUSED = 8, 256
NEAR = 0.1
"""Distance of two rows that count as the same, as a share of the usual distance of ordinary rows."""
SMALL = 0.25
"""Norm of a row that counts as small, as a share of the usual norm of ordinary rows."""
MARGIN, MOST_INSIDE = 1.25, 0.05
"""How far around unused rows a row counts as one of them, and the share of ordinary rows that may lie there."""


def list_embeddings(model: Any) -> list[torch.Tensor]:
    """Return a model's matrices of shape (vocabulary, hidden): of its input, and of its output if it is another."""
    modules = (model.get_input_embeddings(), model.get_output_embeddings())
    found = {id(module.weight): module.weight for module in modules if module is not None}
    return [weight.detach() for weight in found.values() if weight.is_floating_point() and weight.ndim == 2]


def look_untrained(
    token_ids: Sequence[int], tables: Sequence[Any], vocabulary_size: int, added_ids: Collection[int]
) -> bool | None:
    """Tell whether one of some tokens looks untrained in every matrix; None if there is no matrix that holds them.

    Args:
        token_ids: the tokens.
        tables: matrices of shape (vocabulary, hidden), as `list_embeddings` and `opened_embeddings` give them.
        vocabulary_size: tokens that a tokenizer has; rows behind them belong to none.
        added_ids: of tokens that no ordinary text is made of.
    """
    tables = [table for table in tables if _count_rows(table) > max(token_ids)]
    if not tables:
        return None
    untrained = [_find_untrained(token_ids, table, vocabulary_size, frozenset(added_ids)) for table in tables]
    return any(all(own) for own in zip(*untrained, strict=True))


def _find_untrained(
    token_ids: Sequence[int], table: Any, vocabulary_size: int, added_ids: frozenset[int]
) -> list[bool]:
    ordinary_ND = _read_ordinary(table, vocabulary_size, added_ids)
    unused_ND = table[vocabulary_size : min(vocabulary_size + MOST_UNUSED, _count_rows(table))].float().cpu()
    others_ND = torch.cat([unused_ND, *(_read_row(table, token)[None] for token in sorted(added_ids - {*token_ids}))])
    usual_norm = _measure(ordinary_ND).median()
    usual_distance = _measure(ordinary_ND[1:] - ordinary_ND[:-1]).median()
    centre_D, radius = None, torch.tensor(0.0)
    if len(unused_ND) >= FEWEST_UNUSED:
        centre_D = unused_ND.mean(0)
        radius = MARGIN * _measure(unused_ND - centre_D).max()
        inside = (_measure(ordinary_ND - centre_D) <= radius).float().mean()
        centre_D = centre_D if inside <= MOST_INSIDE else None
    rows = [_read_row(table, token) for token in token_ids]
    found: list[bool] = []
    for place, row_D in enumerate(rows):
        rivals_ND = torch.stack([*others_ND, *rows[:place], *rows[place + 1 :]])
        nearest = _measure(rivals_ND - row_D).min() if len(rivals_ND) else usual_distance
        is_small = _measure(row_D) < SMALL * usual_norm
        is_inside = centre_D is not None and _measure(row_D - centre_D) <= radius
        found.append(bool(is_small or is_inside or nearest < NEAR * usual_distance))
    return found


def _measure(rows_ND: torch.Tensor) -> torch.Tensor:
    return rows_ND.square().sum(-1).sqrt()


def _read_ordinary(table: Any, vocabulary_size: int, added_ids: frozenset[int]) -> torch.Tensor:
    last = min(vocabulary_size, _count_rows(table))
    step = max(last // BLOCKS, ROWS_OF_A_BLOCK)
    blocks: list[torch.Tensor] = []
    for start in range(0, last, step):
        stop = min(start + ROWS_OF_A_BLOCK, last)
        kept = [token - start for token in range(start, stop) if token not in added_ids]
        blocks.append(table[start:stop].float().cpu()[kept])
    return torch.cat(blocks)


def _read_row(table: Any, token: int) -> torch.Tensor:
    return table[token : token + 1].float().cpu()[0]


def _count_rows(table: Any) -> int:
    return table.shape[0] if isinstance(table, torch.Tensor) else table.get_shape()[0]
