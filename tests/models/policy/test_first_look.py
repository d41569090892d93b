from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from prober_contract import encode_prompt, extend_prompt, make_sample
from tiny_models import FAMILIES, build_tiny

from vapo.errors import ModelError
from vapo.models.policy import rollout_row
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.first_look import FirstLook
from vapo.models.policy.generation import sample_completions
from vapo.models.policy.plain_pass import PlainPass
from vapo.probing.transformers_prober import TransformersProber
from vapo.types import Anchor, Claim, Probe, Verdict

CLAIMS = (Claim("there is a cat", True), Claim("the sky is green", False))


@pytest.fixture(scope="module", params=FAMILIES)
def policy(request):
    return Policy(*build_tiny(request.param), name="tiny")


@pytest.fixture(scope="module")
def llava():
    """A model with an opinion: its weights are large, so that tokens and images matter."""
    model, processor = build_tiny("llava")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(5)
    return Policy(model, processor, name="tiny")


def write(policy, max_completion_tokens=12):
    samples = [replace(make_sample("short"), claims=CLAIMS), replace(make_sample("long", (42, 56)), claims=CLAIMS)]
    samples[1] = replace(samples[1], question="Look at the image. How many cats are there in it?")
    options = {"temperature": 0, "max_completion_tokens": max_completion_tokens}
    return [own[0] for own in sample_completions(policy, samples, **options)]


def probe(policy, rollouts, **options):
    anchors = (Anchor(0, 0.0), Anchor(3, 0.25))
    probes = [Probe(rollout, anchor, claim) for rollout in rollouts for anchor in anchors for claim in CLAIMS]
    return TransformersProber(policy.model, policy.processor, **options).score(probes)


@pytest.mark.parametrize("collective", [False, True])
def test_a_plain_pass_gives_the_logits_of_its_definition(policy, collective):
    sample = make_sample("one", (42, 56))
    encoded = encode_prompt(policy.processor, sample)
    ids = policy.processor.tokenizer.encode("a cat.")
    with torch.no_grad():
        logits = policy.model(**extend_prompt(encoded, ids), use_cache=False).logits[0, -len(ids) - 1 :]
    found = PlainPass(policy.model, policy.processor, collective=collective).read(encoded, ids)
    torch.testing.assert_close(found, logits.float(), atol=1e-5, rtol=1e-5)


def test_what_a_policy_writes_and_answers_is_its_own(policy):
    rollouts, look = write(policy), FirstLook(policy)
    look.check_greedy(rollouts)
    look.check_rows(rollouts)
    look.check_verdicts(probe(policy, rollouts))


def test_tokens_that_are_not_the_likeliest_are_refused(llava):
    short, long = write(llava)
    wrong = replace(long, completion_ids=(*long.completion_ids[:3], 5), token_texts=("",) * 4)
    with pytest.raises(ModelError, match=r"the tokens of greedy responses differ by [\d.]+ from the model's own"):
        FirstLook(llava).check_greedy([short, wrong])
    longer = replace(wrong, completion_ids=(*wrong.completion_ids, 7), token_texts=("",) * 5)
    with pytest.raises(ModelError, match="the tokens of greedy responses differ"):
        FirstLook(llava).check_greedy([short, longer], [0, 4])
    FirstLook(llava).check_greedy([short, wrong], [0, 4])  # by whomever that token was written


def test_answers_that_are_not_its_own_are_refused(llava):
    verdicts = probe(llava, write(llava))
    off = [Verdict(verdict.probe, verdict.p_true + 0.002) for verdict in verdicts]
    with pytest.raises(ModelError, match=r"answers to probes differ by 0\.002"):
        FirstLook(llava).check_verdicts(off)


def test_rows_that_are_read_otherwise_are_refused(llava, monkeypatch):
    rollouts = write(llava)
    process = rollout_row.process_images

    def brighten(processor, images):
        inputs = process(processor, images)
        return type(inputs)({name: value * 50 for name, value in inputs.tensors.items()})

    monkeypatch.setattr(rollout_row, "process_images", brighten)
    with pytest.raises(ModelError, match="log-probabilities of responses differ"):
        FirstLook(llava).check_rows(rollouts)


def test_each_kind_is_looked_at_once_and_rollouts_of_another_prompt_are_passed_over(llava, monkeypatch):
    rollouts, look = write(llava), FirstLook(llava)
    reads: list[int] = []
    read = PlainPass.read
    monkeypatch.setattr(PlainPass, "read", lambda self, *args: reads.append(1) or read(self, *args))
    other = [replace(rollout, prompt_ids=(*rollout.prompt_ids, 5)) for rollout in rollouts]
    look.check_greedy(other)
    assert not reads
    look.check_greedy(rollouts)
    look.check_greedy(rollouts)
    assert len(reads) == 2


def test_half_precision_is_given_more_room(llava):
    low = Policy(build_tiny("llava")[0].bfloat16(), llava.processor, name="low")
    rollouts = write(low)
    FirstLook(low).check_greedy(rollouts)
    verdicts = [Verdict(v.probe, v.p_true + 0.3) for v in probe(low, rollouts)]
    with pytest.raises(ModelError, match=r"answers to probes differ by 0\.[23]"):
        FirstLook(low).check_verdicts(verdicts)
