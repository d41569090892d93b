from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from prober_contract import ask_plainly, encode_prompt, extend_prompt, make_probes, make_sample
from tiny_models import FAMILIES, build_tiny

from vapo.data.image_views import leave_out_images, mask_images
from vapo.diagnosis.transformers.attention_ratio import attention_on_image
from vapo.diagnosis.transformers.token_divergence import measure_divergence
from vapo.diagnosis.transformers.transformers_model import TransformersModel
from vapo.errors import ConfigError, ModelError
from vapo.models.diagnosed_model import Ability, Cut, DiagnosedModel, Sampling
from vapo.models.media_tokens import find_vision_token_ids
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.generation import sample_completions
from vapo.models.policy.prompt_writer import PromptWriter
from vapo.models.vision_tokens import TOKEN_TYPE_INPUTS
from vapo.types import Rollout


@pytest.fixture(scope="module", params=FAMILIES)
def policy(request):
    model, processor = build_tiny(request.param)
    for parameter in model.parameters():
        parameter.data *= 1.5  # what it writes then depends on what it has read
    return Policy(model, processor, name=request.param)


@pytest.fixture(scope="module")
def diagnosed_model(policy) -> DiagnosedModel:
    return TransformersModel(policy)


@pytest.fixture(scope="module")
def responses(diagnosed_model):
    return diagnosed_model.write_responses([make_sample("first"), make_sample("second", (42, 56))], 10)


@pytest.fixture
def llava():
    return Policy(*build_tiny("llava"), name="tiny")


@pytest.fixture
def llava_response(llava):
    return TransformersModel(llava).write_responses([make_sample("first")], 8)[0]


def test_responses_are_drawn_by_their_seed(llava):
    diagnosed_model, sample = TransformersModel(llava), make_sample("first")

    def write(seed: int, temperature: float = 3.0) -> Rollout:
        return diagnosed_model.write_responses([sample], 10, Sampling(temperature, seed))[0]

    assert write(1) == write(1) != write(2)
    assert write(1, temperature=0) == write(2, temperature=0) == diagnosed_model.write_responses([sample], 10)[0]


def write_plainly(policy, images, ids, count):
    """The definition: no cache, the processor's own image tensors, one plain forward per token."""
    prompt = dict(encode_prompt(policy.processor, replace(make_sample("any"), images=images)))
    text = torch.tensor([ids])
    prompt |= {"input_ids": text, "attention_mask": torch.ones_like(text)}
    is_image = (text == policy.model.config.image_token_id).long()
    prompt |= {name: is_image for name in TOKEN_TYPE_INPUTS if name in prompt}
    new: list[int] = []
    for _ in range(count):
        with torch.no_grad():
            logits = policy.model(**extend_prompt(prompt, new), use_cache=False).logits[0, -1]
        logits[list(find_vision_token_ids(policy.model.config, policy.processor))] = -torch.inf
        new.append(int(logits.argmax()))
    return tuple(new)


def test_responses_are_greedy_completions(policy, diagnosed_model, responses):
    samples = [response.sample for response in responses]
    expected = [own[0] for own in sample_completions(policy, samples, max_completion_tokens=10, temperature=0)]
    assert responses == expected


def test_a_cut_without_suffix_goes_on_as_the_response_did(diagnosed_model, responses):
    cuts = [Cut(response, index) for response in responses for index in range(len(response.completion_ids))]
    for cut, text in zip(cuts, diagnosed_model.continue_cuts(cuts, 10), strict=True):
        assert text.startswith("".join(cut.rollout.token_texts[cut.index :]).rstrip("\ufffd"))


def test_a_suffix_is_read_as_it_stands(policy, diagnosed_model, responses):
    tokenizer = policy.processor.tokenizer
    for suffix in (" Time is up.</think>", "<|im_end|>\n<|im_start|>assistant\n"):
        ids = (
            *responses[0].prompt_ids,
            *responses[0].completion_ids[:3],
            *tokenizer.encode(suffix, add_special_tokens=False),
        )
        expected = tokenizer.decode(
            write_plainly(policy, responses[0].sample.images, ids, 3), skip_special_tokens=True
        )
        assert diagnosed_model.continue_cuts([Cut(responses[0], 3, suffix)], 3) == [expected]


def test_scored_texts_equal_one_plain_forward_each(policy, diagnosed_model, responses):
    tokenizer = policy.processor.tokenizer
    cuts = [
        Cut(response, index, suffix, text)
        for response in responses
        for index, suffix, text in (
            (0, "", "\\boxed{8}"),
            (0, " Time is up.</think>", "\\boxed{red}"),
            (5, " Time is up.</think>", " 8}"),
            (5, "", "I see, and so on."),
            (len(response.completion_ids), "</think>", tokenizer.eos_token),
            (3, " Time", ""),
        )
    ]
    scored = diagnosed_model.score_texts(cuts)
    for cut, own in zip(cuts, scored, strict=True):
        read = diagnosed_model.read_cut(cut)
        count = len(own.logprobs)
        assert "".join(own.token_texts).replace("\u200b", "") == cut.text
        assert (
            len(own.token_texts)
            == count
            == len(read.completion_ids) - len(diagnosed_model.read_cut(replace(cut, text="")).completion_ids)
        )
        if not count:
            continue
        prompt = encode_prompt(policy.processor, cut.rollout.sample)
        with torch.no_grad():
            inputs = extend_prompt(prompt, read.completion_ids)
            logprobs = policy.model(**inputs, use_cache=False).logits[0].float().log_softmax(-1)
        ids = list(read.completion_ids[-count:])
        expected = [float(logprobs[place - count - 1, token]) for place, token in enumerate(ids)]
        np.testing.assert_allclose(own.logprobs, expected, atol=1e-5)
        assert not set(ids) & set(tokenizer.all_special_ids)


