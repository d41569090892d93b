"""Claims by the policy that is trained, in place of those of the data, written anew every so many steps.

arXiv 2509.25848, Appendix B.15, lets the policy write its own claims. Here it is asked about the images of a batch
when their turn comes, as `vapo claims make` asks a server: same instruction, same filters. What it said is kept in a
store in the run's folder, one for each stretch of steps, so that it can be audited, and a run that goes on asks for
nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL.Image import Image
from trl import GRPOTrainer

from vapo.claims.claim_writing import write_claims
from vapo.claims.making.settings import MakingSettings
from vapo.claims.store.claims import add_claims, read_claims
from vapo.claims.store.images import add_image_set, add_row, encode_stored_image, find_row
from vapo.claims.store.store import Store
from vapo.core.image_names import name_image
from vapo.errors import ConfigError
from vapo.models.policy.checkpoint import Policy
from vapo.run_folder import OWN_CLAIMS
from vapo.training.rows import list_images

_SOURCE = "training"
_TOKENS_OF_A_CLAIM = 64
"""Room for 20 words and what JSON stands around them; a policy that rambles costs no more than that."""


class OwnClaims:
    """Renews the claims of rows.

    Args:
        trainer: its model is asked, in this process, every `own_claims_steps`; for as many claims as are probed.
        collective: whether a forward pass is one of all processes.

    Raises:
        ConfigError: the model's parameters are spread over processes, so that none of them can write alone.
    """

    def __init__(self, trainer: GRPOTrainer, *, collective: bool) -> None:
        if collective:
            raise ConfigError(
                "own_claims_steps needs the whole model in each process; with FSDP or ZeRO stage 3 let a checkpoint "
                "of the run write claims instead: vapo claims make --model ..."
            )
        self._trainer: Any = trainer
        self._every = int(self._trainer.args.own_claims_steps)
        per_image = max(2, self._trainer.algorithm.max_probes)
        self._settings = MakingSettings(per_image=per_image, tries=1, max_tokens=_TOKENS_OF_A_CLAIM * per_image)

    @property
    def store(self) -> Path:
        """Where the claims of the present stretch of steps are kept."""
        begin = self._trainer.state.global_step // self._every * self._every
        return Path(self._trainer.args.output_dir) / OWN_CLAIMS / f"step-{begin}.db"

    def renew(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return rows with the policy's claims about their images.

        Where it did not manage to write right and wrong ones, a row keeps its own.
        """
        shown = [(" ".join(name_image(image) for image in images), images) for images in map(list_images, rows)]
        asked = {name: images for name, images in shown if images}
        written = self._write(asked)
        self._trainer._log_metric("claims/own_share", len(written) / len(asked) if asked else 0.0)
        return [
            {**row, "claims": written.get(name, row["claims"])} for row, (name, _) in zip(rows, shown, strict=True)
        ]

    def _write(self, shown: Mapping[str, Sequence[Image]]) -> dict[str, list[dict[str, Any]]]:
        """Return the claims about images, by what rows call these; those asked about before are not asked again."""
        trainer = self._trainer
        model = trainer.accelerator.unwrap_model(trainer.model)
        policy = Policy(model, trainer.processing_class, f"policy at step {trainer.state.global_step}")
        self.store.parent.mkdir(parents=True, exist_ok=True)
        with Store(self.store, create=True) as store:
            new = [name for name in shown if find_row(store, _SOURCE, name) is None]
            encoded = [
                [encode_stored_image(image, self._settings.max_pixels) for image in shown[name]] for name in new
            ]
            batch_size = trainer.args.per_device_train_batch_size
            claims = write_claims(policy, encoded, self._settings, batch_size=batch_size)
            with store.writing():
                for name, images, own in zip(new, encoded, claims, strict=True):
                    if find_row(store, _SOURCE, name) is not None:
                        continue  # another process was asked about the same images
                    image_set = add_image_set(store, images)
                    add_row(store, _SOURCE, name, "", image_set)
                    add_claims(store, image_set, policy.name, own)
            found = {name: find_row(store, _SOURCE, name) for name in shown}
            kept = {name: read_claims(store, row.image_set) for name, row in found.items() if row is not None}
        return {
            name: [{"text": one.claim.text, "is_true": one.claim.is_true} for one in own]
            for name, own in kept.items()
            if {one.claim.is_true for one in own} == {True, False}
        }
