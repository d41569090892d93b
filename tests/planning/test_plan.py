"""What a run is said to need: the arithmetic, what was measured, and what is said where it does not fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_models import build_tiny
from transformers import Blip2Config, OPTConfig, Qwen2_5_VLConfig, TrainerCallback

from vapo.cli import main
from vapo.errors import ConfigError, ModelError
from vapo.lab.shipped import shipped_checkpoint, shipped_data
from vapo.planning import activations
from vapo.planning.activations import measure_text_pass
from vapo.planning.advice import advise
from vapo.planning.gpus import Gpus, parse_gpus
from vapo.planning.hours import choose_throughput, measure_throughput
from vapo.planning.model_shape import Loading, read_model_shape
from vapo.planning.plan import plan_run, plan_shape
from vapo.planning.run_shape import RunShape
from vapo.planning.tensor_bytes import TensorBytes
from vapo.planning.work import count_steps, count_work
from vapo.training.options import parse_run
from vapo.training.recipes import open_recipe
from vapo.training.run import train

PAPER = RunShape(
    num_processes=8,
    sharding="fsdp2",
    prompt_tokens=4096,
    image_tokens=3840,
    completion_tokens=2048,
    group=5,
    rollout=1920,
    update=640,
    at_once=5,
)


@pytest.fixture(scope="module")
def qwen_7b(tmp_path_factory) -> Path:
    """The configuration of Qwen2.5-VL-7B, whose weights nobody needs here."""
    folder = tmp_path_factory.mktemp("qwen")
    text = {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
        "rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6},
    }
    vision = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 3584}
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=False)
    config.architectures = ["Qwen2_5_VLForConditionalGeneration"]
    config.save_pretrained(folder)
    return folder


class FromHere(TrainerCallback):
    """Counts the weights, and forgets the peak of loading them."""

    def __init__(self, counted: TensorBytes) -> None:
        self.counted = counted

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        self.counted.add(model.parameters())
        self.counted.peak = 0


@pytest.mark.parametrize(
    "changes",
    [{}, {"gradient_checkpointing": "false"}, {"packing": "off", "beta": 0}],
    ids=["as by default", "nothing computed twice", "row by row without a reference"],
)
def test_memory_is_what_a_run_takes(changes, tmp_path):
    """Within 15 % of the bytes of all tensors alive at once in a run on a CPU, which a dispatch mode counts.

    A process's resident memory would not do: the libraries take ten times what a small model does.
    """
    options = {
        "model_name_or_path": shipped_checkpoint(),
        "data": shipped_data("train"),
        "output_dir": tmp_path / "run",
        "limit": 8,
        "max_steps": 2,  # only then is there an optimizer while activations are held
        "save_strategy": "no",
        "use_cpu": "true",
        "num_generations": 8,
        "per_device_train_batch_size": 8,
        "update_batch_size": 16,
        "max_completion_length": 60,
        "num_anchors": 4,
        "beta": 0.01,
        **changes,
    }
    run = parse_run([word for name, value in options.items() for word in (f"--{name}", str(value))])
    run.training.generation_kwargs = {"min_new_tokens": 60}  # a plan is for the longest
    counted = TensorBytes()
    with counted:
        train(run, callbacks=[FromHere(counted)])
    model_shape, plan = plan_run(run, Gpus(1, 1), prompt_tokens=43, image_tokens=16, given=["bf16"])
    planned = plan_shape(model_shape, plan.shape, plan.gpus, on_gpu=False).memory.total
    assert planned == pytest.approx(counted.peak, rel=0.15)


def test_an_outline_has_a_models_parameters_and_its_cache(qwen_7b):
    model_shape = read_model_shape(Loading(str(qwen_7b), dtype="bfloat16"))
    assert model_shape.num_parameters == model_shape.num_trainable == 8_292_166_656  # as its model card has it
    assert model_shape.trainable_bytes == 2 * model_shape.num_parameters
    assert model_shape.kv_values == 2 * 28 * 4 * 128


def save_outline(family: str, folder: Path, **text_options: Any) -> Path:
    config = build_tiny(family)[0].config
    for name, value in text_options.items():
        setattr(config.text_config, name, value)
    config.save_pretrained(folder)
    return folder


@pytest.mark.torchvision
@pytest.mark.parametrize("family", ["qwen3_5_moe", "glm4v_moe", "internvl_gpt_oss"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_experts_and_layers_of_several_kinds_are_planned(family, dtype, tmp_path):
    model_shape = read_model_shape(Loading(str(save_outline(family, tmp_path)), dtype=dtype))
    memory = plan_shape(
        model_shape,
        replace(PAPER, prompt_tokens=64, image_tokens=16, completion_tokens=32, bfloat16=dtype == "bfloat16"),
        Gpus(8, 80),
    ).memory
    assert memory.total > 0 and memory.update["activations"] > 0


@pytest.mark.torchvision
@pytest.mark.parametrize("checkpointing", [True, False])
def test_layers_of_each_kind_are_counted(checkpointing, tmp_path):
    def plan(*kinds: str) -> Any:
        folder = save_outline("qwen3_5", tmp_path, layer_types=list(kinds), num_hidden_layers=len(kinds))
        model_shape = read_model_shape(Loading(str(folder)))
        assert model_shape.kv_values == 2 * kinds.count("full_attention") * 2 * 16  # two heads of 16 dimensions
        return measure_text_pass(model_shape.model, 80, dtype=None, autocast=False, checkpointing=checkpointing)

    linear, full = "linear_attention", "full_attention"
    both, one_more_linear, one_more_full = plan(linear, full), plan(linear, linear, full), plan(linear, full, full)
    all_five = plan(linear, linear, full, full, linear)
    for phase in ("forward", "backward"):
        two, of_linear, of_full, five = (
            getattr(one, phase) for one in (both, one_more_linear, one_more_full, all_five)
        )
        assert of_linear > two and of_full >= two  # of checkpointed layers, the largest holds most
        assert five == two + 2 * (of_linear - two) + (of_full - two)


@pytest.mark.torchvision
def test_layers_without_attention_grow_with_the_row(monkeypatch, tmp_path):
    model = read_model_shape(Loading(str(save_outline("qwen3_5", tmp_path)))).model
    how = {"dtype": None, "autocast": False, "checkpointing": True}
    followed = measure_text_pass(model, 640, **how)
    monkeypatch.setattr(
        activations, "LONGEST_SCAN", 512
    )  # rows below 192 tokens keep a little more than in proportion
    told = measure_text_pass(model, 640, **how)
    assert told.forward == pytest.approx(followed.forward, rel=0.01)
    assert told.backward == pytest.approx(followed.backward, rel=0.01)


class TestWhatCannotBePlanned:
    def test_a_decoder_of_another_form(self, tmp_path):
        config = Blip2Config(
            vision_config={"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2},
            qformer_config={"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2},
            text_config=OPTConfig(num_hidden_layers=1, hidden_size=32, num_attention_heads=2, word_embed_proj_dim=32),
        )
        config.save_pretrained(tmp_path)
        with pytest.raises(ModelError, match=r"cannot be planned, .* \(AttributeError: .*train it for two"):
            read_model_shape(Loading(str(tmp_path)))

    def test_a_vision_tower_that_does_not_say_its_size(self, qwen_7b, monkeypatch):
        monkeypatch.setattr("vapo.planning.image_tokens.LAYERS", ("blocks",))
        model_shape = read_model_shape(Loading(str(qwen_7b), dtype="bfloat16"))
        with pytest.raises(ModelError, match=r"Qwen2_5_VLVisionConfig does not say .* set freeze_vision"):
            plan_shape(model_shape, PAPER, Gpus(8, 80))


def test_work_is_counted_by_hand():
    work = count_work(PAPER)
    tokens = 4096 + 5 * 2048  # of a tree
    assert PAPER.pass_tokens == tokens and work.trained_tokens == 128 * tokens
    assert work.sampled_tokens == 640 * 2048 and work.probes == 640 * 20
    assert work.scored_tokens == 2 * 128 * tokens + 640 * 20 * 24  # the rollout's own policy, the reference, questions
    assert work.passes == 3 * 128 / 8
    assert count_steps(PAPER, num_rows=36000, epochs=2) == 2 * (36000 // 384) * 3


def run_plan(tmp_path, capsys, *words: str) -> tuple[int, str, str]:
    small = "model_name_or_path: lab\ndata: lab\nuse_cpu: true\nnum_generations: 8\nper_device_train_batch_size: 8\n"
    (tmp_path / "run.yaml").write_text(f"{small}output_dir: {tmp_path}\nupdate_batch_size: 16\n")
    status = main(["plan", str(tmp_path / "run.yaml"), "--gpus", "1x80", *words])
    return status, *capsys.readouterr()


def test_prompts_and_rows_of_local_data_are_measured(tmp_path, capsys):
    status, shown, _ = run_plan(tmp_path, capsys, "--set", "limit=30")
    assert status == 0 and "data: 30 rows; the longest of 30 prompts, evenly spread over them, has 4" in shown
    assert "a prompt of 4" in shown and "tokens, 16 of them images'" in shown and "updates in all" in shown
    _, shown, _ = run_plan(tmp_path, capsys, "--prompt-tokens", "60", "--image-tokens", "16")
    assert "data: 2000 rows\n" in shown and "a prompt of 60 tokens" in shown


def test_a_run_without_an_update_does_not_fit(tmp_path, capsys):
    status, _, said = run_plan(tmp_path, capsys, "--set", "limit=1")
    assert status == 1 and "1 rows do not fill a rollout of" in said


def test_rows_that_are_not_packed_repeat_their_prompt():
    assert replace(PAPER, packed=False).pass_tokens == 5 * (4096 + 2048)


@pytest.mark.parametrize("text", ["8", "8x", "x80", "0x80", "8x0", "eight"])
def test_what_is_no_gpus_is_said(text):
    with pytest.raises(ConfigError, match="write 8x80 for 8 GPUs of 80 GB each"):
        parse_gpus(text)
    assert parse_gpus("8x80GB") == Gpus(8, 80.0)


def test_batches_must_divide_among_the_gpus():
    with pytest.raises(ConfigError, match="update_batch_size=640 is no multiple of the 15 completions"):
        replace(PAPER, num_processes=3)


def test_every_gpu_more_takes_a_share(qwen_7b):
    model_shape = read_model_shape(Loading(str(qwen_7b)))
    totals = [plan_shape(model_shape, replace(PAPER, num_processes=n), Gpus(n, 80)) for n in (2, 4, 8)]
    assert [plan.memory.total for plan in totals] == sorted((plan.memory.total for plan in totals), reverse=True)
    ddp = plan_shape(model_shape, replace(PAPER, sharding="multi_gpu"), Gpus(8, 80))
    assert not ddp.fits and ddp.memory.update["optimizer"] == 8 * 8_292_166_656
    steps = advise(ddp, model_shape)
    assert steps[0].change == "accelerate_config: fsdp2" and steps[-1].plan.fits


class TestCommand:
    def write(self, qwen_7b: Path, folder: Path, name: str) -> str:
        recipe = {**yaml.safe_load(open_recipe(name).text), "model_name_or_path": str(qwen_7b)}
        (folder / "run.yaml").write_text(yaml.safe_dump(recipe))
        return str(folder / "run.yaml")

    def test_a_recipe_fits_what_it_is_meant_for(self, qwen_7b, tmp_path, capsys):
        words = ["plan", self.write(qwen_7b, tmp_path, "qwen2_5_vl_7b"), "--gpus", "8x80", "--rows", "36000"]
        assert main([*words, "--tokens-per-second", "20000"]) == 0
        shown = capsys.readouterr().out
        assert "it fits, with" in shown and "558 updates in all" in shown
        # 558 updates of 640 rows of 6144 tokens, 20,000 a second
        assert f"{558 * 640 * 6144 / 20000 / 3600:.1f} hours" in shown

    def test_what_does_not_fit_is_refused_with_what_to_change(self, qwen_7b, tmp_path, capsys):
        run = self.write(qwen_7b, tmp_path, "qwen2_5_vl_7b")
        assert main(["plan", run, "--gpus", "1x24"]) == 1
        shown = capsys.readouterr().out
        for part in (
            "it does not fit: vLLM gets 9.6 GB",
            "to change, one after the other:",
            "that is not enough: train",
        ):
            assert part in shown
        assert main(["plan", run, "--gpus", "4x80"]) == 1
        shown = capsys.readouterr().out
        assert "vllm_gpu_memory_utilization: 0.22" in shown and "or, as it is, on 8 GPUs with fsdp2" in shown

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--gpus", "1x80", "--set", "num_anchor=3"], "unknown option '--num_anchor'"),
            (["--gpus", "1x80", "--set", "beta"], "--set 'beta' says no value"),
            (["--gpus", "1x80", "--prompt-tokens", "100", "--image-tokens", "200"], "do not go into a prompt of 100"),
            (["--gpus", "1x80", "--tokens-per-second", "0"], "it must be above 0"),
            (["--gpus", "1x80", "--measured", "nowhere"], "holds no metrics of a run"),
        ],
    )
    def test_bad_input_is_one_sentence(self, words, message, qwen_7b, tmp_path, capsys):
        assert main(["plan", self.write(qwen_7b, tmp_path, "qwen2_5_vl_7b"), *words]) == 1
        assert message in capsys.readouterr().err

    def test_prompts_of_unknown_length_are_asked_for(self, tmp_path, capsys):
        (tmp_path / "run.yaml").write_text("model_name_or_path: lab\ndata: owner/name\n")
        assert main(["plan", str(tmp_path / "run.yaml"), "--gpus", "1x24"]) == 1
        assert "say it with --prompt-tokens" in capsys.readouterr().err


def test_throughput_is_told_from_the_second_rollout_on(tmp_path):
    entries = [
        {"step": 1, "step_time": 90.0, "num_tokens": 1000},
        {"step": 2, "step_time": 10.0},
        {"step": 3, "step_time": 30.0, "num_tokens": 3000},
        {"step": 3, "train_runtime": 130.0},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    assert measure_throughput(tmp_path) == 2000 / 40
    with pytest.raises(ConfigError, match="both say a throughput"):
        choose_throughput(tmp_path, 5.0)
