r"""Which share of its attention a query gives to some of the keys that it sees, without keeping the weights.

For scores s_j over the keys j that a query sees, and a set K of keys::

    sum_{j in K} softmax(s)_j = exp(l_K - l_all),    l_K = log sum_{j in K} exp(s_j)

Scores are made a few queries at a time, in float32 whatever the states' dtype, and only their log-sum-exp is kept.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

# Scores made at a time, over all heads. On a CPU a megabyte stays in its cache; elsewhere larger pieces cost less.
_SCORES_AT_ONCE = {"cpu": 2**18}
_SCORES_AT_ONCE_ELSEWHERE = 2**23


def measure_share(
    query: torch.Tensor,
    key: torch.Tensor,
    rows: range,
    counted: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    lse: torch.Tensor | None = None,
    window: int | None = None,
    sinks: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the softmax mass that each of R queries gives to the keys that are counted.

    Args:
        query: shape (heads, R, head_dim).
        key: shape (key_heads, N, head_dim), with heads a multiple of key_heads.
        rows: the places of the queries among the keys, consecutive.
        counted: the places of the keys that count, ascending, on the CPU.
        mask: which keys are seen, shape (1 or heads, R, N), booleans or what is added to scores; None is causal.
        scale: factor of the scores.
        lse: log-sum-exp of each query over all keys that it sees, shape (heads, R), where it is known already.
        window: without a mask, a query sees only keys less than so many places back; None sees all of them.
        sinks: a score of each head that is in the softmax beside those of keys, shape (heads,).

    Returns:
        Shape (heads, R), in [0, 1].
    """
    lse = _complete(lse, query, key, rows, mask, scale, window, sinks)
    # Rounding may leave the part a little above the whole.
    return torch.exp(sum_up(query, key, rows, counted, mask, scale, window) - lse).clamp(max=1.0).float()


def average_weights(
    query: torch.Tensor,
    key: torch.Tensor,
    rows: range,
    counted: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    lse: torch.Tensor | None = None,
    window: int | None = None,
    sinks: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the weight of each key that is counted, averaged over heads; shape (R, counted keys).

    Arguments are those of `measure_share`, which is the sum over keys of what this is the mean over heads of.
    """
    lse = _complete(lse, query, key, rows, mask, scale, window, sinks)
    weights = torch.zeros(len(rows), len(counted), device=query.device)
    for part, scores in _make_scores(query, key, rows, counted, mask, scale, window):
        weights[part, : scores.shape[-1]] = torch.exp(scores - lse[:, part, None]).mean(0).float()
    return weights


def _complete(
    lse: torch.Tensor | None,
    query: torch.Tensor,
    key: torch.Tensor,
    rows: range,
    mask: torch.Tensor | None,
    scale: float,
    window: int | None,
    sinks: torch.Tensor | None,
) -> torch.Tensor:
    """Return the log-sum-exp over all that each query sees, sinks included; shape (heads, R)."""
    if lse is None:
        lse = sum_up(query, key, rows, torch.arange(key.shape[1]), mask, scale, window)
    return lse if sinks is None else torch.logaddexp(lse, sinks.to(lse.dtype)[:, None])


def _hide(
    scores: torch.Tensor, rows: range, places: torch.Tensor, mask: torch.Tensor | None, window: int | None
) -> None:
    """Set scores of keys that a query does not see to -inf, or add what the mask adds."""
    if mask is None:
        distance = torch.arange(rows[0], rows[-1] + 1, device=scores.device)[:, None] - places
        unseen = distance < 0 if window is None else (distance < 0) | (distance >= window)
        scores.masked_fill_(unseen, -torch.inf)
    elif mask.dtype == torch.bool:
        scores.masked_fill_(~mask[..., places], -torch.inf)
    else:
        scores += mask[..., places]


def sum_up(
    query: torch.Tensor,
    key: torch.Tensor,
    rows: range,
    among: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    window: int | None = None,
) -> torch.Tensor:
    """Return log sum exp of the scores that each query gives to those keys `among` all that it sees.

    Arguments are as above; `among` are places of keys, ascending, on the CPU. Shape (heads, R); -inf where a query
    sees none of them.
    """
    dtype = torch.promote_types(query.dtype, torch.float32)
    sums = torch.empty(*query.shape[:2], dtype=dtype, device=query.device)
    for part, scores in _make_scores(query, key, rows, among, mask, scale, window):
        sums[:, part] = scores.logsumexp(-1)
    return sums


def _make_scores(
    query: torch.Tensor,
    key: torch.Tensor,
    rows: range,
    among: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    window: int | None,
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Yield some queries at a time with their scores, shape (heads, queries, keys in view of the last of them)."""
    heads, num_rows, head_dim = query.shape
    dtype = torch.promote_types(query.dtype, torch.float32)
    places = among.to(query.device)
    keys = key[:, places].to(dtype).mT
    most = _SCORES_AT_ONCE.get(query.device.type, _SCORES_AT_ONCE_ELSEWHERE)
    at_once = max(1, most // (heads * max(1, len(among))))
    for start in range(0, num_rows, at_once):
        stop = min(start + at_once, num_rows)
        # What lies behind the last query is seen by none. Counted on the CPU: a GPU would have to be waited for.
        in_view = int(torch.searchsorted(among, rows[stop - 1] + 1)) if mask is None else len(among)
        queries = (query[:, start:stop].to(dtype) * scale).reshape(len(key), -1, head_dim)  # of one key head together
        scores = (queries @ keys[..., :in_view]).view(heads, stop - start, in_view)
        _hide(scores, rows[start:stop], places[:in_view], None if mask is None else mask[:, start:stop], window)
        yield slice(start, stop), scores
