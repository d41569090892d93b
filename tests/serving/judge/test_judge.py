from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from openai_stub import CHAT, Reply, refuse, run_stub, say
from prober_contract import make_sample

from vapo.api.prices import Prices
from vapo.api.server_errors import ServerError
from vapo.errors import ConfigError
from vapo.serving.judge.cache import JudgeAnswer, JudgeCache, make_key
from vapo.serving.judge.error_category import CATEGORIES, read_category
from vapo.serving.judge.judge import Judge

SAMPLE = make_sample("wrong")
RESPONSE = "I see a 3. So the answer is \\boxed{3}."
PERCEPTION = '{"reason": "It is a 5.", "category": "perception"}'


@pytest.fixture
def stub():
    with run_stub(["judge"]) as stub:
        stub.script[CHAT] = [say(PERCEPTION)]
        yield stub


@pytest.fixture
def make_judge(stub, tmp_path):
    def make(**options) -> Judge:
        defaults = {"cache_folder": tmp_path / "cache", "max_retries": 0, "max_throttled_s": 0.0, "timeout_s": 0.5}
        return Judge(stub.url, **{**defaults, **options})

    return make


@pytest.mark.parametrize(
    ("text", "category"),
    [
        (PERCEPTION, "perception"),
        ('```json\n{"reason": "3 + 4 = 8", "category": "Logical"}\n```', "logical"),
        ('The mistake is in step 2. {"category": "knowledge", "reason": "wrong formula"} That is all.', "knowledge"),
        ("<think>Is it perception? No.</think>\nother", "other"),
        ("Category: **perception**", "perception"),
        ("The category is logical.", "logical"),
        ("**Perception**.", "perception"),
        ('{"category": "perception"} ... {"category": "logical"}', None),
        ('{"category": "reading"}', None),
        ('{"category": ["perception"]}', None),
        ("It is perception or logical.", None),
        ("not perception", None),
        ("", None),
        ("I cannot help with that.", None),
        ("A", None),
        ("{" * 5000, None),
        ("[" * 100_000, None),
    ],
)
def test_an_answer_is_read_leniently_and_its_category_strictly(text, category):
    assert read_category(text) == category


def test_what_the_judge_is_shown(stub, make_judge):
    assert make_judge().judge(SAMPLE, RESPONSE, 1) == ("perception",)
    (body,) = stub.asked()
    system, user = body["messages"]
    assert all(category in system["content"] for category in CATEGORIES)
    image, text = user["content"]
    assert image["image_url"]["url"].startswith("data:image/png;base64,")
    assert all(part in text["text"] for part in (SAMPLE.question, SAMPLE.answer, RESPONSE))
    assert body["response_format"]["json_schema"]["schema"]["properties"]["category"]["enum"] == list(CATEGORIES)
    assert (body["temperature"], body["seed"], body["model"]) == (0.0, 0, "judge")


def test_several_votes_are_drawn_with_seeds_of_their_own(stub, make_judge):
    votes = [say(PERCEPTION), say('{"category": "logical"}'), say("nonsense"), say(PERCEPTION)]
    stub.script[CHAT] = list(votes)
    judge = make_judge(concurrency=1, seed=7)
    assert judge.judge(SAMPLE, RESPONSE, 4) == ("perception", "logical", None, "perception")
    assert [body["seed"] for body in stub.asked()] == [7, 8, 9, 10]
    assert {body["temperature"] for body in stub.asked()} == {0.7}
    assert (judge.usage.answers, judge.usage.nonsense, judge.usage.failed) == (4, 1, 0)


def test_a_second_run_costs_nothing(stub, make_judge):
    first, second = make_judge(), make_judge()
    assert first.judge(SAMPLE, RESPONSE, 3) == second.judge(SAMPLE, RESPONSE, 3) == ("perception",) * 3
    assert len(stub.asked()) == 3
    assert (second.usage.answers, second.usage.cached, second.usage.prompt_tokens) == (0, 3, 0)
    assert (first.usage.prompt_tokens, first.usage.completion_tokens) == (300, 30)


@pytest.mark.parametrize("change", ["question", "answer", "response", "image", "votes", "seed", "max_tokens"])
def test_the_cache_tells_apart_what_differs(stub, make_judge, change):
    make_judge().judge(SAMPLE, RESPONSE, 1)
    options = {"seed": {"seed": 1}, "max_tokens": {"max_tokens": 99}}.get(change, {})
    sample, response, votes = SAMPLE, RESPONSE, 1
    if change == "question":
        sample = replace(SAMPLE, question="Why?")
    elif change == "answer":
        sample = replace(SAMPLE, answer="2")
    elif change == "response":
        response = "No idea."
    elif change == "image":
        sample = replace(SAMPLE, images=make_sample("another").images)
    elif change == "votes":
        votes = 2
    make_judge(**options).judge(sample, response, votes)
    assert len(stub.asked()) == 1 + votes


