"""A model behind a real vLLM server, diagnosed as it is in this process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace

import numpy as np
import pytest
from prober_contract import ProberContract, make_probes, make_rollout, make_sample
from vllm_world import build_for_vllm, run_server, save_for_vllm

from vapo.core.boundaries import find_boundaries
from vapo.data.image_views import leave_out_images, mask_images
from vapo.diagnosis.other_images import OtherImages
from vapo.diagnosis.protocols import ROW_PROTOCOLS
from vapo.diagnosis.responses import read_response
from vapo.diagnosis.settings import DiagnosisSettings
from vapo.diagnosis.transformers.transformers_model import TransformersModel
from vapo.errors import ConfigError, ModelError
from vapo.models.diagnosed_model import Cut, View
from vapo.models.policy.checkpoint import Policy
from vapo.serving import start
from vapo.serving.server_model import ServerModel
from vapo.serving.start import connect_model
from vapo.types import Rollout

pytestmark = [pytest.mark.vllm, pytest.mark.xdist_group("vllm")]

RESPONSE = "I see a 3, then a 5. So 3 + 5 = 8: there are two cats. One is black!"
CLOSING = " Time is up. I should stop thinking and give an answer based on what I have.</think>"


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy(*build_for_vllm("qwen2_5_vl"), "tiny")


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    save_for_vllm("qwen2_5_vl", folder / "model")
    with run_server(folder / "model", folder / "log", "--served-model-name", "tiny") as url:
        yield url


@pytest.fixture(scope="module")
def here(policy) -> TransformersModel:
    return TransformersModel(policy)


@pytest.fixture(params=["token endpoints", "chat endpoint"])
def there(request, server, policy, monkeypatch) -> ServerModel:
    if request.param == "chat endpoint":
        monkeypatch.setattr(start, "_has_token_endpoints", lambda connection: False)
    return connect_model(server, tokenizer=policy.processor.tokenizer)


def takes_text(there: ServerModel) -> bool:
    return type(there._continuation).__name__ == "ChatEndpoint"


def is_what_text_gives(policy, rollout: Rollout, index: int) -> bool:
    ids, tokenizer = rollout.completion_ids[:index], policy.processor.tokenizer
    return tuple(tokenizer.encode(tokenizer.decode(ids), add_special_tokens=False)) == ids


@pytest.fixture
def responses(policy) -> list[Rollout]:
    samples = [make_sample("one", (112, 84)), make_sample("two", (56, 84), num_images=2)]
    return [make_rollout(policy.processor, sample, RESPONSE) for sample in samples]


def test_abilities_and_what_to_do_without_the_others(there):
    assert there.name == "tiny"
    assert there.abilities == {"continue", "probe", "replay"}
    for ability in ("attend", "compare_views"):
        assert "run its checkpoint with transformers" in there.why_not(ability)


def test_responses_are_those_of_transformers(there, here):
    samples = [make_sample("one", (112, 84)), make_sample("two", (56, 84), num_images=2)]
    assert there.write_responses(samples, 24) == here.write_responses(samples, 24)


def test_a_response_continued_from_any_of_its_tokens_is_the_response(there, policy):
    (whole,) = there.write_responses([make_sample("whole", (112, 84))], 40)
    places = [n for n in range(40) if takes_text(there) is False or is_what_text_gives(policy, whole, n)]
    assert len(places) >= 5
    cuts = [Cut(whole, index) for index in places]
    for index, text in zip(places, there.continue_cuts(cuts, 40), strict=True):
        assert text.startswith("".join(whole.token_texts[index:]))


def test_early_decision_is_that_of_transformers(there, here, responses):
    cuts = [
        Cut(response, index, CLOSING)
        for response in responses
        for index in (0, *find_boundaries(response.token_texts))
    ]
    assert len(cuts) > 8
    assert there.continue_cuts(cuts, 12) == here.continue_cuts(cuts, 12)


def test_given_answers_are_as_likely_as_transformers_find_them(there, here, responses):
    cuts = [
        Cut(response, index, CLOSING, f" \\boxed{{{answer}}}")
        for response in responses
        for index in (0, *find_boundaries(response.token_texts))
        for answer in ("8", "83", "red", "two cats")
    ]
    assert len(cuts) > 32
    got, expected = there.score_texts(cuts), here.score_texts(cuts)
    assert [own.token_texts for own in got] == [own.token_texts for own in expected]
    ours, theirs = ([logprob for own in scored for logprob in own.logprobs] for scored in (got, expected))
    difference = np.abs(np.subtract(ours, theirs)).max()
    print(f"largest difference of log-probabilities: {difference:.1e}")
    assert difference < 1e-3


@pytest.mark.parametrize("protocol", ["confidence", "balance", "cue"])
def test_rows_of_protocols_are_those_of_transformers(server, here, policy, protocol):
    """Along a response that is not the model's own, as a random model ends none."""
    there = connect_model(server, tokenizer=policy.processor.tokenizer)
    sample = replace(make_sample("one", (112, 84)), answer="8")
    text = "<think>I see a 3, then a 5. So 3 + 5 = 8: there are two cats.</think> \\boxed{8}"
    response = read_response(
        make_rollout(policy.processor, sample, text), tags=("<think>", "</think>"), max_tokens=512
    )
    assert response.answer == "8" and len(response.boundaries) > 2
    settings = DiagnosisSettings(num_cuts=2, max_completion_tokens=24, num_waits=1)
    others = OtherImages([sample, replace(sample, id="other", answer="5")])
    (got,), (expected,) = (
        ROW_PROTOCOLS[protocol].find(model, [response], settings, others) for model in (there, here)
    )
    assert len(got) == len(expected) >= 3
    for ours, theirs in zip(got, expected, strict=True):
        for name, value in asdict(theirs).items():
            assert getattr(ours, name) == (pytest.approx(value, abs=1e-3) if isinstance(value, float) else value)


