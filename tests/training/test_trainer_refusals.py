"""What the trainer is given and cannot train on."""

from __future__ import annotations

from copy import deepcopy

import pytest
from datasets import Dataset
from PIL import Image
from tiny_models import build_tiny
from training.training_world import (
    PerfectPerceiver,
    make_rows,
    metrics_of,
)
from trl import GRPOConfig

from vapo import VAPOTrainer, load_samples, make_training_rows
from vapo.errors import ConfigError, DataError, ModelError


class TestBadInput:
    def test_fewer_rows_than_one_rollout_takes(self, make_trainer):
        with pytest.raises(DataError, match=r"6 row\(s\), but one rollout takes 8 prompts .*32 / num_generations=4"):
            make_trainer(generation_batch_size=32)

    def test_no_claims(self, make_trainer):
        with pytest.raises(DataError, match=r"no claims.*prompt, images, answer, id.*algorithm='grpo'"):
            make_trainer(rows=make_rows().remove_columns("claims"))

    def test_a_row_without_claims(self, make_trainer):
        rows = make_rows(claims=[])
        with pytest.raises(DataError, match=r"train_dataset, row 0: the row has no claims \(and 5 more like it\)"):
            make_trainer(rows=rows)

    @pytest.mark.torchvision
    @pytest.mark.parametrize("kind", ["a data set", "samples", "a transform"])
    def test_an_image_that_the_processor_refuses(self, make_trainer, checkpoints, kind):
        rows = list(make_rows(4))
        rows[2]["images"] = [Image.new("RGB", (2280, 10))]
        data = Dataset.from_list(rows)
        if kind == "samples":
            data = make_training_rows(load_samples([{**row, "problem": "What?"} for row in rows]))
        elif kind == "a transform":
            data = data.with_transform(dict)  # reads anew each time
        where = "row row-2" if kind == "a transform" else "train_dataset, row 2"
        with pytest.raises(DataError, match=f"{where}: an image is 2280 x 10 pixels, which the model's processor ref"):
            make_trainer(rows=data, model=checkpoints("qwen2_5_vl"), algorithm="grpo").train()

    def test_published_columns_are_read_as_they_are(self, make_trainer):
        rows = (
            make_rows()
            .remove_columns("claims")
            .map(lambda row: {"claim_1": "a cat", "label_1": "CORRECT", "claim_2": "a dog", "label_2": "WRONG"})
        )
        trainer = make_trainer(rows=rows, max_steps=1)
        trainer.prober = PerfectPerceiver()
        trainer.train()
        assert set(metrics_of(trainer, "perception/accuracy")) == {1.0}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"num_anchors": -1}, "num_anchors must be at least 0"),
            ({"verdict": "maybe"}, "verdict must be one of hard, soft"),
            ({"dynamic_sampling": True}, "is 'none', 'accuracy' or 'reward' now; True was 'accuracy'"),
            ({"dynamic_sampling": "answer"}, "dynamic_sampling must be one of none, accuracy, reward"),
            ({"dynamic_sampling": "reward", "own_claims_steps": 5}, "cannot be combined with own_claims_steps"),
            ({"preset": "papr"}, "preset must be one of paper, paper_dapo, released"),
            ({"probe_template": "Is it so? "}, r"\{claim\} exactly once"),
            ({"probe_template": "{claim} yes or no: "}, "must not end in white space"),
            ({"gate_reward": "accuracy"}, r"none of the reward functions \(even_letters\)"),
        ],
    )
    def test_options(self, make_trainer, options, message):
        with pytest.raises(ConfigError, match=message):
            make_trainer(**options)

    def test_a_gate_that_is_no_accuracy(self, make_trainer):
        def points(completions, **_):
            return [7.0] * len(completions)

        with pytest.raises(ConfigError, match=r"'points' opens the accuracy gate and returned 7\.0"):
            make_trainer(reward_funcs=points, max_steps=1).train()

    @pytest.mark.parametrize(
        ("options", "gate_open"), [({"perception_weight": 0.0}, 0.0), ({"accuracy_gate": "none"}, 1.0)]
    )
    def test_any_number_is_a_reward_where_the_gate_plays_no_part(self, make_trainer, options, gate_open):
        def points(completions, **_):
            return [-7.0, 3.0] * (len(completions) // 2)

        trainer = make_trainer(reward_funcs=points, max_steps=1, **options)
        trainer.train()
        assert metrics_of(trainer, "rewards/points/mean") == [-2.0]
        assert metrics_of(trainer, "perception/gate_open") == [gate_open]

    def test_no_reward_function_at_all(self, make_trainer):
        with pytest.raises(ValueError, match="No reward source provided"):
            make_trainer(reward_funcs=[])

    @pytest.mark.parametrize("name", ["tools", "environment_factory", "rollout_func"])
    def test_several_turns_where_probes_or_refills_need_one(self, make_trainer, name):
        with pytest.raises(ConfigError, match=rf"{name} cannot be combined with probes, .* algorithm='grpo'"):
            make_trainer(trainer_options={name: [print]})
        with pytest.raises(ConfigError, match=rf"{name} cannot be combined with dynamic_sampling"):
            make_trainer(trainer_options={name: [print]}, algorithm="grpo", dynamic_sampling="accuracy")

    def test_plain_configs(self, make_trainer, checkpoint, tmp_path):
        with pytest.raises(ConfigError, match=r"pass a vapo\.VAPOConfig"):
            VAPOTrainer(checkpoint, args=GRPOConfig(str(tmp_path), use_cpu=True), train_dataset=make_rows())

    def test_a_model_that_cannot_see(self, make_trainer, tmp_path):
        from transformers import Qwen2Config, Qwen2ForCausalLM

        model, processor = build_tiny("llava")
        text = model.config.text_config.to_dict()
        Qwen2ForCausalLM(Qwen2Config(**text)).save_pretrained(tmp_path / "text")
        with pytest.raises(ModelError, match="is a tokenizer, so the model cannot see"):
            make_trainer(model=str(tmp_path / "text"), trainer_options={"processing_class": processor.tokenizer})


class TestChatTemplate:
    @pytest.fixture
    def processor(self):
        processor = deepcopy(build_tiny("llava")[1])  # tiny models share their tokenizers
        processor.chat_template = None
        return processor

    def test_a_tokenizers_own_is_enough(self, make_trainer, processor):
        trainer = make_trainer(trainer_options={"processing_class": processor}, max_steps=1)
        trainer.train()
        assert trainer.state.global_step == 1 and processor.chat_template == processor.tokenizer.chat_template

    def test_none_at_all(self, make_trainer, processor):
        processor.tokenizer.chat_template = None
        with pytest.raises(ModelError, match="LlavaProcessor has no chat template"):
            make_trainer(trainer_options={"processing_class": processor})


class TestRowsWithoutImages:
    def test_alone_they_are_trained_on(self, make_trainer):
        trainer = make_trainer(rows=make_rows().remove_columns("images"), algorithm="grpo", max_steps=2)
        trainer.train()
        assert max(metrics_of(trainer, "grad_norm")) > 0

    def test_among_rows_with_images_what_reads_anew_is_refused_by_batch(self, make_trainer, monkeypatch):
        rows = [{**row, "images": row["images"] if number % 2 else []} for number, row in enumerate(make_rows())]
        trainer = make_trainer(rows=Dataset.from_list(rows).with_transform(dict), algorithm="grpo", max_steps=1)
        monkeypatch.setattr(trainer, "_generate", None)
        with pytest.raises(DataError, match=r"a batch has rows with an image and rows without: .* train on one kind"):
            trainer.train()