@pytest.mark.parametrize("view", ["image", "blank", "none"])
def test_verdicts_equal_one_plain_forward_per_probe(policy, diagnosed_model, responses, view):
    probes = make_probes(responses)
    expected = []
    for probe in probes:
        rollout = probe.rollout
        if view == "blank":
            rollout = replace(rollout, sample=mask_images(rollout.sample))
        if view == "none":
            sample = leave_out_images(rollout.sample)
            rollout = replace(rollout, sample=sample, prompt_ids=PromptWriter(policy).write(sample).ids)
        expected.append(ask_plainly(policy.model, policy.processor, replace(probe, rollout=rollout)))
    verdicts = diagnosed_model.score_probes(probes, view)
    assert [verdict.probe for verdict in verdicts] == probes
    np.testing.assert_allclose([verdict.p_true for verdict in verdicts], expected, atol=1e-5)


def test_replay(policy, diagnosed_model, responses):
    if "replay" not in diagnosed_model.abilities:
        with pytest.raises(ModelError, match="llava_onevision cannot be shown its image again"):
            diagnosed_model.replay_image(Cut(responses[0], 4), 5, 0.5)
        return
    shown = diagnosed_model.replay_image(Cut(responses[0], 4), 5, 0.5)
    assert (
        shown.prompt_ids[: len(responses[0].prompt_ids) + 4]
        == responses[0].prompt_ids + responses[0].completion_ids[:4]
    )
    assert shown.completion_ids == write_plainly(policy, shown.sample.images, shown.prompt_ids, 5)
    assert shown.sample.answer == responses[0].sample.answer and len(shown.token_texts) == 5
    # What comes later is exact too.
    (text,) = diagnosed_model.continue_cuts([Cut(shown, 2)], 3)
    assert shown.text.endswith(text)
    kinds = getattr(policy.model.config.get_text_config(), "layer_types", None) or ["full_attention"] * 2
    layers = sum(kind not in ("linear_attention", "conv") for kind in kinds)
    assert np.shape(diagnosed_model.attend_to_image(shown)) == (5, layers, 4)
    assert min(diagnosed_model.compare_views(shown)) > 0
    again = diagnosed_model.replay_image(Cut(shown, 3), 4, 0.5)
    assert again.completion_ids == write_plainly(policy, again.sample.images, again.prompt_ids, 4)
    with pytest.raises(ModelError, match="sample 'first': its rollout's prompt is not the one"):
        diagnosed_model.compare_views(again, "none")


def test_attention_and_views_come_from_their_measures(policy, diagnosed_model, responses):
    shares = attention_on_image(policy.model, policy.processor, responses[0])
    np.testing.assert_allclose(diagnosed_model.attend_to_image(responses[0]), shares, atol=1e-6)
    blank = replace(responses[0], sample=mask_images(responses[0].sample))
    np.testing.assert_allclose(
        diagnosed_model.compare_views(responses[0]), measure_divergence(policy, responses[0], blank)
    )
    assert diagnosed_model.compare_views(responses[0], "none") != diagnosed_model.compare_views(responses[0])


UNLOCATED = ("llava_onevision", "llava_next", "lfm2_vl", "gemma4", "gemma3n", "idefics2")
UNLOCATED += ("cohere2_vision", "deepseek_vl", "fast_vlm")
"""Families of which it is not known which part of an image a token shows."""


def test_abilities(policy, diagnosed_model):
    reasons = {}
    if policy.name == "llava_onevision":
        reasons["replay"] = "llava_onevision cannot be shown its image again"
    if policy.name in UNLOCATED:
        reasons["locate"] = "leave out where the model looks"
    assert diagnosed_model.abilities == set(get_args(Ability)) - reasons.keys()
    for ability in get_args(Ability):
        if ability in reasons:
            assert reasons[ability] in diagnosed_model.why_not(ability)
        else:
            with pytest.raises(ValueError, match="is able to"):
                diagnosed_model.why_not(ability)


def test_masking(llava, llava_response):
    seen = [
        TransformersModel(llava, masking=m, seed=s).compare_views(llava_response)
        for m, s in (("blank", 0), ("noise", 0), ("noise", 1), ("patches", 0))
    ]
    assert len({tuple(divergences) for divergences in seen}) == 4
    assert TransformersModel(llava, masking="noise", seed=1).compare_views(llava_response) == seen[2]