def test_text_behind_a_cut_holds_no_special_token(there, here, responses):
    cuts = [Cut(responses[0], 5, "", " Someone said <|im_end|> and 9.")]
    assert there.read_cut(cuts[0]).completion_ids == here.read_cut(cuts[0]).completion_ids
    assert there.continue_cuts(cuts, 8) == here.continue_cuts(cuts, 8) != [""]


@pytest.mark.parametrize("shown", ["none", "noise", "other"])
def test_a_response_behind_another_image_goes_on_as_transformers_go_on(there, here, responses, shown):
    other = make_sample("other", (84, 56))
    rollout = responses[0]
    sample = {
        "none": leave_out_images(rollout.sample),
        "noise": mask_images(rollout.sample, "noise"),
        "other": replace(rollout.sample, images=other.images),
    }[shown]
    (swapped,) = there.rewrite_prompts([(rollout, sample)])
    assert swapped == here.rewrite_prompts([(rollout, sample)])[0]
    cuts = [Cut(swapped, index) for index in (0, *find_boundaries(rollout.token_texts))]
    assert len(cuts) > 4
    assert there.continue_cuts(cuts, 12) == here.continue_cuts(cuts, 12)


@pytest.mark.parametrize("view", ["image", "blank", "none"])
def test_probes_are_those_of_transformers_under_every_view(there, here, responses, view: View):
    probes = make_probes(responses)
    expected = [verdict.p_true for verdict in here.score_probes(probes, view)]
    got = there.score_probes(probes, view)
    assert [verdict.probe for verdict in got] == probes
    difference = np.abs(np.subtract([verdict.p_true for verdict in got], expected)).max()
    print(f"largest difference of P(true) under {view!r}: {difference:.1e}")
    assert difference < 1e-3


def test_the_views_differ(there, responses):
    probes = make_probes(responses)
    views = [[v.p_true for v in there.score_probes(probes, view)] for view in ("image", "blank", "none")]
    assert min(np.abs(np.subtract(a, b)).max() for a, b in zip(views, [*views[1:], views[0]], strict=True)) > 1e-6


def test_an_image_shown_again_twice_is_shown_as_transformers_show_it(there, here, responses):
    index = find_boundaries(responses[0].token_texts)[1]
    for response in responses:
        first = there.replay_image(Cut(response, index), 12, 0.5)
        assert first == here.replay_image(Cut(response, index), 12, 0.5)
        kept = 5 if not takes_text(there) else 0  # a random model does not write the tokens that text gives
        again = there.replay_image(Cut(first, kept, "So."), 12, 0.5)
        assert again == here.replay_image(Cut(first, kept, "So."), 12, 0.5)
        if takes_text(there):
            continue
        assert there.continue_cuts([Cut(again, 4, "I")], 8) == here.continue_cuts([Cut(again, 4, "I")], 8)


def test_the_end_of_a_response(there, policy, responses):
    tokenizer = policy.processor.tokenizer
    ended = Rollout(
        responses[0].sample,
        responses[0].prompt_ids,
        (*responses[0].completion_ids, tokenizer.eos_token_id),
        (*responses[0].token_texts, ""),
    )
    length = len(ended.completion_ids)
    assert there.continue_cuts([Cut(ended, length)], 8) == [""]
    with_end, without = there.continue_cuts([Cut(ended, length, CLOSING), Cut(ended, length - 1, CLOSING)], 8)
    assert with_end == without


def test_a_response_longer_than_the_context_is_refused_in_a_sentence(there):
    with pytest.raises(ModelError, match="2048"):
        there.write_responses([make_sample("long")], 4000)


def test_tokens_of_images_in_a_suffix_are_refused(there, responses):
    with pytest.raises(ConfigError, match="stands for an image"):
        there.continue_cuts([Cut(responses[0], 3, "<|image_pad|>")], 8)


def test_a_response_of_other_images_is_refused(server, policy, responses):
    there = connect_model(server, tokenizer=policy.processor.tokenizer)
    other = Rollout(
        make_sample("other", (56, 28)), responses[0].prompt_ids, responses[0].completion_ids, responses[0].token_texts
    )
    with pytest.raises(ModelError, match="other tokens of its images"):
        there.continue_cuts([Cut(other, 3, " So")], 4)


def test_tokens_that_text_would_change_are_refused_by_the_chat_endpoint_alone(there, here, policy, responses):
    """Spelled letter by letter, a word has other tokens than its text."""
    tokenizer = policy.processor.tokenizer
    ids = tuple(tokenizer.encode(letter, add_special_tokens=False)[0] for letter in "correct")
    assert tuple(tokenizer.encode("correct", add_special_tokens=False)) != ids
    odd = Rollout(responses[0].sample, responses[0].prompt_ids, ids, tuple("correct"))
    try:
        assert there.continue_cuts([Cut(odd, 7)], 8) == here.continue_cuts([Cut(odd, 7)], 8)
    except ModelError as error:
        assert "--enable-scale-out" in str(error)
        assert takes_text(there)
    else:
        assert not takes_text(there)


def test_the_tokenizer_is_the_one_that_the_server_names(server):
    assert connect_model(server).abilities == {"continue", "probe", "replay"}


class TestAsAProber(ProberContract):
    atol = 1e-3

    @pytest.fixture
    def model(self, policy):
        return policy.model

    @pytest.fixture
    def processor(self, policy):
        return policy.processor

    @pytest.fixture
    def prober(self, server, policy):
        there = connect_model(server, tokenizer=policy.processor.tokenizer)
        there.score = there.score_probes
        return there
