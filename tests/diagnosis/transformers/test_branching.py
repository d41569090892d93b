from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from prober_contract import make_sample
from tiny_models import FAMILIES, NOT_PACKED, build_tiny
from transformers.cache_utils import Cache, DynamicSlidingWindowLayer

from vapo.diagnosis.transformers import aligned_rows, branching, response_reader
from vapo.diagnosis.transformers.aligned_rows import Branch
from vapo.diagnosis.transformers.branching import continue_branches
from vapo.diagnosis.transformers.response_reader import ResponseReader
from vapo.errors import ConfigError, ModelError
from vapo.models.images import process_images
from vapo.models.media_tokens import find_vision_token_ids
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.generation import complete_prompts, find_eos_token_ids, sample_completions
from vapo.models.policy.prompt_writer import Prompt


@pytest.fixture(scope="module", params=FAMILIES)
def policy(request):
    model, processor = build_tiny(request.param)
    for parameter in model.parameters():
        parameter.data *= 1.5  # what it writes then depends on what it has read
    return Policy(model, processor, name=request.param)


@pytest.fixture(scope="module")
def responses(policy):
    long = replace(make_sample("long", (42, 56)), question="Look at the image. How many cats are there in it?")
    return write(policy, [make_sample("first"), long, make_sample("pair", num_images=2)])


@pytest.fixture(scope="module")
def llava():
    return Policy(*build_tiny("llava"), name="tiny")


@pytest.fixture(scope="module")
def llava_response(llava):
    return write(llava, [make_sample("first")], 8)[0]


def write(policy, samples, max_tokens=14):
    return [own[0] for own in sample_completions(policy, samples, max_completion_tokens=max_tokens, temperature=0)]


def ask_anew(policy, branch, max_tokens):
    """The definition: the cut as a prompt of its own."""
    images = process_images(policy.processor, branch.rollout.sample.images)
    prompt = Prompt(branch.rollout.sample, branch.all_ids, images)
    return complete_prompts(policy, [prompt], max_tokens, find_eos_token_ids(policy))[0]


def grow(policy, responses):
    """Branches with endings of different lengths at early, late and last cuts."""
    tokenizer = policy.processor.tokenizer
    endings = [tuple(tokenizer.encode(t, add_special_tokens=False)) for t in ("", " Time is up.</think>", "\nNow")]
    return [
        Branch(response, index, endings[(index + number) % 3])
        for number, response in enumerate(responses)
        for index in (0, 1, 5, len(response.completion_ids))
    ]


@pytest.fixture
def no_second_way(policy, monkeypatch):
    """Branches must come from the response that was read."""
    if policy.name not in NOT_PACKED:
        monkeypatch.setattr(branching, "_start_over", None)


@pytest.mark.usefixtures("no_second_way")
def test_every_cut_of_a_greedy_response_goes_on_as_the_response_does(policy, responses):
    branches = [Branch(response, index) for response in responses for index in range(len(response.completion_ids) + 1)]
    for branch, new in zip(branches, continue_branches(policy, branches, 14), strict=True):
        rest = branch.rollout.completion_ids[branch.index :]
        assert new[: len(rest)] == rest


@pytest.mark.usefixtures("no_second_way")
@pytest.mark.parametrize("max_batch_tokens", [1, 400, 100_000])
def test_branches_equal_prompts_of_their_own(policy, responses, max_batch_tokens):
    branches = grow(policy, responses)
    new = continue_branches(policy, branches, 6, max_batch_tokens=max_batch_tokens)
    assert new == [ask_anew(policy, branch, 6) for branch in branches]


def test_a_model_whose_memory_cannot_be_cut_starts_over(policy, responses, monkeypatch):
    branches = grow(policy, responses)
    expected = continue_branches(policy, branches, 6)
    monkeypatch.setattr(ResponseReader, "read", lambda _self, _rollouts: None)
    assert continue_branches(policy, branches, 6) == expected


def test_layers_of_an_unknown_kind_are_not_cut(llava, llava_response, monkeypatch):
    assert ResponseReader(llava).read([llava_response]) is not None
    monkeypatch.setattr(llava.model.config.text_config, "layer_types", ["linear_attention", "full_attention"])
    assert ResponseReader(llava).read([llava_response]) is None


def test_layers_that_keep_less_than_all_tokens_are_not_cut(llava, llava_response, monkeypatch):
    sliding = Cache(layers=[DynamicSlidingWindowLayer(sliding_window=4) for _ in range(2)])
    monkeypatch.setattr(response_reader, "DynamicCache", lambda: sliding)
    assert ResponseReader(llava).read([llava_response]) is None


def test_a_model_that_reads_rows_otherwise_is_never_believed(llava_response, monkeypatch):
    policy = Policy(*build_tiny("llava"))
    for parameter in policy.model.parameters():
        parameter.data *= 3  # far enough from a uniform output that mistakes show
    branches = [Branch(llava_response, index) for index in (0, 2, 5)]
    expected = [ask_anew(policy, branch, 4) for branch in branches]
    align = aligned_rows._align

    def forget(pairs):
        cache = align(pairs)
        for layer in cache.layers:
            layer.keys[:, :, 10:] = 0
        return cache

    monkeypatch.setattr(aligned_rows, "_align", forget)
    calls = []
    monkeypatch.setattr(branching, "complete_prompts", lambda *a: (calls.append(1), complete_prompts(*a))[1])
    assert continue_branches(policy, branches, 4) == expected == continue_branches(policy, branches, 4)
    assert len(calls) == 2


