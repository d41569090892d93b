from __future__ import annotations

from dataclasses import replace

import pytest
from engines.prober_contract import make_sample
from tiny_models import FAMILIES, build_tiny

from vapo.engines.branching import Branch, continue_branches
from vapo.engines.checkpoint import Policy
from vapo.engines.generation import complete_prompts, find_eos_token_ids, sample_completions
from vapo.engines.prompt_writer import Prompt
from vapo.models.images import process_images

SUFFIX = " Time is up.</think>"


@pytest.fixture(scope="module", params=FAMILIES)
def policy(request):
    model, processor = build_tiny(request.param)
    for parameter in model.parameters():
        parameter.data *= 1.5  # what it writes then depends on what it has read
    return Policy(model, processor, name="tiny")


@pytest.fixture(scope="module")
def llava():
    return Policy(*build_tiny("llava"), name="tiny")


def write(policy, samples, max_tokens=14):
    return [own[0] for own in sample_completions(policy, samples, max_completion_tokens=max_tokens, temperature=0)]


@pytest.fixture(scope="module")
def chains(policy):
    long = replace(make_sample("long", (42, 56)), question="Look at the picture. How many cats are there in it?")
    return write(policy, [make_sample("first"), long, make_sample("pair", num_images=2)])


def ask_anew(policy, branch, max_tokens):
    """The definition: the cut as a prompt of its own."""
    images = process_images(policy.processor, branch.rollout.sample.images)
    prompt = Prompt(branch.rollout.sample, branch.all_ids, images)
    return complete_prompts(policy, [prompt], max_tokens, find_eos_token_ids(policy))[0]


def test_every_cut_of_a_greedy_chain_goes_on_as_the_chain_does(policy, chains):
    branches = [Branch(chain, index) for chain in chains for index in range(len(chain.completion_ids) + 1)]
    for branch, new in zip(branches, continue_branches(policy, branches, 14), strict=True):
        rest = branch.rollout.completion_ids[branch.index :]
        assert new[: len(rest)] == rest


@pytest.mark.parametrize("max_batch_tokens", [1, 400, 100_000])
def test_branches_equal_prompts_of_their_own(policy, chains, max_batch_tokens):
    tokenizer = policy.processor.tokenizer
    endings = [tuple(tokenizer.encode(text, add_special_tokens=False)) for text in ("", SUFFIX, "\nNow")]
    branches = [
        Branch(chain, index, endings[(index + number) % 3])
        for number, chain in enumerate(chains)
        for index in (0, 1, 5, len(chain.completion_ids))
    ]
    new = continue_branches(policy, branches, 6, max_batch_tokens=max_batch_tokens)
    assert new == [ask_anew(policy, branch, 6) for branch in branches]


def test_half_precision(policy, chains):
    model = policy.model.bfloat16()
    new = continue_branches(Policy(model, policy.processor), [Branch(chain, 3) for chain in chains], 4)
    model.float()
    assert all(new)