def test_an_end_token_is_left_out_before_a_suffix(llava, llava_response):
    ended = (*llava_response.completion_ids[:4], llava.processor.tokenizer.eos_token_id)
    ended = replace(llava_response, completion_ids=ended, token_texts=(*llava_response.token_texts[:4], ""))
    diagnosed_model = TransformersModel(llava)
    behind_end, before_end, ended_text = diagnosed_model.continue_cuts(
        [Cut(ended, 5, " So"), Cut(ended, 4, " So"), Cut(ended, 5)], 3
    )
    assert behind_end == before_end and ended_text == ""


@pytest.mark.parametrize("suffix", ["<|image_pad|>", "see <|vision_start|>"])
def test_a_suffix_with_an_image(llava, llava_response, suffix):
    with pytest.raises(ConfigError, match="which stands for an image"):
        TransformersModel(llava).continue_cuts([Cut(llava_response, 2, suffix)], 3)


def test_the_context_is_too_short(llava, llava_response):
    diagnosed_model = TransformersModel(llava)
    for ask in (
        lambda: diagnosed_model.continue_cuts([Cut(llava_response, 2)], 2040),
        lambda: diagnosed_model.replay_image(Cut(llava_response, 2), 2040, 0.5),
        lambda: diagnosed_model.write_responses([llava_response.sample], 2040),
    ):
        with pytest.raises(ModelError, match=r"sample 'first'.*context of 2048"):
            ask()


class TestObstacles:
    def test_no_chat_template(self, llava):
        processor = deepcopy(llava.processor)  # tiny models share their tokenizers
        processor.chat_template = processor.tokenizer.chat_template = None
        diagnosed_model = TransformersModel(replace(llava, processor=processor))
        assert diagnosed_model.abilities == frozenset()
        assert all("tiny has no chat template" in diagnosed_model.why_not(ability) for ability in get_args(Ability))
        with pytest.raises(ModelError, match="no chat template"):
            diagnosed_model.write_responses([make_sample("first")], 3)

    def test_no_vision(self, llava):
        from transformers import Qwen2ForCausalLM

        text_model = Qwen2ForCausalLM(llava.model.config.text_config)
        diagnosed_model = TransformersModel(Policy(text_model, llava.processor, "text"))
        assert diagnosed_model.abilities == frozenset()
        assert "no get_image_features" in diagnosed_model.why_not("continue")

    def test_no_answer_tokens(self, llava, monkeypatch):
        monkeypatch.setattr("vapo.models.questions.YES_WORDS", ())
        diagnosed_model = TransformersModel(llava)
        assert diagnosed_model.abilities == set(get_args(Ability)) - {"probe"}
        with pytest.raises(ModelError, match="writes 'yes' in several tokens"):
            diagnosed_model.score_probes([])

    def test_attention_of_its_own(self, llava, monkeypatch):
        monkeypatch.setattr("vapo.models.image_attention._INTERFACE", "nothing that it imports")
        assert "cannot be measured" in TransformersModel(llava).why_not("attend")

    def test_a_bad_template(self, llava):
        with pytest.raises(ConfigError, match=re.escape("{claim}")):
            _ = TransformersModel(llava, probe_template="Right?").abilities


def test_nothing_to_do(llava):
    diagnosed_model = TransformersModel(llava)
    assert diagnosed_model.continue_cuts([], 3) == [] and diagnosed_model.score_probes(
        []
    ) == [] == diagnosed_model.write_responses([], 3)


def test_half_precision(llava, llava_response):
    diagnosed_model = TransformersModel(Policy(llava.model.bfloat16(), llava.processor))
    assert diagnosed_model.continue_cuts([Cut(llava_response, 3)], 4)
    assert np.isfinite(diagnosed_model.compare_views(llava_response)).all()
    assert diagnosed_model.replay_image(Cut(llava_response, 3), 4, 0.5).completion_ids
    for view in ("image", "blank", "none"):
        assert all(
            0 < verdict.p_true < 1 for verdict in diagnosed_model.score_probes(make_probes([llava_response]), view)
        )


def test_replays_together_equal_replays_alone(llava, llava_response):
    diagnosed_model = TransformersModel(llava)
    cuts = [Cut(llava_response, 3), Cut(llava_response, 5, " So"), Cut(llava_response, 8)]
    assert diagnosed_model.replay_images(cuts, 4, 0.5) == [diagnosed_model.replay_image(cut, 4, 0.5) for cut in cuts]
    assert diagnosed_model.replay_images([], 4, 0.5) == []


def test_a_cut_is_read_with_its_suffix(llava, llava_response):
    diagnosed_model = TransformersModel(llava)
    read = diagnosed_model.read_cut(Cut(llava_response, 3, " So, 7"))
    suffix = tuple(llava.processor.tokenizer.encode(" So, 7", add_special_tokens=False))
    assert read.completion_ids == llava_response.completion_ids[:3] + suffix
    assert read.text == "".join(llava_response.token_texts[:3]) + " So, 7"
    assert diagnosed_model.read_cut(Cut(llava_response, 5)).completion_ids == llava_response.completion_ids[:5]
    assert len(diagnosed_model.attend_to_image(read)) == len(read.completion_ids)
