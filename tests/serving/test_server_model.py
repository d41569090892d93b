"""What is said of servers that can do less than vLLM; what vLLM does is in test_vllm_diagnosed_model.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from openai_stub import CHAT, Reply, refuse, run_stub, say
from prober_contract import make_probes, make_sample
from tiny_models import tiny_tokenizer

from vapo.api.server_errors import ServerError
from vapo.errors import ConfigError, ModelError
from vapo.models.diagnosed_model import Cut, Sampling
from vapo.serving.chat import UNKNOWN_ID
from vapo.serving.start import connect_model
from vapo.types import Rollout

SAMPLE = make_sample("asked")
RENDER = "/v1/chat/completions/render"


class Model:
    """A chat endpoint over a tiny tokenizer, as vLLM's is without --enable-scale-out.

    Args:
        answer: what it writes behind anything.
        stale: whether it begins a new turn where one is to be continued, as other servers do.
        obeys: whether it knows `allowed_token_ids` and `logprob_token_ids`.
        likely: the tokens it finds likeliest, best first.
        first: log-probability of the first token listed; each further one has 1 less.
    """

    def __init__(
        self,
        answer: str,
        *,
        stale: bool = False,
        obeys: bool = True,
        likely: tuple[str, ...] = (),
        first: float = -1.0,
    ) -> None:
        self.tokenizer = tiny_tokenizer()
        self._answer = answer
        self._stale = stale
        self._obeys = obeys
        self._likely = likely
        self._first = first

    def __call__(self, body: dict[str, Any]) -> Reply:
        prompt = self._read(body)
        if "logprobs" in body:
            return self._list(body, prompt)
        ids = self.tokenizer.encode(self._answer, add_special_tokens=False)[: body["max_completion_tokens"]]
        return self._reply(prompt, ids, None)

    def _read(self, body: dict[str, Any]) -> list[int]:
        messages = [
            {**m, "content": [{"type": "image"} if p["type"] == "image_url" else p for p in m["content"]]}
            for m in body["messages"]
        ]
        text = self.tokenizer.apply_chat_template(messages, tokenize=False)
        if body.get("continue_final_message") and not self._stale:
            text = text.removesuffix("<|im_end|>\n")
        else:
            text += "<|im_start|>assistant\n"
        return self.tokenizer.encode(text, add_special_tokens=False)

    def _list(self, body: dict[str, Any], prompt: list[int]) -> Reply:
        ids = [self.tokenizer.encode(word)[0] for word in self._likely]
        if self._obeys:
            ids = body["logprob_token_ids"]
        top = [{"token": f"token_id:{token}", "logprob": self._first - place} for place, token in enumerate(ids)]
        return self._reply(prompt, ids[:1], {"content": [{**top[0], "top_logprobs": top[: body["top_logprobs"]]}]})

    def _reply(self, prompt: list[int], ids: list[int], logprobs: Any) -> Reply:
        choice = {"message": {"content": self.tokenizer.decode(ids)}, "token_ids": ids, "logprobs": logprobs}
        return Reply({"choices": [choice], "prompt_token_ids": prompt})


@pytest.fixture
def stub():
    with run_stub() as stub:
        yield stub


@pytest.fixture
def connect(stub) -> Callable[[Any], Any]:
    def make(model: Any, **options: Any) -> Any:
        stub.script[CHAT] = [model]
        return connect_model(stub.url, tokenizer=tiny_tokenizer(), max_retries=0, **options)

    return make


class TestAChatEndpointThatReportsTokens:
    def test_it_can_do_all_that_servers_can(self, connect):
        diagnosed_model = connect(Model("So it is 7."))
        assert diagnosed_model.abilities == {"continue", "probe", "replay"}
        (rollout,) = diagnosed_model.write_responses([SAMPLE], 100)
        assert rollout.text == "So it is 7." and rollout.sample == SAMPLE
        assert diagnosed_model.continue_cuts([Cut(rollout, 2, ", so"), Cut(rollout, 0)], 100) == ["So it is 7."] * 2
        assert 0 < diagnosed_model.score_probes(make_probes([rollout]))[0].p_true < 1

    def test_a_response_is_drawn_as_asked_and_continued_greedily(self, connect):
        asked: list[dict[str, Any]] = []
        model = Model("So it is 7.")

        def listen(body: dict[str, Any]) -> Reply:
            asked.append(body)
            return model(body)

        diagnosed_model = connect(listen)
        asked.clear()
        sampling = Sampling(temperature=0.8, seed=4)
        (rollout,) = diagnosed_model.write_responses([SAMPLE], 100, sampling)
        assert asked[-1]["temperature"] == 0.8 and asked[-1]["seed"] == sampling.seed_for(SAMPLE)
        diagnosed_model.continue_cuts([Cut(rollout, 2)], 5)
        assert asked[-1]["temperature"] == 0
        assert sampling.seed_for(SAMPLE) != sampling.seed_for(replace(SAMPLE, id="another"))

    def test_max_tokens_are_kept_to(self, connect):
        (rollout,) = connect(Model("So it is 7.")).write_responses([SAMPLE], 2)
        assert len(rollout.completion_ids) == 2

    def test_one_that_begins_a_new_turn_is_found_out_at_the_start(self, connect):
        diagnosed_model = connect(Model("So it is 7.", stale=True))
        assert diagnosed_model.abilities == frozenset()
        for ability in ("continue", "probe", "replay"):
            assert "from the tokens it was cut behind" in diagnosed_model.why_not(ability)
            assert "vllm serve --enable-scale-out" in diagnosed_model.why_not(ability)
        with pytest.raises(ModelError, match="cut behind"):
            diagnosed_model.continue_cuts([], 5)

    def test_one_that_refuses_to_continue_is_found_out_at_the_start(self, connect):
        model = Model("So it is 7.")

        def refuse_to_continue(body: dict[str, Any]) -> Reply:
            return refuse(400, "the last message is the assistant's") if len(body["messages"]) > 1 else model(body)

        diagnosed_model = connect(refuse_to_continue)
        assert diagnosed_model.abilities == frozenset()
        assert "the last message is the assistant's" in diagnosed_model.why_not("continue")

    def test_a_response_that_its_text_does_not_give_back_is_refused(self, connect):
        diagnosed_model = connect(Model("So it is 7."))
        (rollout,) = diagnosed_model.write_responses([SAMPLE], 100)
        ids = tuple(tiny_tokenizer().encode(letter)[0] for letter in "correct")
        spelled = Rollout(SAMPLE, rollout.prompt_ids, ids, tuple("correct"))
        with pytest.raises(ModelError, match=r"'asked': .* reads a cut response as other tokens .*--enable-scale-out"):
            diagnosed_model.continue_cuts([Cut(spelled, 7)], 5)

    def test_another_models_tokenizer_is_noticed(self, connect):
        model = Model("So it is 7.")

        def shift(body: dict[str, Any]) -> Reply:
            reply = model(body)
            return Reply({**reply.body, "prompt_token_ids": [token + 1 for token in reply.body["prompt_token_ids"]]})

        with pytest.raises(ModelError, match="name the folder or the hub name"):
            connect(shift)


class TestScoredTexts:
    def test_each_token_is_asked_for_once_behind_all_before_it(self, connect):
        asked: list[dict[str, Any]] = []
        model = Model("So it is 7.")

        def listen(body: dict[str, Any]) -> Reply:
            asked.append(body)
            return model(body)

        diagnosed_model = connect(listen)
        (rollout,) = diagnosed_model.write_responses([SAMPLE], 100)
        asked.clear()
        seven, eight = diagnosed_model.score_texts([Cut(rollout, 2, text=text) for text in (" is 7", " is 8")])
        assert (seven.token_texts[0], "".join(seven.token_texts), "".join(eight.token_texts)) == (
            eight.token_texts[0], " is 7", " is 8",
        )  # fmt: skip
        shared = sum(a == b for a, b in zip(seven.token_texts, eight.token_texts, strict=True))
        assert shared > 0 and len(asked) == len(seven.token_texts)  # what both begin with is not asked twice
        assert all("allowed_token_ids" not in body for body in asked)
        assert set(seven.logprobs) | set(eight.logprobs) <= {-1.0, -2.0}

    def test_a_server_that_does_not_tell_is_refused_by_name(self, connect):
        diagnosed_model = connect(Model("7", obeys=False, likely=("The",)))
        (rollout,) = diagnosed_model.write_responses([SAMPLE], 5)
        with pytest.raises(ModelError, match=r"'asked': the server tells no log-probability .* vLLM 0.31"):
            diagnosed_model.score_texts([Cut(rollout, 0, text="8")])

    def test_logits_are_not_taken_for_log_probabilities(self, connect):
        diagnosed_model = connect(Model("7", first=4.0))
        (rollout,) = diagnosed_model.write_responses([SAMPLE], 5)
        with pytest.raises(ModelError, match="without `--logprobs-mode`"):
            diagnosed_model.score_texts([Cut(rollout, 0, text="8")])


class TestProbesWithoutRestrictions:
    @pytest.mark.parametrize(
        ("likely", "p_true"),
        [((" yes", " no"), 0.731), (("The", " no", " yes"), 0.269)],  # 1 / (1 + exp(-1)) and its complement
    )
    def test_yes_and_no_are_looked_for_among_the_likeliest(self, connect, likely, p_true):
        diagnosed_model = connect(Model("7", obeys=False, likely=likely))
        (rollout,) = diagnosed_model.write_responses([SAMPLE], 5)
        assert diagnosed_model.score_probes(make_probes([rollout])[:1])[0].p_true == pytest.approx(p_true, abs=1e-3)

    @pytest.mark.parametrize(
        ("likely", "lacking"),
        [((" yes",), "no 'no'"), ((" no", "The"), "no 'yes'"), (("The",), "neither 'yes' nor 'no'")],
    )
    def test_what_is_missing_is_told(self, connect, likely, lacking):
        diagnosed_model = connect(Model("7", obeys=False, likely=likely))
        (rollout,) = diagnosed_model.write_responses([SAMPLE], 5)
        with pytest.raises(ModelError, match=f"ignores `allowed_token_ids`.*there is {lacking} among"):
            diagnosed_model.score_probes(make_probes([rollout]))


class TestAServerThatReportsNoTokenIds:
    def list_tokens(self, *texts: str | bytes, content: str) -> Reply:
        entries = [
            {"token": "?", "bytes": list(text)} if isinstance(text, bytes) else {"token": text} for text in texts
        ]
        reply = say(content)
        reply.body["choices"][0]["logprobs"] = {"content": entries}
        return reply

    def test_it_says_so_by_name_and_writes_responses(self, connect, stub):
        diagnosed_model = connect(self.list_tokens("It", " is", " 7", "<|im_end|>", content="It is 7"))
        assert diagnosed_model.abilities == frozenset()
        assert f"{stub.url} does not report token ids" in diagnosed_model.why_not("continue")
        (rollout,) = diagnosed_model.write_responses([SAMPLE], 5)
        assert rollout.token_texts == ("It", " is", " 7", "") and rollout.completion_ids == (UNKNOWN_ID,) * 4
        for refused in (
            lambda: diagnosed_model.score_probes([]),
            lambda: diagnosed_model.replay_image(Cut(rollout, 1), 5, 0.5),
        ):
            with pytest.raises(ModelError, match="does not report token ids"):
                refused()

    def test_tokens_that_are_parts_of_characters(self, connect):
        texts = (b"7 ", *(bytes([byte]) for byte in "é".encode()), b"!")
        diagnosed_model = connect(self.list_tokens(*texts, content="7 é!"))
        assert diagnosed_model.write_responses([SAMPLE], 5)[0].token_texts == ("7 ", "", "é", "!")

    def test_one_that_refuses_unknown_fields(self, connect):
        def answer(body: dict[str, Any]) -> Reply:
            return refuse(400, "Unknown parameter") if "return_token_ids" in body else say("7")

        assert connect(answer).abilities == frozenset()

    def test_one_that_lists_no_tokens_cannot_be_examined(self, connect):
        with pytest.raises(ModelError, match="does not say which tokens"):
            connect(say("It is 7.")).write_responses([SAMPLE], 5)

    def test_one_whose_tokens_are_another_text(self, connect):
        with pytest.raises(ModelError, match="do not spell its answer"):
            connect(self.list_tokens("<think>", "Hm", content="It is 7.")).write_responses([SAMPLE], 5)

    def test_an_empty_answer(self, connect):
        assert connect(say("")).write_responses([SAMPLE], 5)[0].completion_ids == ()


class TestBadInput:
    def test_a_model_that_reads_no_images(self, connect):
        with pytest.raises(ServerError, match="is not a multimodal model"):
            connect(refuse(400, "tiny is not a multimodal model"))

    def test_a_server_that_answers_without_a_choice(self, connect):
        with pytest.raises(ServerError, match="without a choice: upstream is gone"):
            connect(Reply({"error": {"message": "upstream is gone"}})).write_responses([SAMPLE], 5)

    @pytest.mark.parametrize("length", [0, -1])
    def test_lengths(self, connect, length):
        diagnosed_model = connect(Model("7"))
        (rollout,) = diagnosed_model.write_responses([SAMPLE], 5)
        for call in (
            lambda: diagnosed_model.write_responses([SAMPLE], length),
            lambda: diagnosed_model.continue_cuts([Cut(rollout, 0)], length),
            lambda: diagnosed_model.replay_image(Cut(rollout, 0), length, 0.5),
        ):
            with pytest.raises(ConfigError, match="must be at least 1"):
                call()

    def test_a_sample_without_images_cannot_be_shown_them_again(self, connect):
        diagnosed_model = connect(Model("7"))
        rollout = Rollout(make_sample("none", num_images=0), (1,), (2,), ("x",))
        with pytest.raises(ModelError, match="has no image"):
            diagnosed_model.replay_image(Cut(rollout, 1), 5, 0.5)

    def test_a_tokenizer_that_is_not_to_be_had(self, stub, tmp_path):
        stub.script[CHAT] = [Model("7")]
        with pytest.raises(ModelError, match=r"the tokenizer of 'tiny' cannot be loaded from .*; name the folder"):
            connect_model(stub.url, tokenizer=str(tmp_path))
