"""Scores of a few tokens, from probabilities that can be reckoned with by hand."""

from __future__ import annotations

import torch

from vapo.types import TokenScores


def score_tokens(probabilities, second=None, **streams) -> TokenScores:
    """Return the scores of tokens with these probabilities, with the image and behind its second view."""
    behind = None if second is None else score_tokens(second)
    entropies = torch.linspace(0.1, 0.5, len(probabilities))
    streams = {name: torch.tensor(values) for name, values in streams.items()}
    return TokenScores(torch.tensor(probabilities).log().requires_grad_(), entropies, behind, **streams)
