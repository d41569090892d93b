"""The share of attention on image tokens against the sums of what `output_attentions=True` returns."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import wraps

import pytest
import torch
from prober_contract import encode_prompt, extend_prompt, make_rollout, make_sample
from tiny_models import FAMILIES, build_tiny
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from vapo.diagnosis.transformers import attention_ratio
from vapo.diagnosis.transformers.attention_ratio import attention_on_image
from vapo.errors import ModelError
from vapo.models import image_attention, key_shares
from vapo.models.image_attention import TokenPath, measuring_attention
from vapo.models.image_features import find_feature_module
from vapo.models.tree.attention_switch import switched_attention
from vapo.types import Rollout

RESPONSE = "<think>I see a 3, then a 5. Or two cats: no, one!</think> \\boxed{2}"


@pytest.fixture(scope="module", params=FAMILIES)
def model_and_processor(request):
    return sharpen(*build_tiny(request.param))


@pytest.fixture(scope="module")
def llava():
    return sharpen(*build_tiny("llava"))


def sharpen(model, processor):
    # A model as it is made attends to all alike, and a wrong key would hardly show.
    for name, parameter in find_feature_module(model).get_decoder().named_parameters():
        if "q_proj" in name or "k_proj" in name:
            parameter.data *= 8
    return model, processor


@contextmanager
def eager(model):
    config = find_feature_module(model).get_decoder().config
    with switched_attention(config, "eager"):
        yield


def sum_weights(model, processor, rollout: Rollout) -> torch.Tensor:
    """The definition: one row, every weight of every layer, the processor's own image tensors."""
    inputs = extend_prompt(encode_prompt(processor, rollout.sample), rollout.completion_ids)
    with torch.no_grad(), eager(model):
        weights = torch.stack(model(**inputs, output_attentions=True).attentions)[:, 0]  # layers, heads, N, N
    is_image = inputs["input_ids"][0] == model.config.image_token_id
    assert is_image.any()
    first = len(rollout.prompt_ids) - 1
    rows = weights[:, :, first : first + len(rollout.completion_ids)]
    return rows[..., is_image].sum(-1).permute(2, 0, 1).float()


class TestEveryFamily:
    @pytest.mark.parametrize("num_images", [1, 2])
    def test_equals_the_sums_of_eager_weights(self, model_and_processor, num_images):
        model, processor = model_and_processor
        rollout = make_rollout(processor, make_sample("a", num_images=num_images), RESPONSE)
        shares = attention_on_image(model, processor, rollout)
        text = model.config.get_text_config()
        kinds = getattr(text, "layer_types", None) or ["full_attention"] * text.num_hidden_layers
        layers = [kind for kind in kinds if kind not in ("linear_attention", "conv")]
        assert shares.shape == (len(rollout.completion_ids), len(layers), text.num_attention_heads)
        assert shares.dtype == torch.float32 and shares.device.type == "cpu"
        assert shares.min() >= 0 and shares.max() <= 1 and shares.max() - shares.min() > 0.1
        torch.testing.assert_close(shares, sum_weights(model, processor, rollout), atol=1e-5, rtol=0)

    def test_a_few_queries_at_a_time_change_nothing(self, model_and_processor, monkeypatch):
        model, processor = model_and_processor
        rollout = make_rollout(processor, make_sample("a"), RESPONSE)
        whole = attention_on_image(model, processor, rollout)
        monkeypatch.setattr(key_shares, "_SCORES_AT_ONCE", {"cpu": 1})
        torch.testing.assert_close(attention_on_image(model, processor, rollout), whole, atol=1e-6, rtol=0)

    def test_where_the_kernel_does_not_tell_its_sum_it_is_made_anew(self, model_and_processor, monkeypatch):
        model, processor = model_and_processor
        rollout = make_rollout(processor, make_sample("a"), RESPONSE)
        whole = attention_on_image(model, processor, rollout)
        monkeypatch.setattr(image_attention, "FLASH_DTYPES", ())
        torch.testing.assert_close(attention_on_image(model, processor, rollout), whole, atol=1e-5, rtol=0)

    def test_layers_give_exactly_what_sdpa_gives(self, model_and_processor, monkeypatch):
        model, processor = model_and_processor
        rollout = make_rollout(processor, make_sample("a"), RESPONSE)
        decoder = find_feature_module(model).get_decoder()
        seen = []
        handle = decoder.register_forward_hook(lambda _m, _a, out: seen.append(out.last_hidden_state))
        try:
            attention_on_image(model, processor, rollout)
            inputs = extend_prompt(encode_prompt(processor, rollout.sample), rollout.completion_ids)
            with torch.no_grad():
                model(**inputs, use_cache=False)
        finally:
            handle.remove()
        assert torch.equal(*seen)


