"""That forgetting is built in as said, and that whatever reads a model sees the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diagnosis.forgetful_models import fade, go_blind, make_forgetful, untouched
from diagnosis.looking_questions import NOTED, PROMPT, claim_what_is_not_noted, draw_questions
from prober_contract import make_probes

from vapo.diagnosis.transformers.attention_ratio import attention_on_image
from vapo.diagnosis.transformers.transformers_model import TransformersModel
from vapo.lab.shipped import shipped_checkpoint
from vapo.models.diagnosed_model import Cut
from vapo.models.policy.checkpoint import load_policy
from vapo.models.tree.attention_switch import switched_attention
from vapo.probing.packed_prober import PackedProber
from vapo.probing.reference import ReferenceProber

SLOPE, BLIND_FROM = 0.1, PROMPT + 5
RULES = (untouched(), fade(SLOPE), go_blind(BLIND_FROM))


@pytest.fixture(scope="module")
def lab():
    return load_policy(shipped_checkpoint())


@pytest.fixture(scope="module")
def questions(lab):
    drawn = draw_questions(6, seed=3)
    responses = TransformersModel(lab).write_responses([sample for sample, _ in drawn], NOTED)
    return claim_what_is_not_noted(drawn, responses, seed=3)


@pytest.fixture(scope="module", params=RULES, ids=lambda rule: rule.name)
def forgetful(request, lab):
    return make_forgetful(lab, request.param)


@pytest.fixture(scope="module")
def responses(forgetful, questions):
    return TransformersModel(forgetful).write_responses(questions, NOTED)


def read(policy, rollout, implementation="sdpa", **options):
    """One teacher-forced pass, with the images as the processor makes them."""
    ids = torch.tensor([rollout.prompt_ids + rollout.completion_ids])
    images = policy.processor.image_processor(list(rollout.sample.images), return_tensors="pt")
    with torch.no_grad(), switched_attention(policy.model.model.language_model.config, implementation):
        return policy.model(input_ids=ids, pixel_values=images["pixel_values"], **options)


def test_untouched_is_the_lab_model(lab, questions):
    copy = make_forgetful(lab, untouched())
    written = TransformersModel(lab).write_responses(questions, NOTED)
    assert TransformersModel(copy).write_responses(questions, NOTED) == written
    torch.testing.assert_close(read(copy, written[0]).logits, read(lab, written[0]).logits, atol=1e-4, rtol=0)


def test_generation_writes_what_a_teacher_forced_pass_predicts(forgetful, responses):
    for response in responses:  # written in one batch, padded on the left
        first = len(response.prompt_ids) - 1
        logits = read(forgetful, response).logits[0, first : first + len(response.completion_ids)]
        assert tuple(logits.argmax(-1).tolist()) == response.completion_ids


def test_a_cut_response_is_continued_as_it_was_written(forgetful, responses):
    places = [(response, share * len(response.completion_ids) // 4) for response in responses for share in range(4)]
    texts = TransformersModel(forgetful).continue_cuts([Cut(response, index) for response, index in places], NOTED)
    for text, (response, index) in zip(texts, places, strict=True):
        assert text.startswith("".join(response.token_texts[index:]))


def test_all_probers_see_the_same(forgetful, responses):
    probes = make_probes(responses[:2])[::5]
    plain, packed = (
        [verdict.p_true for verdict in kind(forgetful.model, forgetful.processor).score(probes)]
        for kind in (ReferenceProber, PackedProber)
    )
    np.testing.assert_allclose(packed, plain, atol=1e-5)


def test_the_attention_ratio_equals_eager_sums(forgetful, responses):
    response = responses[0]
    weights = torch.stack(read(forgetful, response, "eager", output_attentions=True).attentions)[:, 0]
    first = len(response.prompt_ids) - 1
    is_image = torch.tensor(response.prompt_ids + response.completion_ids) == forgetful.model.config.image_token_id
    expected = weights[:, :, first : first + len(response.completion_ids), is_image].sum(-1).permute(2, 0, 1)
    shares = attention_on_image(forgetful.model, forgetful.processor, response)
    torch.testing.assert_close(shares, expected, atol=1e-5, rtol=0)


def test_blind_models_attend_to_no_image_from_there_on_and_as_before_until_then(lab, questions):
    (response,) = TransformersModel(lab).write_responses(questions[:1], NOTED)
    plain, blind = (
        attention_on_image(policy.model, policy.processor, response)
        for policy in (lab, make_forgetful(lab, go_blind(BLIND_FROM)))
    )
    last_seeing = BLIND_FROM - len(response.prompt_ids)  # the token that the last seeing position predicts
    assert 0 < last_seeing < len(response.completion_ids) - 1
    torch.testing.assert_close(blind[: last_seeing + 1], plain[: last_seeing + 1], atol=1e-5, rtol=0)
    assert blind[last_seeing + 1 :].count_nonzero() == 0 and plain[last_seeing + 1 :].min() > 0


def test_fading_lowers_scores_by_the_slope_times_the_distance(lab, questions):
    # In the first layer states are still the same, so each weight is the old one times exp(-slope distance), scaled.
    (response,) = TransformersModel(lab).write_responses(questions[:1], NOTED)
    plain, faded = (
        read(policy, response, "eager", output_attentions=True).attentions[0][0]
        for policy in (lab, make_forgetful(lab, fade(SLOPE)))
    )
    positions = torch.arange(plain.shape[-1])
    is_image = torch.tensor(response.prompt_ids + response.completion_ids) == lab.model.config.image_token_id
    distance = positions[:, None] - positions[None]
    expected = plain * torch.exp(-SLOPE * distance.clamp(min=0) * is_image)
    torch.testing.assert_close(faded, expected / expected.sum(-1, keepdim=True), atol=1e-5, rtol=0)
