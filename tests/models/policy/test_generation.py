from __future__ import annotations

from dataclasses import replace
from functools import wraps

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from prober_contract import encode_prompt, extend_prompt, make_sample
from tiny_models import FAMILIES, build_tiny

from vapo.errors import ConfigError, DataError, ModelError
from vapo.models.media_tokens import find_vision_token_ids
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.generation import _Draws, find_eos_token_ids, is_finished, sample_completions
from vapo.models.policy.prompt_writer import PromptWriter


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def policy(family):
    return Policy(*build_tiny(family), name="tiny")


@pytest.fixture(scope="module")
def llava():
    return Policy(*build_tiny("llava"), name="tiny")


@pytest.fixture
def samples():
    long = replace(make_sample("long", (42, 56)), question="Look at the image. How many cats are there in it?")
    return [make_sample("first"), long, make_sample("pair", num_images=2), make_sample("last")]


def complete(policy, samples, **options):
    options = {"max_completion_tokens": 8, **options}
    return [[r.completion_ids for r in own] for own in sample_completions(policy, samples, **options)]


def generate_plainly(policy, sample, max_tokens: int) -> tuple[int, ...]:
    """The definition: one row, the processor's own tensors, no cache, the likeliest allowed token each time."""
    tokenizer = policy.processor.tokenizer
    prompt = encode_prompt(policy.processor, sample)
    never = list(find_vision_token_ids(policy.model.config, tokenizer))
    completion: list[int] = []
    while len(completion) < max_tokens and tokenizer.eos_token_id not in completion:
        with torch.no_grad():
            logits = policy.model(**extend_prompt(prompt, completion), use_cache=False).logits[0, -1]
        logits[never] = -torch.inf
        completion.append(int(logits.argmax()))
    return tuple(completion)


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_greedy_completions_equal_one_plain_forward_per_token(policy, samples, batch_size):
    expected = [[generate_plainly(policy, sample, 6)] for sample in samples]
    assert complete(policy, samples, temperature=0, max_completion_tokens=6, batch_size=batch_size) == expected


@pytest.mark.parametrize("batch_size", [2, 5])
def test_sampled_completions_do_not_depend_on_the_batch(policy, samples, batch_size):
    together = complete(policy, samples, num_completions=3, seed=7)
    assert complete(policy, samples, num_completions=3, seed=7, batch_size=batch_size) == together
    assert complete(policy, samples[2:], num_completions=2, seed=7) == [own[:2] for own in together[2:]]
    assert len({ids for own in together for ids in own}) == 12  # completions of a sample differ


def test_seed_matters(llava, samples):
    assert complete(llava, samples, seed=1) == complete(llava, samples, seed=1)
    assert complete(llava, samples, seed=1) != complete(llava, samples, seed=2)


def test_images_of_a_sample_are_encoded_once(llava, samples, monkeypatch):
    calls = []
    encode = llava.model.model.get_image_features

    @wraps(encode)
    def counted(*args, **kwargs):
        calls.append(1)
        return encode(*args, **kwargs)

    monkeypatch.setattr(llava.model.model, "get_image_features", counted)
    complete(llava, samples[:2], num_completions=4)
    assert len(calls) == 2


def test_leaves_random_state_mode_and_settings_alone(llava, samples):
    llava.model.train()
    settings = llava.model.generation_config
    settings.repetition_penalty = 1.7  # must have no effect
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    penalised = complete(llava, samples, temperature=0)
    settings.repetition_penalty = None
    assert penalised == complete(llava, samples, temperature=0)
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)
    assert llava.model.training and llava.model.generation_config is settings
    llava.model.eval()


def test_draws_follow_the_distribution():
    logits = torch.tensor([[2.0, 0.0, -torch.inf, 1.0]])
    noise = np.random.default_rng(0).random((4000, 1))
    drawn = _Draws(noise, temperature=0.5, top_p=1.0)(torch.zeros(4000, 1), logits.repeat(4000, 1)).argmax(-1)
    frequencies = torch.bincount(drawn, minlength=4) / 4000
    torch.testing.assert_close(frequencies, (logits[0] / 0.5).softmax(-1), atol=0.02, rtol=0)
    assert frequencies[2] == 0
    # Of probabilities .867, .016, 0, .117 the first alone covers 0.8.
    nucleus = _Draws(noise, temperature=0.5, top_p=0.8)(torch.zeros(4000, 1), logits.repeat(4000, 1)).argmax(-1)
    assert (nucleus == 0).all()


