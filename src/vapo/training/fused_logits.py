"""TRL's fused output layer, told what the model's own forward pass does to logits."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from trl.trainer import grpo_trainer

from vapo.models.image_features import check_decoder_alone
from vapo.models.output_layer import naming_logit_change
from vapo.models.replaced_method import replaced_method


@contextmanager
def logits_fused_as_in_model() -> Generator[None]:
    """Make TRL's trainers compute log-probabilities of the distribution that their model samples from.

    TRL 1.16 scales logits by what the configuration of the text model says, whether the model around it does or not.

    Raises:
        ModelError: TRL cannot compute what the model does, or the model is an encoder-decoder.
    """
    add = grpo_trainer.add_fused_lm_head

    def add_fused_lm_head(model: Any, *args: Any, **kwargs: Any) -> None:
        check_decoder_alone(model.config)
        with naming_logit_change(model):
            add(model, *args, **kwargs)

    with replaced_method(grpo_trainer, "add_fused_lm_head", add_fused_lm_head):
        yield
