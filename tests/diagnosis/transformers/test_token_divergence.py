from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from prober_contract import encode_prompt, extend_prompt, make_rollout, make_sample
from tiny_models import FAMILIES, build_tiny

from vapo.data.image_views import leave_out_images, mask_images
from vapo.diagnosis.transformers.token_divergence import measure_divergence
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.prompt_writer import PromptWriter
from vapo.types import Rollout


@pytest.fixture(scope="module", params=FAMILIES)
def policy(request):
    return Policy(*build_tiny(request.param))


@pytest.fixture(scope="module")
def llava():
    return Policy(*build_tiny("llava"))


def write(policy, name="first", num_images=1):
    return make_rollout(policy.processor, make_sample(name, num_images=num_images), "I see a 3, then a 5.")


def log_probs(policy, rollout):
    """The definition: one plain forward pass, every logit."""
    prompt = encode_prompt(policy.processor, rollout.sample)
    with torch.no_grad():
        logits = policy.model(**extend_prompt(prompt, rollout.completion_ids)).logits[0]
    return logits[len(rollout.prompt_ids) - 1 : -1].log_softmax(-1)


@pytest.mark.parametrize("num_images", [1, 2])
@pytest.mark.parametrize("logits_at_once", [1, 1200, 2**24])
def test_equals_the_divergence_of_all_logits(policy, num_images, logits_at_once):
    rollout = write(policy, num_images=num_images)
    masked = replace(rollout, sample=mask_images(rollout.sample))
    log_p, log_q = log_probs(policy, rollout), log_probs(policy, masked)
    expected = torch.nn.functional.kl_div(log_q, log_p, log_target=True, reduction="none").sum(-1)
    measured = measure_divergence(policy, rollout, masked, logits_at_once)
    torch.testing.assert_close(measured, expected, atol=1e-6, rtol=1e-3)
    assert measured.max() > 1e-6 and measured.shape == (len(rollout.completion_ids),)


def test_without_images(policy):
    rollout = write(policy)
    sample = leave_out_images(rollout.sample)
    prompt = PromptWriter(policy).write(sample)
    plain = replace(rollout, sample=sample, prompt_ids=prompt.ids)
    expected = (log_probs(policy, rollout).exp() * (log_probs(policy, rollout) - log_probs(policy, plain))).sum(-1)
    measured = measure_divergence(policy, rollout, plain)
    torch.testing.assert_close(measured, expected, atol=1e-6, rtol=1e-3)


def test_nothing_moves_under_the_same_image(policy):
    rollout = write(policy)
    assert (measure_divergence(policy, rollout, rollout) == 0).all()


def test_half_precision(policy):
    half = Policy(deepcopy(policy.model).bfloat16(), policy.processor)
    rollout = write(policy)
    measured = measure_divergence(half, rollout, replace(rollout, sample=mask_images(rollout.sample)))
    assert measured.dtype == torch.float32 and measured.isfinite().all()


def test_no_more_logits_at_a_time_than_asked_for(llava):
    seen = []
    handle = llava.model.lm_head.register_forward_hook(lambda _m, _i, logits: seen.append(logits[0].numel()))
    rollout = write(llava)
    vocabulary = llava.model.config.text_config.vocab_size
    measure_divergence(llava, rollout, rollout, logits_at_once=3 * vocabulary)
    handle.remove()
    assert max(seen) == 3 * vocabulary


def test_what_a_family_does_to_its_logits_counts(llava, monkeypatch):
    rollout = write(llava)
    masked = replace(rollout, sample=mask_images(rollout.sample))
    plain = measure_divergence(llava, rollout, masked)
    forward = llava.model.forward

    def scale(*args, **options):
        output = forward(*args, **options)
        output.logits = 4 * output.logits
        return output

    monkeypatch.setattr(llava.model, "forward", scale)
    scaled = measure_divergence(llava, rollout, masked)
    assert (scaled > 4 * plain).all()


def test_leaves_the_model_as_it_was(llava):
    llava.model.train()
    rollout = write(llava)
    module = llava.model.model
    measure_divergence(llava, rollout, rollout)
    assert "forward" not in vars(module) and not module._forward_hooks
    assert llava.model.training and torch.is_grad_enabled()
    llava.model.eval()


def test_an_empty_response(llava):
    rollout = replace(write(llava), completion_ids=(), token_texts=())
    assert measure_divergence(llava, rollout, rollout).shape == (0,)


def test_different_responses(llava):
    rollout = write(llava)
    other = Rollout(rollout.sample, rollout.prompt_ids, rollout.completion_ids[1:], rollout.token_texts[1:])
    with pytest.raises(ValueError, match="must have the same completion"):
        measure_divergence(llava, rollout, other)


def test_no_prompt(llava):
    rollout = replace(write(llava), prompt_ids=())
    with pytest.raises(ValueError, match="sample 'first'"):
        measure_divergence(llava, rollout, rollout)