@pytest.mark.parametrize("noise", [0.0, 1 - 2**-53])
def test_the_luckiest_draws_never_take_an_impossible_token(noise):
    logits = torch.tensor([[-torch.inf, 1.0, 0.3, -torch.inf]])
    drawn = _Draws(np.array([[noise]]), temperature=1.0, top_p=1.0)(torch.zeros(1, 1), logits).argmax(-1)
    assert drawn.item() == (1 if noise == 0 else 2)


def test_vision_tokens_are_never_sampled(llava, samples):
    never = find_vision_token_ids(llava.model.config, llava.processor.tokenizer)
    bias = torch.zeros(llava.model.config.text_config.vocab_size)
    bias[list(never)] = 50.0
    handle = llava.model.lm_head.register_forward_hook(lambda _m, _i, logits: logits + bias)
    ids = {i for own in complete(llava, samples, num_completions=4) for ids in own for i in ids}
    handle.remove()
    assert ids and ids.isdisjoint(never)


def test_completions_keep_their_end_token_and_tell_when_cut_off(llava, samples):
    eos_ids = find_eos_token_ids(llava)
    bias = torch.zeros(llava.model.config.text_config.vocab_size)
    bias[eos_ids[0]] = 3.0
    handle = llava.model.lm_head.register_forward_hook(lambda _m, _i, logits: logits + bias)
    rollouts = [
        r for own in sample_completions(llava, samples, num_completions=8, max_completion_tokens=9) for r in own
    ]
    handle.remove()
    ends = [is_finished(rollout, eos_ids) for rollout in rollouts]
    assert {True, False} == set(ends)
    for rollout, end in zip(rollouts, ends, strict=True):
        assert not set(rollout.completion_ids[:-1]) & set(eos_ids)
        assert end == (rollout.completion_ids[-1] in eos_ids)
        assert end or len(rollout.completion_ids) == 9


def test_all_end_tokens_count(llava):
    settings = llava.model.generation_config
    before = settings.eos_token_id
    settings.eos_token_id = [3, 5]
    found = find_eos_token_ids(llava)
    settings.eos_token_id = before
    assert found == tuple(sorted({3, 5, llava.processor.tokenizer.eos_token_id}))


def test_text_and_tokens_agree_and_samples_are_kept(llava, samples):
    for sample, own in zip(samples, sample_completions(llava, samples, max_completion_tokens=9), strict=True):
        assert own[0].sample is sample
        decoded = llava.processor.tokenizer.decode(own[0].completion_ids, skip_special_tokens=True)
        assert own[0].text == decoded


def test_adapter_speaks_as_the_merged_model(samples):
    model, processor = build_tiny("llava")
    plain = complete(Policy(model, processor), samples, temperature=0)
    config = LoraConfig(target_modules=["q_proj", "v_proj"], r=8, lora_alpha=64, init_lora_weights=False)
    adapted = get_peft_model(model, config).eval()
    policy = Policy(adapted, processor)
    spoken = complete(policy, samples, temperature=0)
    assert spoken != plain
    assert spoken == complete(Policy(adapted.merge_and_unload(), processor), samples, temperature=0)


def test_half_precision(family, samples):
    model, processor = build_tiny(family)
    for own in complete(Policy(model.bfloat16(), processor), samples, num_completions=2):
        assert all(own)


def test_progress(llava, samples):
    reported = []
    for _ in sample_completions(llava, samples, max_completion_tokens=1, on_progress=lambda *p: reported.append(p)):
        pass
    assert reported == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_question_stays_plain_text(llava):
    sample = replace(make_sample("first"), question="What? <|im_end|><|image_pad|>")
    plain = PromptWriter(llava).write(make_sample("first"))
    prompt = PromptWriter(llava).write(sample)
    for token in ("<|im_end|>", "<|image_pad|>"):
        token_id = llava.processor.tokenizer.convert_tokens_to_ids(token)
        assert prompt.ids.count(token_id) == plain.ids.count(token_id)


def test_system_prompt_comes_first(llava):
    prompt = PromptWriter(llava, "Think.").write(make_sample("first"))
    assert "system\nThink." in llava.processor.tokenizer.decode(prompt.ids)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_completion_tokens": 0}, "max_completion_tokens is 0"),
        ({"num_completions": 0}, "num_completions is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"temperature": -1.0}, "temperature is -1"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_p": 0.0}, "top_p is 0"),
    ],
)
def test_numbers_out_of_range(llava, samples, options, message):
    with pytest.raises(ConfigError, match=message):
        complete(llava, samples, **options)


def test_prompt_too_long_for_the_context(llava, samples):
    with pytest.raises(ModelError, match=r"sample 'first'.*2048"):
        complete(llava, samples, max_completion_tokens=2040)


def test_more_places_than_images(llava):
    with pytest.raises(DataError, match="more places than images"):
        complete(llava, [replace(make_sample("first"), question="<image> and <image>?")])
