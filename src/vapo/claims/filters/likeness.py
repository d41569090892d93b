"""Find claims that say the same in other words, by their embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from vapo.claims.filters.sifting import Likeness
from vapo.claims.filters.words import find_figures


class Embedder(Protocol):
    """Makes vectors of texts."""

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """Return a vector for each text. Raises VapoError."""
        ...


async def compare_by(embedder: Embedder, new: Sequence[str], known: Sequence[str]) -> Likeness:
    """Return how alike texts are: the cosine of their embeddings, and 0 where they are exact about different things.

    To an embedding, "The picture shows AU3." and "The picture shows AU4." are nearly the same; numbers and names of
    single letters tell them apart.

    Args:
        embedder: makes the vectors.
        new, known: all texts that will be compared.
    """
    texts = list(dict.fromkeys([*new, *known]))
    vectors = np.asarray(await embedder.embed(texts), dtype=np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = dict(zip(texts, vectors / np.maximum(lengths, 1e-12), strict=True))

    def compare(one: str, other: str) -> float:
        return float(unit[one] @ unit[other]) if find_figures(one) == find_figures(other) else 0.0

    return compare
