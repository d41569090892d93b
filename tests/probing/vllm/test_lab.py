"""The lab's model behind a real vLLM server: trained, so that responses end, and the image matters."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
from vllm_world import run_server

from vapo.api.server_errors import ServerError
from vapo.core.boundaries import find_boundaries
from vapo.data.samples import load_samples
from vapo.diagnosis.transformers.transformers_model import TransformersModel
from vapo.lab.serving import save_for_vllm
from vapo.lab.shipped import shipped_checkpoint, shipped_data
from vapo.models.diagnosed_model import Cut, View
from vapo.models.policy.checkpoint import Policy, load_policy
from vapo.serving import start
from vapo.serving.judge.judge import Judge
from vapo.serving.server_model import ServerModel
from vapo.serving.start import connect_model
from vapo.types import Anchor, Probe, Sample

pytestmark = [pytest.mark.vllm, pytest.mark.xdist_group("vllm")]

CLOSING = " Time is up. I should stop thinking and give an answer based on what I have.</think>"


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load_policy(shipped_checkpoint())


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("lab")
    save_for_vllm(folder / "model")
    words = ("--served-model-name", "lab", "--api-key", "sesame")
    with run_server(folder / "model", folder / "log", *words) as url:
        yield url


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sesame")


@pytest.fixture(params=["token endpoints", "chat endpoint"])
def there(request, server, policy, monkeypatch) -> ServerModel:
    if request.param == "chat endpoint":
        monkeypatch.setattr(start, "_has_token_endpoints", lambda connection: False)
    return connect_model(server, tokenizer=policy.processor.tokenizer)


@pytest.fixture
def here(policy) -> TransformersModel:
    return TransformersModel(policy)


@pytest.fixture
def samples() -> list[Sample]:
    data = load_samples(str(shipped_data("heldout")))
    return [data[number] for number in range(8)]


def test_early_decision_is_that_of_transformers(there, here, samples):
    responses = there.write_responses(samples, 200)
    assert responses == here.write_responses(samples, 200)
    places = [(response, index) for response in responses for index in (0, *find_boundaries(response.token_texts))]
    assert len(places) > 40
    early = [Cut(response, index, CLOSING) for response, index in places]
    answers = there.continue_cuts(early, 32)
    assert answers == here.continue_cuts(early, 32)
    assert sum("\\boxed{" in answer for answer in answers) > len(answers) / 2
    rests = ["".join(response.token_texts[index:]) for response, index in places]
    assert there.continue_cuts([Cut(response, index) for response, index in places], 200) == rests


@pytest.mark.parametrize("view", ["image", "blank", "none"])
def test_probes_are_those_of_transformers(there, here, samples, view: View):
    responses = here.write_responses(samples, 200)
    probes = [
        Probe(response, Anchor(index, index / len(response.completion_ids)), claim)
        for response in responses
        for index in (0, *find_boundaries(response.token_texts))
        for claim in response.sample.claims[:2]
    ]
    expected = [verdict.p_true for verdict in here.score_probes(probes, view)]
    got = [verdict.p_true for verdict in there.score_probes(probes, view)]
    difference = np.abs(np.subtract(got, expected)).max()
    print(f"largest difference of P(true) under {view!r}, {len(probes)} probes: {difference:.1e}")
    assert difference < 1e-3


def test_an_image_shown_again_is_shown_as_transformers_show_it(there, here, samples):
    responses = here.write_responses(samples[:4], 200)
    cuts = [Cut(response, find_boundaries(response.token_texts)[0]) for response in responses]
    assert there.replay_images(cuts, 100, 0.5) == here.replay_images(cuts, 100, 0.5)


def test_a_wrong_key_or_model_is_told_at_once(server, policy, monkeypatch):
    with pytest.raises(ServerError, match="has no model 'qwen'; it has lab"):
        connect_model(server, "qwen", tokenizer=policy.processor.tokenizer)
    monkeypatch.setenv("OPENAI_API_KEY", "open")
    with pytest.raises(ServerError, match=r"refuses the key \(401\); check OPENAI_API_KEY"):
        connect_model(server, tokenizer=policy.processor.tokenizer)


def test_a_judges_answer_is_held_to_its_form(server, samples, tmp_path):
    """The lab's model was never taught to judge; left to itself it would answer in its own words."""
    judge = Judge(server, cache_folder=tmp_path, max_tokens=64)
    votes = judge.judge(samples[0], "I see a 3. \\boxed{3}", 3)
    assert judge.usage.answers == 3 and judge.usage.failed == 0
    texts = [json.loads(path.read_text())["text"] for path in tmp_path.rglob("*.json")]
    # It may spend its tokens on white space, which the form allows anywhere.
    assert len(texts) == 3 and all('{"reason":'.startswith("".join(text.split())[:10]) for text in texts)
    again = Judge(server, cache_folder=tmp_path, max_tokens=64)
    assert again.judge(samples[0], "I see a 3. \\boxed{3}", 3) == votes
    assert again.usage.cached == 3 and again.usage.answers == 0