def test_cost_is_told(make_judge):
    judge = make_judge(prices=Prices(2.5, 10.0))
    judge.judge(SAMPLE, RESPONSE, 3)
    assert judge.describe_usage() == "votes of the judge: 3 asked (300 + 30 tokens); 0.0010 US dollars"
    judge.judge(SAMPLE, RESPONSE, 3)
    assert "3 from the cache" in judge.describe_usage()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (refuse(500, "oops"), "500: oops"),
        (refuse(429, "slow down"), "429"),
        (refuse(400, "the image is indecent"), "indecent"),
        (Reply(say(PERCEPTION).body, fault="stall", seconds=1.0), "did not answer"),
        (Reply(say(PERCEPTION).body, fault="reset"), "cannot be reached"),
        (Reply(b"{"), "does not speak JSON"),
        (say(None, refusal="I will not judge."), "I will not judge"),
    ],
    ids=["500", "429", "400", "stall", "reset", "half", "refusal"],
)
def test_a_judge_that_does_not_answer_gives_no_vote_and_is_counted(stub, make_judge, fault, said):
    stub.script[CHAT] = [fault, say(PERCEPTION)]
    judge = make_judge(concurrency=1)
    assert judge.judge(SAMPLE, RESPONSE, 2) == (None, "perception")
    assert judge.usage.failed == 1 and said in judge.usage.last_failure
    assert "1 without an answer" in judge.describe_usage()
    # What failed is asked again by the next run, and only that.
    assert make_judge().judge(SAMPLE, RESPONSE, 2) == ("perception", "perception")
    assert len(stub.asked()) == 3


NOTHING_SAID = (
    *(say(""), say(None), Reply({"choices": []}), Reply({"object": "error"}), Reply({"choices": [3]})),
    Reply({"choices": [{"message": "logical"}], "usage": "much"}),
    Reply({"choices": [{"message": {"content": {"category": "logical"}}}], "usage": {"prompt_tokens": -5}}),
    say('{"category": ' + "9" * 9_999 + "}"),
    say('{"category": ' + "[" * 100_000),
)


@pytest.mark.parametrize("reply", NOTHING_SAID)
def test_an_empty_answer_is_nonsense(stub, make_judge, reply):
    stub.script[CHAT] = [reply]
    judge = make_judge()
    assert judge.judge(SAMPLE, RESPONSE, 1) == (None,)
    assert judge.usage.nonsense == 1


def test_what_a_server_does_not_take_is_left_out(stub, make_judge):
    def answer(body) -> Reply:
        for name in ("response_format", "temperature", "seed", "max_completion_tokens"):
            if name in body:
                return refuse(400, f"Unsupported parameter: '{name}'")
        return say("Category: logical")

    stub.script[CHAT] = [answer]
    judge = make_judge()
    assert judge.judge(SAMPLE, RESPONSE, 1) == ("logical",)
    assert len(stub.asked()) == 5 and stub.asked()[-1]["max_tokens"] == 2048
    judge.judge(SAMPLE, "Another.", 1)
    assert len(stub.asked()) == 6  # not tried again


def test_a_wrong_key_or_model_shows_at_once(stub, make_judge):
    with pytest.raises(ServerError, match="no model 'other'"):
        make_judge(model="other")
    judge = make_judge()
    stub.script[CHAT] = [refuse(401, "wrong key")]
    with pytest.raises(ServerError, match="refuses the key"):
        judge.judge(SAMPLE, RESPONSE, 1)


def test_numbers_out_of_range(make_judge):
    with pytest.raises(ConfigError, match="votes is 0"):
        make_judge().judge(SAMPLE, RESPONSE, 0)
    with pytest.raises(ConfigError, match="temperature is 3"):
        make_judge(temperature=3)


class TestCache:
    def test_what_is_kept_is_found(self, tmp_path):
        cache, answer = JudgeCache(tmp_path), JudgeAnswer("é\n", 3, 4)
        key = make_key({"a": 1})
        assert cache.find(key) is None
        assert cache.keep(key, answer) and cache.find(key) == answer
        assert not list(tmp_path.rglob("tmp*"))

    @pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"text": "x"}', '{"text": "x", "more": 1}'])
    def test_a_broken_file_is_as_good_as_none(self, tmp_path, content):
        cache, key = JudgeCache(tmp_path), make_key({})
        cache.keep(key, JudgeAnswer("x", 0, 0))
        next(tmp_path.rglob("*.json")).write_text(content)
        assert cache.find(key) is None

    def test_a_disk_that_takes_nothing_costs_no_vote(self, make_judge, tmp_path):
        (tmp_path / "file").write_text("in the way")
        judge = make_judge(cache_folder=tmp_path / "file" / "cache")
        assert judge.judge(SAMPLE, RESPONSE, 1) == ("perception",)
        assert judge.usage.unsaved == 1 and "could not be written" in judge.describe_usage()

    def test_it_is_the_users_cache_unless_said_otherwise(self, monkeypatch, tmp_path):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert JudgeCache().folder == tmp_path / "vapo" / "judge"
        monkeypatch.delenv("XDG_CACHE_HOME")
        assert JudgeCache().folder == Path.home() / ".cache" / "vapo" / "judge"

    def test_no_key_is_written(self, make_judge, tmp_path, monkeypatch):
        monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
        make_judge().judge(SAMPLE, RESPONSE, 1)
        kept = [json.loads(path.read_text()) for path in (tmp_path / "cache").rglob("*.json")]
        assert kept == [{"text": PERCEPTION, "prompt_tokens": 100, "completion_tokens": 10}]
