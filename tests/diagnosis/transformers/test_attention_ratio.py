"""The share of attention on image tokens against the sums of what `output_attentions=True` returns."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import wraps

import pytest
import torch
from prober_contract import encode_prompt, extend_prompt, make_rollout, make_sample
from tiny_models import FAMILIES, build_tiny

from vapo.diagnosis.transformers import attention_ratio, key_shares
from vapo.diagnosis.transformers.attention_ratio import IMAGE_ATTENTION, attend_and_watch, attention_on_image
from vapo.diagnosis.transformers.key_shares import measure_share
from vapo.errors import ModelError
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
        assert shares.shape == (len(rollout.completion_ids), text.num_hidden_layers, text.num_attention_heads)
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
        told = attention_on_image(model, processor, rollout)
        monkeypatch.setattr(attention_ratio, "FLASH_DTYPES", ())
        torch.testing.assert_close(attention_on_image(model, processor, rollout), told, atol=1e-5, rtol=0)

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


class TestShare:
    """One layer's arithmetic."""

    def test_worked_by_hand(self):
        # Scores ln 1, ln 2, ln 3: the weights of the last row are 1/6, 2/6, 3/6; the row before sees 1/3, 2/3.
        key = torch.tensor([1.0, 2.0, 3.0]).log().reshape(1, 3, 1)
        counted = torch.tensor([1])
        shares = measure_share(torch.ones(1, 3, 1), key, range(3), counted, None, 1.0)
        torch.testing.assert_close(shares, torch.tensor([[0, 2 / 3, 2 / 6]]))

    def test_keys_out_of_the_window_count_in_neither_sum(self):
        key = torch.tensor([1.0, 2.0, 3.0]).log().reshape(1, 3, 1)
        window = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 1]]).bool()[None, None]
        shares = measure_share(torch.ones(1, 3, 1), key, range(1, 3), torch.tensor([0, 1]), window, 1.0)
        torch.testing.assert_close(shares, torch.tensor([[1, 2 / 5]]))

    @pytest.mark.parametrize("kind", ["none", "booleans", "added", "per head"])
    @pytest.mark.parametrize("at_once", [1, 300, 2**20])
    def test_equals_one_dense_softmax(self, kind, at_once, monkeypatch):
        monkeypatch.setattr(key_shares, "_SCORES_AT_ONCE", {"cpu": at_once})
        generator = torch.Generator().manual_seed(0)
        query, key = (torch.randn(heads, 23, 8, generator=generator) for heads in (6, 2))
        counted = torch.nonzero(torch.rand(23, generator=generator) < 0.4).flatten()
        seen = torch.ones(23, 23).tril().bool()
        if kind != "none":
            seen &= torch.ones(23, 23).triu(-6).bool()
            seen[5:9, 5:9] = True  # an image whose tokens see each other both ways
        seen = seen.expand(1, 6, 23, 23).clone() if kind == "per head" else seen[None, None]
        if kind == "per head":
            seen[0, 3] = torch.ones(23, 23).tril().bool()
        given = {"none": None, "added": torch.zeros(seen.shape).masked_fill(~seen, -torch.inf)}.get(kind, seen)
        scores = (query @ key.repeat_interleave(3, 0).mT * 0.3).masked_fill(~seen[0], -torch.inf)
        expected = scores.softmax(-1)[..., counted].sum(-1)[:, 4:19]
        shares = measure_share(query, key, range(4, 19), counted, given, 0.3)
        torch.testing.assert_close(shares, expected, atol=1e-6, rtol=0)

    def test_scores_of_bfloat16_states_are_not_rounded_again(self):
        generator = torch.Generator().manual_seed(0)
        query, key = (10 * torch.randn(2, 40, 16, generator=generator).bfloat16() for _ in range(2))
        counted = torch.arange(9)
        shares = measure_share(query, key, range(10, 40), counted, None, 0.25)
        exact = measure_share(query.double(), key.double(), range(10, 40), counted, None, 0.25)
        torch.testing.assert_close(shares, exact, atol=1e-5, rtol=0)

    def test_shares_far_below_the_others_are_zero_and_not_nan(self):
        key = torch.tensor([-1e4, 0.0, 1e4]).reshape(1, 3, 1)
        for counted, share in (([0], 0.0), ([2], 1.0), ([], 0.0)):
            assert (
                measure_share(
                    torch.ones(1, 3, 1), key, range(2, 3), torch.tensor(counted, dtype=torch.long), None, 1.0
                )
                == share
            )


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
        monkeypatch.setattr(attention_ratio, "switched_attention", lambda config, _: eager(model))
        with pytest.raises(ModelError, match="AttentionInterface"):
            attention_on_image(model, processor, make_rollout(processor, make_sample("a"), RESPONSE))

    def test_a_call_outside(self):
        states = torch.zeros(1, 1, 2, 4)
        with pytest.raises(ModelError, match=f"{IMAGE_ATTENTION}.* inside"):
            attend_and_watch(torch.nn.Linear(1, 1), states, states, states, None)

    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            ({"softcap": 30.0}, "caps its scores"),
            ({"s_aux": torch.zeros(4)}, "sinks"),
            ({}, "3 states where .* 2 tok"),
        ],
    )
    def test_a_layer_that_cannot_be_measured_is_named(self, options, problem):
        states, length = torch.zeros(1, 1, 2, 4), 2 if options else 3
        watch = attention_ratio._Watch(range(1, 2), torch.tensor([0]), 2)
        token = attention_ratio._watch.set(watch)
        try:
            with pytest.raises(ModelError, match=f"Linear.*{problem}"):
                key = torch.zeros(1, 1, length, 4)
                attend_and_watch(torch.nn.Linear(1, 1), states, key, key, None, **options)
        finally:
            attention_ratio._watch.reset(token)
