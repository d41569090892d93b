"""An audit against a server: what is asked, what is kept, and that it goes on where it stopped."""

from __future__ import annotations

import io
import itertools
import json
import math
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from openai_stub import CHAT, Reply, refuse, run_stub, say
from PIL import Image

from vapo.api.client import ModelClient
from vapo.api.server_errors import ServerError
from vapo.claims.audit.questions import choose_questions
from vapo.claims.audit.run import AuditCounts, AuditSettings, audit_claims
from vapo.claims.store.audits import Audit, read_audit_cost, read_audits
from vapo.claims.store.claims import NewClaim, add_claims, list_claims
from vapo.claims.store.images import StoredImage, add_image_set
from vapo.claims.store.store import Store
from vapo.errors import ConfigError, DataError
from vapo.models.questions import PROBE_TEMPLATE
from vapo.types import Claim


@pytest.fixture
def stub():
    with run_stub() as opened:
        yield opened


@pytest.fixture
def filled(store: Store) -> Store:
    """Four images with four claims each, the first two of which are true; and a rejected one."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(stream, "PNG")
    with store.writing():
        for number in range(4):
            image_set = add_image_set(store, [StoredImage(f"{number:064x}", 8, 8, "image/png", stream.getvalue())])
            news = [NewClaim(Claim(f"Claim {n} of {number}.", n < 2), "other") for n in range(4)]
            add_claims(store, image_set, "me", [*news, NewClaim(Claim("Rejected.", True), "other", "length")])
    return store


def answer(word: str, p: float | None = None) -> Reply:
    reply = say(word)
    if p is not None:
        other = "no" if word == "yes" else "yes"
        listed = [{"token": token, "logprob": math.log(share)} for token, share in ((word, p), (other, 1 - p))]
        reply.body["choices"][0]["logprobs"] = {"content": [{"token": word, "top_logprobs": listed}]}
    return reply


def text_of(body: Any) -> str:
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else content[0]["text"]


def is_said_to_be_true(body: Any) -> bool:
    return any(f"Claim {n} of" in text_of(body) for n in range(2))


def audit(store: Store, url: str, *names: str, **settings: Any) -> AuditCounts:
    server = ModelClient(
        url, "tiny", max_retries=settings.pop("max_retries", 8), concurrency=settings.pop("concurrency", 4)
    )
    questions = choose_questions(list(names) or ["label"])
    return audit_claims(store, server, AuditSettings(questions, **settings))


def test_every_claim_is_put_alone_with_its_image(filled, stub):
    stub.script[CHAT] = [lambda body: answer("yes" if is_said_to_be_true(body) else "no", 0.9)]
    counts = audit(filled, stub.url)
    assert (counts.num_claims, counts.total, counts.answered, counts.unreadable, counts.tokens) == (
        16,
        16,
        16,
        0,
        16 * 110,
    )
    assert sorted(read_audits(filled), key=lambda one: one.claim) == [
        Audit(claim.id, "tiny", "label", claim.claim.is_true, pytest.approx(0.9 if claim.claim.is_true else 0.1))
        for claim in list_claims(filled)
    ]
    for body in stub.asked():
        assert [part["type"] for part in body["messages"][0]["content"]] == ["text", "image_url"]
        assert len(re.findall(r"Claim \d", text_of(body))) == 1
        assert body["temperature"] == 0 and body["logprobs"] is True
    assert read_audit_cost(filled).prompt_tokens == 1600


def test_each_question_is_asked_in_its_own_words(filled, stub):
    stub.script[CHAT] = [answer("yes")]
    names = ("label", "visual", "answerable", "blind", "no_yes", "true_false")
    assert audit(filled, stub.url, *names).answered == 6 * 16
    blind = [body for body in stub.asked() if "cannot see" in text_of(body)]
    assert len(blind) == 16
    assert all(len(body["messages"][0]["content"]) == 1 for body in blind)
    endings = {text_of(body).rpartition("Answer ")[2] for body in stub.asked()}
    assert endings == {"(yes/no):", "(no/yes):", "(true/false):"}


def test_a_probe_goes_on_in_the_models_own_turn(filled, stub):
    stub.script[CHAT] = [answer(" yes", 0.8)]
    audit(filled, stub.url, probe_template=PROBE_TEMPLATE)
    body = stub.asked()[0]
    assert [message["role"] for message in body["messages"]] == ["user", "assistant"]
    assert body["continue_final_message"] is True and body["add_generation_prompt"] is False
    assert body["messages"][1]["content"].startswith("\n<anchor> Claim ")
    assert body["max_completion_tokens"] == 1
    assert {one.auditor for one in read_audits(filled)} == {"tiny (probed)"}
    assert audit(filled, stub.url).answered == 16  # asked in the user's turn, it is another auditor


def test_what_was_answered_is_not_asked_again(filled, stub):
    stub.script[CHAT] = [answer("yes")]
    assert audit(filled, stub.url, num_images=2).answered == 8
    counts = audit(filled, stub.url, num_images=3)
    assert (counts.total, counts.before, counts.answered) == (12, 8, 4)
    assert len(stub.asked()) == 12
    assert audit(filled, stub.url, "blind", num_images=1).answered == 4  # another question is another one


def test_an_answer_is_in_the_store_before_the_next_is_waited_for(filled, stub, tmp_path):
    seen: list[int] = []

    def look(body: Any) -> Reply:
        with Store(filled.path) as other:
            seen.append(len(read_audits(other)))
        return answer("no")

    stub.script[CHAT] = [look]
    audit(filled, stub.url, concurrency=1)
    assert seen == list(range(16))


def test_unreadable_answers_are_kept_and_counted(filled, stub):
    stub.script[CHAT] = [answer("I would rather not say.")]
    counts = audit(filled, stub.url, num_images=1)
    assert counts.unreadable == 4 and {one.says_yes for one in read_audits(filled)} == {None}
    bodies = filled.read("SELECT body FROM audits")
    assert json.loads(bodies[0][0])["choices"][0]["message"]["content"] == "I would rather not say."


def test_a_failed_question_is_asked_by_the_next_run(filled, stub):
    stub.script[CHAT] = [refuse(400, "this image is not allowed"), *[answer("yes")] * 2]
    counts = audit(filled, stub.url, num_images=1, concurrency=1)
    assert (counts.answered, counts.failed) == (3, 1) and "this image is not allowed" in counts.last_failure
    assert audit(filled, stub.url, num_images=1).answered == 1


def test_a_server_that_only_fails_ends_the_audit(filled, stub):
    stub.script[CHAT] = [refuse(400, "no images here")]
    with pytest.raises(ServerError, match=r"5 questions in a row got no answer; .*no images here.*Nothing is lost"):
        audit(filled, stub.url, max_failures=5, concurrency=1)
    assert len(stub.asked()) == 5


def test_a_wrong_key_stops_at_once_and_is_nowhere(filled, stub, monkeypatch, capfd):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-this-is-secret")
    stub.script["/v1/models"] = [refuse(401, "wrong key sk-this-is-secret")]
    with pytest.raises(ServerError, match=r"refuses the key \(401\); check OPENAI_API_KEY") as refused:
        audit(filled, stub.url)
    stub.script["/v1/models"] = [Reply({"data": [{"id": "tiny"}]})]
    stub.script[CHAT] = [answer("yes")]
    audit(filled, stub.url)
    said = str(refused.value) + str(capfd.readouterr())
    assert "sk-this" not in said
    assert all(b"sk-this" not in path.read_bytes() for path in Path(filled.path).parent.glob("claims.db*"))


def test_options_that_a_server_does_not_take_are_left_out(filled, stub):
    def refuse_logprobs(body: Any) -> Reply:
        return refuse(400, "unsupported parameter: logprobs") if "logprobs" in body else answer("yes")

    stub.script[CHAT] = [refuse_logprobs]
    assert audit(filled, stub.url, num_images=1).answered == 4
    assert {one.p_yes for one in read_audits(filled)} == {None}


def test_an_interrupt_waits_for_what_is_under_way(filled, stub):
    turns = itertools.count(1)

    def interrupt(body: Any) -> Reply:
        if next(turns) == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return answer("yes")

    stub.script[CHAT] = [interrupt]
    counts = audit(filled, stub.url)
    assert counts.ended == "it was interrupted" and counts.exit_code == 130
    assert counts.answered == len(stub.asked()) == len(read_audits(filled)) < 16
    stub.script[CHAT] = [answer("yes")]
    assert audit(filled, stub.url).before == counts.answered


def test_what_cannot_be_audited(store, stub):
    with pytest.raises(DataError, match="holds no claims"):
        audit(store, stub.url)
    with pytest.raises(ConfigError, match="0 images"):
        audit(store, stub.url, num_images=0)
