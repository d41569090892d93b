"""TRL and vLLM, played by stand-ins: what is sent to them, in what order, and what of TRL this leans on."""

from __future__ import annotations

import itertools
import json
import math
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType, SimpleNamespace

import pytest
import torch
from openai_stub import Reply, run_stub
from prober_contract import make_sample
from safetensors.torch import load_file
from tiny_models import save_tiny, tiny_tokenizer
from transformers import AutoModelForImageTextToText

from vapo import VAPOConfig
from vapo.core.image_names import name_image
from vapo.errors import ConfigError, ModelError
from vapo.models.questions import one_token_of, share_of_yes
from vapo.probing.vllm.local import EngineRanks, LocalEngine
from vapo.probing.vllm.prober import Answer, ImagePrompt, VLLMProber
from vapo.probing.vllm.server import ServerEngine, place_features
from vapo.serving.vllm_weight_names import name_for_vllm
from vapo.training.vllm_rollouts import (
    PatchedLLM,
    awake,
    check_vllm,
    fix_rollouts,
    name_weights_as_saved,
    never_sample,
    probes_on_vllm,
)
from vapo.types import Anchor, Claim, Probe, Rollout

PAD = 9
IDS = (1, 7, PAD, PAD, PAD, 8, 2)


@dataclass(frozen=True)
class Range:
    """vLLM's PlaceholderRange."""

    offset: int
    length: int
    is_embed: torch.Tensor | None


class FakeLLM:
    """Makes three features of every image, in a prompt of its own, and keeps what it was told."""

    def __init__(self, loads=("layer.weight", "head.weight")):
        self.calls, self._waiting = [], []
        self.request_counter = itertools.count()
        self.dummy_inputs = SimpleNamespace(get_dummy_text=lambda counts: "<image>" * counts["image"])
        self.renderer = SimpleNamespace(
            get_mm_processor=lambda: SimpleNamespace(dummy_inputs=self.dummy_inputs), render_cmpl=self.render
        )
        named = [("layer.weight", None), ("head.weight", None)]
        self.model = SimpleNamespace(load_weights=lambda weights: set(loads), named_parameters=lambda: named)
        worker = SimpleNamespace(model_runner=SimpleNamespace(model=self.model))
        self.llm_engine = SimpleNamespace(
            model_executor=SimpleNamespace(driver_worker=worker),
            reset_encoder_cache=lambda: self.calls.append("reset_encoder_cache"),
            add_request=self.add_request,
            abort_request=lambda ids, internal: self.calls.append(f"abort {ids}"),
            has_unfinished_requests=lambda: bool(self._waiting),
            step=lambda: [self._waiting.pop()],
        )

    def render(self, prompts):
        (prompt,) = prompts
        if "multi_modal_data" not in prompt:
            return [{"type": "token", "prompt_token_ids": prompt["prompt_token_ids"]}]
        images = prompt["multi_modal_data"]["image"]
        assert prompt["prompt"] == "<image>" * len(images) and all(image.mode == "RGB" for image in images)
        ids = [7, PAD, PAD, PAD, 8] * len(images)
        mask = torch.tensor([False, True, True, True, False])
        ranges = [Range(5 * place, 5, mask) for place in range(len(images))]
        made = {"type": "multimodal", "prompt": prompt["prompt"], "prompt_token_ids": ids}
        return [{**made, "mm_placeholders": {"image": ranges}, "mm_hashes": prompt["multi_modal_uuids"]}]

    def add_request(self, request_id, request, sampling):
        self.calls.append(request)
        output = SimpleNamespace(request_id=request_id, finished=True, prompt_token_ids=request["prompt_token_ids"])
        self._waiting.append(output)
        return request_id

    def reset_prefix_cache(self):
        self.calls.append("reset_prefix_cache")

    def wake_up(self, tags):
        self.calls.append(f"wake_up {tags}")

    def sleep(self, level):
        self.calls.append(f"sleep {level}")


@pytest.fixture
def sampling(monkeypatch):
    """vLLM's SamplingParams, where vLLM is not installed."""
    kinds = ModuleType("vllm.sampling_params")
    kinds.RequestOutputKind = SimpleNamespace(FINAL_ONLY="final")
    monkeypatch.setitem(sys.modules, "vllm", ModuleType("vllm"))
    monkeypatch.setitem(sys.modules, "vllm.sampling_params", kinds)
    return SimpleNamespace(clone=lambda: SimpleNamespace())


