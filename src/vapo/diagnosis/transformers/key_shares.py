r"""Which share of its attention a query gives to some of the keys that it sees, without keeping the weights.

For scores s_j over the keys j that a query sees, and a set K of keys::

    sum_{j in K} softmax(s)_j = exp(l_K - l_all),    l_K = log sum_{j in K} exp(s_j)

Scores are made a few queries at a time, in float32 whatever the states' dtype, and only their log-sum-exp is kept.
"""

from __future__ import annotations

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
) -> torch.Tensor:
    """Return the softmax mass that each of `rows` gives to the keys that are counted.

    Args:
        query: shape (heads, N, head_dim).
        key: shape (key_heads, N, head_dim), with heads a multiple of key_heads.
        rows: the queries to measure, consecutive.
        counted: the places of the keys that count, ascending, on the CPU.
        mask: which keys are seen, shape (1, 1 or heads, N, N), booleans or what is added to scores; None is causal.
        scale: factor of the scores.
        lse: log-sum-exp of each query over all keys, shape (heads, N), where it is known already.

    Returns:
        Shape (heads, len(rows)), in [0, 1].
    """
    all_keys = torch.arange(query.shape[1])
    own = slice(rows.start, rows.stop)
    lse_all = sum_up(query, key, rows, all_keys, mask, scale) if lse is None else lse[:, own]
    # Rounding may leave the part a little above the whole.
    return torch.exp(sum_up(query, key, rows, counted, mask, scale) - lse_all).clamp(max=1.0).float()


def sum_up(
    query: torch.Tensor, key: torch.Tensor, rows: range, among: torch.Tensor, mask: torch.Tensor | None, scale: float
) -> torch.Tensor:
    """Return log sum exp of the scores that each of `rows` gives to those keys `among` all that it sees.

    Arguments are as above; `among` are places of keys, ascending, on the CPU. Shape (heads, len(rows)); -inf where a
    query sees none of them.
    """
    heads, _, head_dim = query.shape
    dtype = torch.promote_types(query.dtype, torch.float32)
    places = among.to(query.device)
    keys = key[:, places].to(dtype).mT
    sums = torch.empty(heads, len(rows), dtype=dtype, device=query.device)
    most = _SCORES_AT_ONCE.get(query.device.type, _SCORES_AT_ONCE_ELSEWHERE)
    at_once = max(1, most // (heads * max(1, len(among))))
    for start in range(rows.start, rows.stop, at_once):
        stop = min(start + at_once, rows.stop)
        # What lies behind the last query is seen by none. Counted on the CPU: a GPU would have to be waited for.
        in_view = int(torch.searchsorted(among, stop)) if mask is None else len(among)
        queries = (query[:, start:stop].to(dtype) * scale).reshape(len(key), -1, head_dim)  # of one key head together
        scores = (queries @ keys[..., :in_view]).view(heads, stop - start, in_view)
        if mask is None:
            rows_now = torch.arange(start, stop, device=query.device)
            scores.masked_fill_(places[:in_view] > rows_now[:, None], -torch.inf)
        elif mask.dtype == torch.bool:
            scores.masked_fill_(~mask[0, :, start:stop][..., places], -torch.inf)
        else:
            scores += mask[0, :, start:stop][..., places]
        sums[:, start - rows.start : stop - rows.start] = scores.logsumexp(-1)
    return sums
