"""Claims by the policy that is trained, in place of those of the data, written anew every so many steps.

arXiv 2509.25848, Appendix B.15, lets the policy write its own claims. Here it is asked about the pictures of a batch
when their turn comes, as `vapo claims make` asks a server: same instruction, same filters. What it said is kept in a
store in the run's folder, one for each stretch of steps, so that it can be audited, and a run that goes on asks for
nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from trl import GRPOTrainer

from vapo.claims.making.make import make_claims
from vapo.claims.making.settings import MakingSettings
from vapo.claims.store.claims import read_claims
from vapo.claims.store.images import find_row
from vapo.claims.store.store import Store
from vapo.core.picture_names import name_image
from vapo.engines.policy.checkpoint import Policy
from vapo.engines.policy.witness import PolicyWitness
from vapo.engines.run_folder import OWN_CLAIMS
from vapo.engines.trl.rows import list_images
from vapo.errors import ConfigError

_TOKENS_OF_A_CLAIM = 64
"""Room for 20 words and what JSON stands around them; a policy that rambles costs no more than that."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """A row's pictures, called by their pixels, as the making of claims wants them."""

    name: str
    images: tuple[Image, ...]
    source: str = "training"
    stamp: str = ""

    def open(self) -> tuple[Image, ...]:
        return self.images


class OwnClaims:
    """Renews the claims of rows.

    Args:
        trainer: its model is asked, in this process.
        every: steps after which claims are written anew.
        per_image: claims about an image.
        collective: whether a forward pass is one of all processes.

    Raises:
        ConfigError: the model's parameters are spread over processes, so that none of them can write alone.
    """

    def __init__(self, trainer: GRPOTrainer, *, every: int, per_image: int, collective: bool) -> None:
        if collective:
            raise ConfigError(
                "own_claims_steps needs the whole model in each process; with FSDP or ZeRO stage 3 let a checkpoint "
                "of the run write claims instead: vapo claims make --model ..."
            )
        self._trainer: Any = trainer
        self._every = every
        self._settings = MakingSettings(per_image=per_image, tries=1, max_tokens=_TOKENS_OF_A_CLAIM * per_image)

    @property
    def store(self) -> Path:
        """Where the claims of the present stretch of steps are kept."""
        begin = self._trainer.state.global_step // self._every * self._every
        return Path(self._trainer.args.output_dir) / OWN_CLAIMS / f"step-{begin}.db"

    def renew(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return rows with the policy's claims about their pictures.

        Where it did not manage to write right and wrong ones, a row keeps its own.
        """
        shown = [_Shown(" ".join(name_image(i) for i in images), tuple(images)) for images in map(list_images, rows)]
        asked = list({one.name: one for one in shown if one.images}.values())
        written = self._ask(asked)
        renewed = [
            {**row, "claims": written.get(one.name, row["claims"])} for row, one in zip(rows, shown, strict=True)
        ]
        self._trainer._log_metric("claims/own_share", len(written) / len(asked) if asked else 0.0)
        return renewed

    def _ask(self, shown: Sequence[_Shown]) -> dict[str, list[dict[str, Any]]]:
        # In a thread of its own: there no event loop runs, as one does in a notebook, and signals stay the trainer's.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(self._make, shown).result()

    def _make(self, shown: Sequence[_Shown]) -> dict[str, list[dict[str, Any]]]:
        trainer = self._trainer
        if trainer.accelerator.device.type == "cuda":
            torch.cuda.set_device(trainer.accelerator.device)  # threads begin on the first one
        model = trainer.accelerator.unwrap_model(trainer.model)
        policy = Policy(model, trainer.processing_class, f"policy at step {trainer.state.global_step}")
        self.store.parent.mkdir(parents=True, exist_ok=True)
        with Store(self.store, create=True) as store:
            batch_size = trainer.args.per_device_train_batch_size
            make_claims(shown, store, PolicyWitness(policy, batch_size=batch_size), self._settings)
            found = {one.name: find_row(store, one.source, one.name) for one in shown}
            claims = {name: read_claims(store, row.image_set) for name, row in found.items() if row is not None}
        return {
            name: [{"text": kept.claim.text, "is_true": kept.claim.is_true} for kept in own]
            for name, own in claims.items()
            if {kept.claim.is_true for kept in own} == {True, False}
        }
