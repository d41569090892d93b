"""What a policy writes about images is what `vapo claims make` would have of it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tiny_models import build_tiny

from vapo.claims.claim_writing import write_claims
from vapo.claims.local_model import PolicyClaimModel
from vapo.claims.making.make import make_claims
from vapo.claims.making.settings import MakingSettings
from vapo.claims.store.claims import NewClaim, read_claims
from vapo.claims.store.images import encode_stored_image, find_row
from vapo.claims.store.store import Store
from vapo.data.shown import load_shown
from vapo.errors import ModelError
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.generation import sample_completions

SETTINGS = MakingSettings(per_image=6, tries=2, max_tokens=40)


@pytest.fixture
def policy() -> Policy:
    return Policy(*build_tiny("llava"), name="tiny")


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in "abcde":
        pixels = rng.integers(0, 255, (30, 30, 3)).astype("uint8")
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return tmp_path


@pytest.fixture
def talkative(monkeypatch) -> list[str]:
    """A policy that writes some of the claims, in words that depend on what it was asked; the questions."""
    asked: list[str] = []

    def sample(policy, samples, **options):
        rollouts = []
        for one, (rollout,) in zip(samples, sample_completions(policy, samples, **options), strict=True):
            asked.append(one.question)
            attempt = one.question.count("Do not repeat") + one.question.count("could not be used")
            thing = ("cup", "lamp")[attempt % 2]
            claims = [
                {"text": f"The {thing} {number} stands {place} the wall.", "is_true": number % 2 == 0}
                for number, place in enumerate(["near", "behind", "left of", "perhaps at"])
            ]
            text = json.dumps({"claims": claims})
            text = text if int(one.id) % 4 else text[:-40]  # some are cut off
            rollouts.append([replace(rollout, completion_ids=(5,) * len(text), token_texts=tuple(text))])
        return rollouts

    for module in ("claim_writing", "local_model"):
        monkeypatch.setattr(f"vapo.claims.{module}.sample_completions", sample)
    return asked


def test_the_same_claims_and_questions_as_where_a_server_is_asked(policy, folder, talkative):
    rows = list(load_shown(str(folder)))
    with Store(folder / "claims.db", create=True) as store:
        make_claims(rows, store, PolicyClaimModel(policy, batch_size=2), SETTINGS)
        image_sets = [find_row(store, row.source, row.name).image_set for row in rows]
        expected = [
            [NewClaim(own.claim, own.kind, own.rejected_for) for own in read_claims(store, image_set, rejected=True)]
            for image_set in image_sets
        ]
    questions = sorted(talkative)
    talkative.clear()
    images = [[encode_stored_image(image) for image in row.open()] for row in rows]
    assert write_claims(policy, images, SETTINGS, batch_size=2) == expected
    assert sorted(talkative) == questions and len(questions) > 5
    assert {own.rejected_for is None for claims in expected for own in claims} == {True, False}


def test_images_without_room_get_none_and_where_none_has_any_it_is_told(policy, folder, talkative, monkeypatch):
    images = [[encode_stored_image(image)] for row in load_shown(str(folder)) for image in row.open()]

    def find_room(policy, writer, sample, most):
        if len(sample.images) > limit:
            raise ModelError("it exceeds the model's context")
        return most

    monkeypatch.setattr("vapo.claims.claim_writing.find_room", find_room)
    limit = 1
    none, some = write_claims(policy, [images[0] * 2, images[1]], SETTINGS, batch_size=2)
    assert none == [] and some
    limit = 0
    with pytest.raises(ModelError, match="exceeds the model's context"):
        write_claims(policy, images, SETTINGS, batch_size=2)