class TestMendedLLM:
    def test_points_features_at_the_image_tokens_of_the_prompt(self, sampling):
        llm, images = FakeLLM(), make_sample("a", num_images=2).images
        one = {"prompt_token_ids": [1, *IDS], "multi_modal_data": {"image": images[0].convert("RGBA")}}
        two = {"prompt_token_ids": [*IDS, *IDS], "multi_modal_data": {"image": list(images)}}
        prompts = [one, two, {"prompt_token_ids": [1, 2]}]
        outputs = PatchedLLM(llm, PAD).generate(prompts, sampling_params=sampling, use_tqdm=False)
        assert [output.prompt_token_ids for output in outputs] == [prompt["prompt_token_ids"] for prompt in prompts]
        places = [[own.offset for own in call["mm_placeholders"]["image"]] for call in llm.calls[:2]]
        assert places == [[2], [1, 8]] and "mm_placeholders" not in llm.calls[2]
        names = [call["mm_hashes"]["image"] for call in llm.calls[:2]]
        assert names == [[name_image(images[0])], [name_image(image) for image in images]]
        assert not any("prompt" in call for call in llm.calls)

    def test_notices_an_image_of_another_size_and_takes_back_what_it_sent(self, sampling):
        llm, (image,) = FakeLLM(), make_sample("a").images
        small = {"prompt_token_ids": [1, 7, PAD, PAD, 8], "multi_modal_data": {"image": image}}
        with pytest.raises(ModelError, match=r"images of \[3\] tokens where the prompt has runs of \[2\]"):
            PatchedLLM(llm, PAD).generate([{"prompt_token_ids": [1]}, small], sampling)
        assert llm.calls[-1] == "abort ['0']"

    def test_forgets_encoded_images_with_the_prefixes_and_passes_the_rest_on(self):
        llm = FakeLLM()
        fixed = PatchedLLM(llm, PAD)
        fixed.reset_prefix_cache()
        fixed.sleep(level=2)
        assert llm.calls == ["reset_encoder_cache", "reset_prefix_cache", "sleep 2"]

    @pytest.mark.parametrize("loads", [("layer.weight", "head.weight"), ()])  # some models do not say
    def test_weights_that_an_update_reaches(self, loads):
        llm = FakeLLM(loads)
        fixed = PatchedLLM(llm, PAD)
        assert llm.model.load_weights([("any", None)]) == set(loads)
        fixed.reset_prefix_cache()

    def test_weights_that_no_update_reaches_are_noticed(self):
        llm = FakeLLM(("layer.weight",))
        fixed = PatchedLLM(llm, PAD)
        llm.model.load_weights([("any", None)])
        with pytest.raises(ModelError, match=r"did not take 1 of its 2 weights .* \(head.weight, ...\)"):
            fixed.reset_prefix_cache()


class TestMendRollouts:
    def test_vision_tokens_are_never_sampled(self):
        generation = SimpleNamespace(generation_kwargs={"seed": 3, "logit_bias": {5: 1.0, 8: 2.0}})
        never_sample(generation, [8, 9])
        assert generation.generation_kwargs == {"seed": 3, "logit_bias": {5: 1.0, 8: -100.0, 9: -100.0}}

    def test_server_forgets_encoded_images(self):
        calls = []
        post = lambda url: calls.append(url) or SimpleNamespace(raise_for_status=lambda: None)  # noqa: E731
        client = SimpleNamespace(base_url="http://there", session=SimpleNamespace(post=post))
        client.reset_prefix_cache = lambda: calls.append("reset_prefix_cache")
        own = {"mode": "server", "_iter_named_params": dict}
        generation = SimpleNamespace(**own, vllm_client=client, _place_features=self.place)
        fix_rollouts(generation, PAD)
        client.reset_prefix_cache()
        assert calls == ["http://there/reset_encoder_cache", "reset_prefix_cache"]
        assert generation._place_features("features", [1]) == "features"
        with pytest.raises(ModelError, match=r"takes an image's tokens in one piece.*use vllm_mode='colocate'"):
            generation._place_features("features", [1, 2])
        fix_rollouts(SimpleNamespace(**own), PAD)  # a rank without a client

    @staticmethod
    def place(features, prompt_ids):
        if len(prompt_ids) > 1:
            raise ValueError("Found 2 runs")
        return features

    def test_weights_go_by_the_names_of_the_checkpoint(self, tmp_path):
        """LLaVA's tower, which published checkpoints and vLLM call otherwise than transformers 5 does."""
        save_tiny("llava", tmp_path)
        name_for_vllm(tmp_path)
        model = AutoModelForImageTextToText.from_pretrained(tmp_path)
        generation = SimpleNamespace(model=model, _iter_named_params=model.named_parameters)
        name_weights_as_saved(generation)
        sent, saved = dict(generation._iter_named_params()), load_file(tmp_path / "model.safetensors")
        assert set(sent) == set(saved) != {name for name, _ in model.named_parameters()}
        assert all(torch.equal(weight, saved[name]) for name, weight in sent.items())


