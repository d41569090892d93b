"""Find claims that say the same in other words, by embeddings from the server that is asked or from this process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from vapo.api.client import ModelClient
from vapo.claims.filters.claim_filter import Similarity
from vapo.claims.filters.words import find_figures
from vapo.errors import ModelError


class Embedder(Protocol):
    """Makes vectors of texts."""

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """Return a vector for each text. Raises VapoError."""
        ...


async def make_similarity(embedder: Embedder, new: Sequence[str], known: Sequence[str]) -> Similarity:
    """Return how alike texts are: the cosine of their embeddings, and 0 where they are exact about different things.

    To an embedding, "The image shows AU3." and "The image shows AU4." are nearly the same; numbers and names of
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


class ServerEmbedder:
    """Ask a server's own model for embeddings.

    Args:
        server: the server.
        model: the name of its embedding model.
    """

    def __init__(self, server: ModelClient, model: str) -> None:
        self._server = server
        self._model = model

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return a vector for each text. Raises ServerError."""
        return await self._server.embed(self._model, texts)


class LocalEmbedder:
    """Compute embeddings with a model of the sentence-transformers library.

    Args:
        model: a folder, or a name on the Hugging Face hub, such as `sentence-transformers/all-MiniLM-L6-v2`.

    Raises:
        ModelError: the library is missing, or the model cannot be loaded.
    """

    def __init__(self, model: str) -> None:
        try:
            library: Any = import_module("sentence_transformers")
        except ImportError as error:
            raise ModelError(
                "embeddings in this process need sentence-transformers: pip install 'vapo[claims]'. Or name a model "
                "of the server with --embeddings, or do without: claims in the same words are found all the same"
            ) from error
        try:
            self._model: Any = library.SentenceTransformer(model)
        except (OSError, ValueError) as error:
            raise ModelError(f"the embedding model {model!r} cannot be loaded: {error}") from error
        self._lock = asyncio.Lock()

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """Return a vector for each text."""
        async with self._lock:  # the model is not made for several threads
            return await asyncio.to_thread(self._model.encode, list(texts), show_progress_bar=False)