class TestResponse:
    def test_a_token_has_the_attention_of_the_query_that_predicts_it(self, llava):
        model, processor = llava
        rollout = make_rollout(processor, make_sample("a"), RESPONSE)
        whole = attention_on_image(model, processor, rollout)
        one = Rollout(rollout.sample, rollout.prompt_ids, rollout.completion_ids[:1], rollout.token_texts[:1])
        # So it depends on the tokens before it alone: the first one's on the prompt.
        torch.testing.assert_close(attention_on_image(model, processor, one), whole[:1], atol=1e-6, rtol=0)

    def test_an_empty_completion_has_no_shares(self, llava):
        model, processor = llava
        rollout = make_rollout(processor, make_sample("a"), "")
        assert attention_on_image(model, processor, rollout).shape == (0, 2, 4)

    def test_an_image_shown_again_within_the_response_counts_once_it_is_there(self, llava):
        model, processor = llava
        pair = make_rollout(processor, make_sample("a", num_images=2), RESPONSE)
        at = [place for place, i in enumerate(pair.prompt_ids) if i == model.config.image_token_id][4]  # 4 an image
        moved = pair.prompt_ids[at:] + pair.completion_ids
        response = Rollout(pair.sample, pair.prompt_ids[:at], moved, ("",) * len(moved))
        shares = attention_on_image(model, processor, response)
        behind = len(moved) - len(pair.completion_ids)
        torch.testing.assert_close(shares[behind:], attention_on_image(model, processor, pair), atol=1e-6, rtol=0)

    def test_without_an_image_there_is_nothing_to_attend_to(self, llava):
        model, processor = llava
        rollout = make_rollout(processor, make_sample("a", num_images=0), RESPONSE)
        assert attention_on_image(model, processor, rollout).count_nonzero() == 0

    def test_features_are_shared(self, llava, monkeypatch):
        model, processor = llava
        encoded = []
        encode = model.model.get_image_features

        @wraps(encode)
        def get_image_features(**inputs):
            encoded.append(inputs)
            return encode(**inputs)

        monkeypatch.setattr(model.model, "get_image_features", get_image_features)
        sample, features = make_sample("a"), {}
        responses = [make_rollout(processor, sample, text) for text in (RESPONSE, "<think>No.</think>")]
        shared = [attention_on_image(model, processor, response, features) for response in responses]
        assert len(encoded) == 1
        for response, shares in zip(responses, shared, strict=True):
            assert torch.equal(attention_on_image(model, processor, response), shares)

    def test_bfloat16(self):
        model, processor = build_tiny("llava")
        model.bfloat16()
        rollout = make_rollout(processor, make_sample("a"), RESPONSE)
        shares = attention_on_image(model, processor, rollout)
        # Eager weights are rounded to 8 bits before they are summed.
        torch.testing.assert_close(shares, sum_weights(model, processor, rollout), atol=5e-3, rtol=0)

    @pytest.mark.gpu
    @pytest.mark.parametrize("family", FAMILIES)
    def test_a_gpu_finds_the_same(self, family):
        model, processor = sharpen(*build_tiny(family))
        rollout = make_rollout(processor, make_sample("a"), RESPONSE)
        expected = attention_on_image(model, processor, rollout)
        torch.testing.assert_close(attention_on_image(model.cuda(), processor, rollout), expected, atol=1e-4, rtol=0)

    def test_the_model_is_left_as_it_was(self, llava):
        model, processor = llava
        config = model.model.language_model.config
        before = config._attn_implementation
        model.train()
        attention_on_image(model, processor, make_rollout(processor, make_sample("a"), RESPONSE))
        assert all(module.training for module in model.modules()) and torch.is_grad_enabled()
        assert config._attn_implementation == before
        model.eval()
        broken = make_rollout(processor, make_sample("a"), RESPONSE)
        with pytest.raises(IndexError):
            attention_on_image(model, processor, replace(broken, prompt_ids=(10**6, *broken.prompt_ids)))
        assert config._attn_implementation == before


class TestRefusals:
    def test_a_prompt_without_a_place_for_the_image(self, llava):
        model, processor = llava
        rollout = make_rollout(processor, make_sample("a"), RESPONSE)
        ids = tuple(i for i in rollout.prompt_ids if i != model.config.image_token_id)
        with pytest.raises(ModelError, match="'a' has images, but none"):
            attention_on_image(model, processor, replace(rollout, prompt_ids=ids))

    def test_an_empty_prompt(self, llava):
        model, processor = llava
        rollout = replace(make_rollout(processor, make_sample("a", num_images=0), RESPONSE), prompt_ids=())
        with pytest.raises(ModelError, match="no prompt"):
            attention_on_image(model, processor, rollout)

    def test_layers_that_do_not_ask_for_an_implementation(self, llava, monkeypatch):
        model, processor = llava
        monkeypatch.setattr(attention_ratio, "measuring_attention", lambda *_, **__: nullcontext())
        with pytest.raises(ModelError, match="AttentionInterface"):
            attention_on_image(model, processor, make_rollout(processor, make_sample("a"), RESPONSE))

    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            ({"softcap": 30.0}, "caps its scores"),
            ({"attention_mask": object()}, "gets a object, which does not say what a token sees"),
            ({"is_causal": False}, "lets text see what comes behind it"),
            ({}, "3 states where .* 2 tok"),
        ],
    )
    def test_a_layer_that_cannot_be_measured_is_named(self, llava, options, problem):
        states, length = torch.zeros(1, 1, 2, 4), 2 if options else 3
        key = torch.zeros(1, 1, length, 4)
        layer = find_feature_module(llava[0]).get_decoder().layers[0].self_attn
        path = TokenPath(0, torch.arange(2), torch.tensor([True, False]), 1)
        with measuring_attention(llava[0], [path], lambda *_: None):
            attend = ALL_ATTENTION_FUNCTIONS.get_interface("sdpa", None)
            with pytest.raises(ModelError, match=f"{type(layer).__name__}.*{problem}"):
                attend(layer, states, key, key, **{"attention_mask": None, **options})