class TestSleep:
    def make_generation(self, llm, sleeping):
        generation = SimpleNamespace(llm=llm, enable_sleep_mode=True, _llm_weights_sleeping=sleeping)
        generation.sync_weights = lambda: llm.calls.append("sync_weights")
        return generation

    def test_a_sleeping_engine_gets_its_weights_and_is_put_back(self):
        llm = FakeLLM()
        generation = self.make_generation(llm, sleeping=True)
        with pytest.raises(RuntimeError), awake(generation):
            llm.calls.append("probes")
            raise RuntimeError
        assert llm.calls == ["sync_weights", "wake_up ['kv_cache']", "probes", "sleep 2"]
        assert generation._llm_weights_sleeping

    def test_one_that_does_not_sleep_is_left_alone(self):
        llm = FakeLLM()
        with awake(SimpleNamespace(llm=llm, enable_sleep_mode=False)):
            pass
        assert llm.calls == []


class TestRanks:
    def test_ranks_that_share_an_engine_ask_the_same_and_keep_their_own_answers(self, monkeypatch):
        prompts = [[ImagePrompt((rank, place), ()) for place in range(rank)] for rank in range(3)]
        asked = []

        def ask(self, everyones, token_ids):
            asked.append([prompt.ids for prompt in everyones])
            return [Answer({0: float(prompt.ids[0])}, None) for prompt in everyones]

        monkeypatch.setattr(LocalEngine, "_ask", ask)
        for rank in range(3):
            ranks = EngineRanks(gather=lambda own: prompts, own=rank)
            answers = LocalEngine(None, PAD, ranks=ranks).answer(prompts[rank], [0])
            assert [answer.logprobs[0] for answer in answers] == [rank] * rank
        assert asked[0] == asked[1] == asked[2] == [(1, 0), (2, 0), (2, 1)]

    def test_an_engine_without_questions_is_woken_but_not_asked(self):
        llm = FakeLLM()
        engine = LocalEngine(llm, PAD, awake=lambda: awake(TestSleep().make_generation(llm, sleeping=False)))
        assert engine.answer([], [0]) == []
        assert llm.calls == ["wake_up ['kv_cache']", "sleep 2"]


class TestProber:
    def test_a_completion_with_image_tokens_is_refused(self):
        tokenizer = tiny_tokenizer()
        pad = tokenizer.convert_tokens_to_ids("<|image_pad|>")
        rollout = Rollout(make_sample("a"), (1, pad, 2), (3, pad, 4), ("a", "b", "c"))
        prober = VLLMProber(LocalEngine(FakeLLM(), pad), tokenizer, pad)
        with pytest.raises(ModelError, match="a completion of 'a' holds an image token"):
            prober.score([Probe(rollout, Anchor(3, 1.0), Claim("there is a cat", True))])

    def test_share_of_yes_sums_spellings(self):
        thirds = {1: math.log(0.2), 2: math.log(0.1), 3: math.log(0.3)}
        assert share_of_yes(thirds, [1, 2], [3]) == pytest.approx(0.5)
        assert share_of_yes({1: -1000.0, 2: -1000.0 + math.log(3)}, [1], [2]) == pytest.approx(0.25)
        assert share_of_yes({1: -math.inf, 2: 0.0}, [1], [2]) == 0.0


