from __future__ import annotations

import pytest
import torch
from tiny_models import CAPPED, FAMILIES, build_tiny
from transformers import (
    Cohere2Config,
    Cohere2ForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    set_seed,
)
from transformers.modeling_outputs import CausalLMOutputWithPast
from trl.trainer.utils import add_fused_lm_head

from vapo.errors import ModelError
from vapo.models.output_layer import LogitChange, find_logit_change, naming_logit_change

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 1.0,
}
KINDS = {
    "scales": lambda: Cohere2ForCausalLM(Cohere2Config(**SIZES, logit_scale=0.0625)),
    "divides": lambda: GraniteForCausalLM(GraniteConfig(**SIZES, logits_scaling=6.0)),
    "caps": lambda: Gemma2ForCausalLM(Gemma2Config(**SIZES, head_dim=16, final_logit_softcapping=5.0)),
}


class ScalesUnsaid(GraniteForCausalLM):
    """A family that scales logits by an option nobody knows."""

    def forward(self, *args, **kwargs):
        output = super().forward(*args, **kwargs)
        output.logits = output.logits * 0.3
        return output


class Squares(GraniteForCausalLM):
    def forward(self, *args, **kwargs):
        output = super().forward(*args, **kwargs)
        output.logits = output.logits**2
        return output


KINDS["says nothing"] = lambda: ScalesUnsaid(GraniteConfig(**SIZES, logits_scaling=1.0))


def test_scales_and_caps_are_found_whatever_names_them():
    found = {kind: find_logit_change(build()) for kind, build in KINDS.items()}
    assert found == {
        "scales": LogitChange(scale=0.0625),
        "divides": LogitChange(scale=pytest.approx(1 / 6)),
        "caps": LogitChange(cap=5.0),
        "says nothing": LogitChange(scale=0.3),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_fused_logits_become_those_of_the_model(kind):
    set_seed(0)
    model = KINDS[kind]().eval()
    said = model.config.to_dict()
    with naming_logit_change(model):
        add_fused_lm_head(model)
    assert model.config.to_dict() == said
    ids = torch.arange(10)[None] + 3
    with torch.no_grad():
        fused = model(input_ids=ids, labels=ids, fused_lm_head=True).log_probs[0]
        logits = model(input_ids=ids).logits[0, :-1].float()
    expected = logits.log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]
    torch.testing.assert_close(fused, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_family_here_changes_its_logits_whatever_its_configuration_says(family):
    assert find_logit_change(build_tiny(family)[0]) == LogitChange(cap=30.0 if family in CAPPED else None)


class MakesLogitsElsewhere(GraniteForCausalLM):
    """As a family does whose forward pass calls a whole language model."""

    def forward(self, *args, **kwargs):
        return CausalLMOutputWithPast(logits=self.model(*args, **kwargs).logits)


@pytest.mark.parametrize("family", [Squares, MakesLogitsElsewhere])
def test_anything_else_is_refused(family):
    model = family(GraniteConfig(**SIZES, logits_scaling=1.0))
    assert find_logit_change(model) is None
    with (
        pytest.raises(ModelError, match=f"{family.__name__} does something to the logits of its output layer that"),
        naming_logit_change(model),
    ):
        pass
