"""Make claims as a command says: with a model behind a server or in this process, or with a program."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from vapo.api.client import ModelClient
from vapo.api.prices import Prices
from vapo.claims.asking.embedders import LocalEmbedder, ServerEmbedder
from vapo.claims.filters.likeness import Embedder
from vapo.claims.making.make import make_claims
from vapo.claims.making.programs import WholeRow, load_program, make_claims_by_program
from vapo.claims.making.settings import MakingSettings
from vapo.claims.making.tally import Tally
from vapo.claims.making.witness import Witness
from vapo.claims.store.store import Store
from vapo.errors import ConfigError


def make_as_told(
    rows: Iterable[WholeRow],
    store: Store,
    settings: MakingSettings,
    *,
    model: str | None = None,
    base_url: str | None = None,
    program: str | None = None,
    witness: Witness | None = None,
    prices: Sequence[float] | None = None,
    concurrency: int = 32,
    timeout_s: float = 300.0,
    embeddings: str | None = None,
    local_embeddings: str | None = None,
    on_progress: Callable[[Tally], None] | None = None,
    on_notice: Callable[[str], None] = lambda notice: None,
) -> Tally:
    """Make claims with whoever is named.

    Args:
        rows, store, settings, on_progress, on_notice: see `make_claims`.
        model, base_url: a model behind a server.
        program: a function; see `load_program`.
        witness: a model in this process.
        prices: US dollars for a million tokens, read and written.
        concurrency, timeout_s: see `ModelClient`.
        embeddings: an embedding model of the server.
        local_embeddings: one of sentence-transformers.

    Raises:
        ConfigError: nobody is named, or more than one.
        VapoError: as `make_claims` and `make_claims_by_program`.
    """
    if [base_url, program, witness].count(None) != 2:
        raise ConfigError(
            "name who makes the claims: a server (--base-url), a checkpoint (--checkpoint) or a program of your own "
            "(--program)"
        )
    if embeddings is not None and (local_embeddings is not None or base_url is None):
        raise ConfigError("embeddings come from the server (--embeddings) or this process (--local-embeddings)")
    if program is not None:
        return make_claims_by_program(rows, store, load_program(program), program, settings, on_progress=on_progress)
    embedder: Embedder | None = LocalEmbedder(local_embeddings) if local_embeddings is not None else None
    if base_url is not None:
        priced = Prices(*prices) if prices is not None else None
        witness = server = ModelClient(base_url, model, concurrency=concurrency, prices=priced, timeout_s=timeout_s)
        if embeddings is not None:
            embedder = ServerEmbedder(server, embeddings)
    assert witness is not None
    return make_claims(rows, store, witness, settings, embedder=embedder, on_progress=on_progress, on_notice=on_notice)