class Server(BaseHTTPRequestHandler):
    """Speaks vLLM's two endpoints; images it was not brought are unknown to it."""

    known, requests, missing = set(), [], ()

    def reply(self, body, code=200):
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def do_GET(self):
        self.reply({"data": [{"id": "the-model"}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.requests.append((self.path, body))
        if self.path in self.missing:
            self.reply({}, 404)
        elif self.path.endswith("/render"):
            place = [{"offset": 0, "length": 5}]
            features = {"mm_hashes": {"image": ["h"]}, "mm_placeholders": {"image": place}}
            features |= {"kwargs_data": {"image": ["pixels"]}, "mm_metadata": None}
            self.reply({"features": features, "token_ids": [7, PAD, PAD, PAD, 8]})
        else:
            if body["features"]["kwargs_data"] is not None:
                self.known.add("h")
            elif "h" not in self.known:
                return self.reply({"error": "Multi-modal cache miss"}, 500)
            top = [{"token": f"token_id:{token}", "logprob": -float(token)} for token in (3, 4)]
            usage = {"prompt_tokens_details": {"cached_tokens": 5}}
            self.reply({"choices": [{"logprobs": {"content": [{"top_logprobs": top}]}}], "usage": usage})

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    Server.known, Server.requests, Server.missing = set(), [], ()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


class TestServerEngine:
    def test_images_are_rendered_and_brought_once(self, server):
        prompts = [ImagePrompt((*IDS, place), make_sample("a").images) for place in range(4)]
        prompts = [ImagePrompt(prompt.ids, prompts[0].images) for prompt in prompts]
        answers = ServerEngine(server, PAD).answer(prompts, [3, 4])
        assert answers == [Answer({3: -3.0, 4: -4.0}, 5)] * 4
        rendered = [body for path, body in Server.requests if path.endswith("/render")]
        asked = [body for path, body in Server.requests if path.endswith("/generate")]
        assert len(rendered) == 1 and sorted(body["token_ids"][-1] for body in asked) == [0, 1, 2, 3]
        assert sum(body["features"]["kwargs_data"] is not None for body in asked) == 1
        assert all(body["sampling_params"] == one_token_of([3, 4]) for body in asked)
        assert asked[0]["features"]["mm_placeholders"] == {"image": [{"offset": 2, "length": 3}]}
        assert asked[0]["model"] == "the-model"

    def test_images_the_server_forgot_are_brought_again(self, server, monkeypatch):
        images = make_sample("a").images
        prompts = [ImagePrompt((*IDS, place), images) for place in range(2)]
        monkeypatch.setattr(Server, "known", type("Forgetful", (set,), {"add": lambda *_: None})())
        assert len(ServerEngine(server, PAD).answer(prompts, [3, 4])) == 2
        with_pixels = [b["features"]["kwargs_data"] is not None for p, b in Server.requests if p.endswith("/generate")]
        assert with_pixels == [True, False, True]

    def test_a_server_without_the_endpoints_is_told_the_flag(self, server, monkeypatch):
        monkeypatch.setattr(Server, "missing", ("/v1/chat/completions/render",))
        with pytest.raises(ModelError, match="start it again with --enable-scale-out"):
            ServerEngine(server, PAD).answer([ImagePrompt(IDS, make_sample("a").images)], [3, 4])

    def test_no_server(self):
        with pytest.raises(ModelError, match=r"cannot be reached.*that the server is running"):
            ServerEngine("http://127.0.0.1:9", PAD, max_retries=0).answer([ImagePrompt((1,), ())], [3, 4])
        assert ServerEngine("http://127.0.0.1:9", PAD).answer([], [3, 4]) == []

    @pytest.mark.parametrize("reply", [Reply({"data": []}, fault="reset"), Reply(b"<html>log in</html>")])
    def test_a_server_whose_answer_is_none(self, reply):
        with run_stub() as stub:
            stub.script["/v1/models"] = [reply]
            with pytest.raises(ModelError, match=r"cannot be reached|does not speak JSON"):
                ServerEngine(stub.url, PAD, max_retries=0).answer([ImagePrompt((1,), ())], [3, 4])

    def test_an_image_of_another_size_is_refused(self):
        features = {"mm_placeholders": {"image": [{"offset": 0, "length": 4}]}}
        with pytest.raises(ModelError, match=r"images of \[4\] tokens where the prompt has \[3\] in one piece"):
            place_features(features, IDS, PAD)


class TestChoice:
    def make_args(self, tmp_path, **options) -> VAPOConfig:
        return VAPOConfig(str(tmp_path), use_cpu=True, **options)

    @pytest.mark.parametrize(
        ("options", "there"),
        [
            ({}, False),
            ({"use_vllm": True, "vllm_mode": "colocate"}, True),
            ({"use_vllm": True, "vllm_mode": "server"}, True),
            ({"use_vllm": True, "vllm_mode": "colocate", "vllm_enable_sleep_mode": True}, False),
            ({"use_vllm": True, "probe_backend": "transformers"}, False),
            ({"use_vllm": True, "vllm_enable_sleep_mode": True, "probe_backend": "vllm"}, True),
        ],
    )
    def test_where_probes_are_asked(self, tmp_path, options, there):
        assert probes_on_vllm(self.make_args(tmp_path, **options)) is there

    def test_what_cannot_be_had_is_refused_early(self, tmp_path):
        qwen, gemma = (SimpleNamespace(config=SimpleNamespace(model_type=name)) for name in ("qwen3_vl", "gemma3"))
        with pytest.raises(ConfigError, match="set use_vllm=True as well"):
            check_vllm(qwen, self.make_args(tmp_path, probe_backend="vllm"))
        with pytest.raises(ConfigError, match="probe_backend must be one of auto, transformers, vllm"):
            self.make_args(tmp_path, probe_backend="elsewhere")
        with pytest.raises(ModelError, match="not supported for 'gemma3'"):
            check_vllm(gemma, self.make_args(tmp_path, use_vllm=True))
        check_vllm(gemma, self.make_args(tmp_path))

    def test_a_missing_vllm_is_named(self, tmp_path, monkeypatch):
        monkeypatch.setattr("vapo.training.vllm_rollouts.find_spec", lambda name: None)
        qwen = SimpleNamespace(config=SimpleNamespace(model_type="qwen3_vl"))
        with pytest.raises(ConfigError, match=r"pip install 'vapo\[vllm\]'"):
            check_vllm(qwen, self.make_args(tmp_path, use_vllm=True))