def test_half_precision(policy, responses):
    half = Policy(deepcopy(policy.model).bfloat16(), policy.processor)
    assert all(continue_branches(half, grow(policy, responses), 4))


def test_a_response_is_read_once(llava, llava_response, monkeypatch):
    continue_branches(llava, [Branch(llava_response, 0)], 1)  # the first look
    tokens = []
    forward = llava.model.forward
    monkeypatch.setattr(llava.model, "forward", lambda **k: (tokens.append(k["input_ids"].numel()), forward(**k))[1])
    endings = [(5, 6, 7), (8, 9, 10)]
    continue_branches(llava, [Branch(llava_response, i, e) for i in (0, 3, 8) for e in endings], 4)
    read = len(llava_response.prompt_ids) + len(llava_response.completion_ids)
    assert tokens[:2] == [read, 6 * 3] and max(tokens[2:]) <= 6


def test_branches_that_have_ended_leave_the_batch(llava, llava_response, monkeypatch):
    eos_id = find_eos_token_ids(llava)[0]
    continue_branches(llava, [Branch(llava_response, 0)], 1)  # the first look
    rows = []

    def end_the_longer(_module, _inputs, logits):
        rows.append(len(logits))
        logits[0, -1, eos_id] = 1e4 if len(rows) == 2 else -1e4
        return logits

    handle = llava.model.lm_head.register_forward_hook(end_the_longer)
    long, short = continue_branches(llava, [Branch(llava_response, 4), Branch(llava_response, 0)], 3)
    handle.remove()
    assert rows == [1, 2, 1, 1]
    assert long == (eos_id,) and len(short) == 3


def test_nothing_is_written_behind_an_end_token(llava, llava_response):
    eos_id = find_eos_token_ids(llava)[0]
    ended = replace(llava_response, completion_ids=(*llava_response.completion_ids[:-1], eos_id))
    assert continue_branches(llava, [Branch(ended, 8), Branch(ended, 3)], 2)[0] == ()


def test_vision_tokens_are_never_written(llava, llava_response):
    never = find_vision_token_ids(llava.model.config, llava.processor.tokenizer)
    bias = torch.zeros(llava.model.config.text_config.vocab_size)
    bias[list(never)] = 50.0
    handle = llava.model.lm_head.register_forward_hook(lambda _m, _i, logits: logits + bias)
    new = continue_branches(llava, [Branch(llava_response, 4)], 3)
    handle.remove()
    assert set(new[0]).isdisjoint(never)


def test_mode_and_random_state_stay(llava, llava_response):
    llava.model.train()
    state = torch.get_rng_state()
    continue_branches(llava, [Branch(llava_response, 4)], 2)
    assert llava.model.training and torch.equal(torch.get_rng_state(), state) and torch.is_grad_enabled()
    llava.model.eval()


@pytest.mark.filterwarnings("ignore:You are calling .generate:UserWarning")  # the weights' device says nothing
def test_weights_that_are_brought_in_on_demand(llava, llava_response):
    from accelerate import cpu_offload

    expected = continue_branches(llava, [Branch(llava_response, 4)], 3)
    model, processor = build_tiny("llava")
    offloaded = Policy(cpu_offload(model, execution_device=torch.device("cpu")), processor)
    assert next(model.parameters()).device.type == "meta"
    assert write(offloaded, [llava_response.sample], 8) == [llava_response]
    assert continue_branches(offloaded, [Branch(llava_response, 4)], 3) == expected


def test_an_adapter_counts(llava, llava_response):
    model, processor = build_tiny("llava")
    config = LoraConfig(target_modules=["q_proj", "v_proj"], r=8, lora_alpha=64, init_lora_weights=False)
    adapted = get_peft_model(model, config).eval()
    branches = [Branch(llava_response, index) for index in (0, 3, 8)]
    new = continue_branches(Policy(adapted, processor), branches, 6)
    assert new != continue_branches(llava, branches, 6)
    assert new == continue_branches(Policy(adapted.merge_and_unload(), processor), branches, 6)


def test_no_branches(llava):
    assert continue_branches(llava, [], 3) == []


@pytest.mark.parametrize("options", [{"max_new_tokens": 0}, {"max_new_tokens": 3, "max_batch_tokens": 0}])
def test_numbers_out_of_range(llava, llava_response, options):
    with pytest.raises(ConfigError, match="is 0; it must be at least 1"):
        continue_branches(llava, [Branch(llava_response, 4)], **options)


def test_a_cut_beyond_its_response(llava, llava_response):
    with pytest.raises(ValueError, match="a cut behind 9 tokens of a response that has 8"):
        continue_branches(llava, [Branch(llava_response, 9)], 3)


def test_no_room_in_the_context(llava, llava_response):
    room = 2048 - len(llava_response.prompt_ids) - 4
    with pytest.raises(ModelError, match=r"sample 'first'.*context of 2048"):
        continue_branches(llava, [Branch(llava_response, 4)], room + 1)
