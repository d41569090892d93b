"""A policy that is asked for claims answers as a server would."""

from __future__ import annotations

import asyncio
import json

import pytest
from PIL import Image
from tiny_models import FAMILIES, build_tiny, save_tiny

from vapo.api.server_errors import ServerError
from vapo.claims.local_model import PolicyClaimModel
from vapo.claims.making.make import make_claims
from vapo.claims.making.settings import MakingSettings
from vapo.claims.store.images import encode_stored_image
from vapo.claims.store.store import Store
from vapo.cli import main
from vapo.data.shown import load_shown
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.generation import sample_completions
from vapo.types import Sample

OPTIONS = {"temperature": 0.0, "seed": 3, "max_completion_tokens": 9, "response_format": {}}
RED, BLUE = (encode_stored_image(Image.new("RGB", (56, 42), colour)) for colour in ("red", "blue"))


@pytest.fixture(scope="module", params=FAMILIES)
def policy(request):
    return Policy(*build_tiny(request.param), name="tiny")


def ask(policy: Policy, *asked, batch_size: int = 4):
    async def run():
        async with PolicyClaimModel(policy, batch_size=batch_size) as witness:
            await witness.connect()
            return await asyncio.gather(*(witness.ask(*one) for one in asked))

    return asyncio.run(run())


def test_the_answer_is_what_the_policy_writes_behind_text_and_images(policy):
    (answer,) = ask(policy, ("Write claims.", [RED, BLUE], OPTIONS))
    images = tuple(Image.new("RGB", (56, 42), colour) for colour in ("red", "blue"))
    sample = Sample("3", images, "Write claims.<image><image>", "")
    ((rollout,),) = sample_completions(policy, [sample], max_completion_tokens=9, temperature=0)
    body = json.loads(answer.body)
    assert body["choices"][0]["message"] == {"role": "assistant", "content": rollout.text}
    assert answer.finish_reason == body["choices"][0]["finish_reason"] in ("length", "stop")
    assert answer.prompt_tokens == len(rollout.prompt_ids) == body["usage"]["prompt_tokens"]
    assert answer.completion_tokens == len(rollout.completion_ids)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_batch_changes_nothing(policy, temperature, monkeypatch):
    sizes: list[int] = []

    def count(policy, samples, **options):
        sizes.append(len(samples))
        return sample_completions(policy, samples, **options)

    monkeypatch.setattr("vapo.claims.local_model.sample_completions", count)
    asked = [
        ("Write claims.", [image], {**OPTIONS, "temperature": temperature, "seed": seed})
        for seed, image in enumerate((RED, BLUE, RED))
    ]
    together, alone = ask(policy, *asked), ask(policy, *asked, batch_size=1)
    assert [answer.body for answer in together] == [answer.body for answer in alone]
    assert sizes == [3, 1, 1, 1]


def test_an_answer_gets_the_room_that_the_context_leaves():
    policy = Policy(*build_tiny("llava"), name="tiny")
    (short,) = ask(policy, ("Write claims.", [RED], OPTIONS))
    context = policy.model.config.text_config
    context.max_position_embeddings = short.prompt_tokens + 2
    (answer,) = ask(policy, ("Write claims.", [RED], OPTIONS))
    assert answer.completion_tokens <= 2
    context.max_position_embeddings = short.prompt_tokens
    with pytest.raises(ServerError, match="exceeds the model's context") as refused:
        ask(policy, ("Write claims.", [RED], OPTIONS))
    assert refused.value.may_pass


def test_what_it_says_is_kept_even_if_it_is_nothing(tmp_path):
    for name in ("a", "b", "c"):
        Image.new("RGB", (30, 30), (ord(name), 9, 9)).save(tmp_path / f"{name}.png")
    policy = Policy(*build_tiny("llava"), name="tiny")
    with Store(tmp_path / "claims.db", create=True) as store:
        settings = MakingSettings(per_image=2, tries=1, max_tokens=5)
        counts = make_claims(load_shown(str(tmp_path)), store, PolicyClaimModel(policy), settings)
        assert counts.by_status == {"short": 3} and counts.requests == 6 and counts.tokens > 0
        assert store.read("SELECT DISTINCT model, server FROM requests") == [("tiny", "this process")]


def test_the_command(tmp_path, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (30, 30), "red").save(photos / "a.png")
    model, out = str(save_tiny("llava", tmp_path / "model")), str(tmp_path / "claims.db")
    words = ["claims", "make", "--data", str(photos), "--out", out]
    limits = ["--per-image", "2", "--tries", "0", "--max-tokens", "4"]
    assert main([*words, *limits, "--model", model]) == 0
    assert "1 of 1 rows have too few claims" in capsys.readouterr().out
    assert main([*words, "--model", str(tmp_path / "gone")]) == 1
    assert "there is no folder" in capsys.readouterr().err
    assert main([*words, "--model", model, "--program", "own.py:make"]) == 1
    assert "name who makes the claims" in capsys.readouterr().err
