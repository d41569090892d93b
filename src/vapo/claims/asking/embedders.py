"""Who makes embeddings of claims: a model behind the server that is asked, or one in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from vapo.api.client import ModelClient
from vapo.errors import ModelError


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
