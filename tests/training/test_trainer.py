"""The trainer as a whole."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import torch
from datasets import Dataset
from training.training_world import (
    CLAIMS,
    assert_same_parameters,
    even_letters,
    even_letters_of_some,
    length_reward,
    make_config,
    make_rows,
    metrics_of,
    parameters_of,
)
from transformers import AutoModelForImageTextToText, AutoProcessor, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from vapo import VAPOTrainer, load_samples, make_training_rows
from vapo.errors import DataError
from vapo.versions import REPORTED


class TestEqualsGRPO:
    def train_stock(self, checkpoint, reward_funcs, config, folder) -> dict[str, torch.Tensor]:
        names = {field.name for field in dataclasses.fields(GRPOConfig) if field.init}
        options = {name: getattr(config, name) for name in names}
        options |= {"output_dir": str(folder), "generation_batch_size": None}
        stock = GRPOTrainer(
            checkpoint,
            reward_funcs=reward_funcs,
            args=GRPOConfig(**options),
            train_dataset=make_rows(),
        )
        stock.train()
        return parameters_of(stock)

    @pytest.mark.parametrize(
        ("reward_funcs", "options"),
        [
            ([even_letters, length_reward], {}),
            ([even_letters, length_reward], {"gradient_accumulation_steps": 1, "num_iterations": 2, "beta": 0.0}),
            ([even_letters, length_reward], {"multi_objective_aggregation": "normalize_then_sum"}),
            ([even_letters_of_some], {}),
            ([even_letters_of_some, length_reward], {"multi_objective_aggregation": "normalize_then_sum"}),
            # An eighth column of zeros would change the order in which torch adds up, hence the last bit.
            ([length_reward, even_letters] * 3 + [length_reward], {}),
            ([lambda completion_ids, **_: [float(len(ids)) for ids in completion_ids]], {}),
        ],
    )
    @pytest.mark.parametrize("credit", ["reward", "advantage"])
    def test_bit_for_bit_without_perception_weight(
        self, make_trainer, checkpoint, tmp_path, reward_funcs, options, credit
    ):
        own = {"perception_weight": 0.0, "perception_credit": credit, "packing": "off"}
        ours = make_trainer(reward_funcs=reward_funcs, **own, **options)
        ours.train()
        assert len(metrics_of(ours, "perception/accuracy")) > 0
        assert max(metrics_of(ours, "grad_norm")) > 0
        theirs = self.train_stock(checkpoint, reward_funcs, make_config(tmp_path, **options), tmp_path / "stock")
        assert_same_parameters(parameters_of(ours), theirs)

    def test_transparent_images_are_trained_on_as_on_white(self, make_trainer):
        def put_on(background: PIL.Image.Image) -> Dataset:
            rows = list(make_rows())
            for row in rows:
                clear = row["images"][0].convert("RGBA")
                clear.putalpha(PIL.Image.linear_gradient("L").resize(clear.size))
                row["images"] = [PIL.Image.alpha_composite(background.resize(clear.size), clear)]
            return Dataset.from_list(rows)

        trained = []
        for data in (put_on(PIL.Image.new("RGBA", (1, 1))), put_on(PIL.Image.new("RGBA", (1, 1), "white"))):
            trainer = make_trainer(rows=data, max_steps=1)
            trainer.train()
            trained.append(parameters_of(trainer))
        assert_same_parameters(*trained)

    def test_perception_weight_makes_a_difference(self, make_trainer):
        trained = []
        for weight in (0.0, 0.5):
            trainer = make_trainer(perception_weight=weight)
            trainer.train()
            trained.append(parameters_of(trainer))
        assert any(not torch.equal(value, trained[1][name]) for name, value in trained[0].items())

    def test_rollout_functions_of_scripts_with_grpo(self, make_trainer, monkeypatch):
        def roll_out(prompts, trainer):
            prompt_ids, images, fields = trainer._tokenize_prompts(prompts)
            completion_ids, _ = trainer._generate_single_turn(prompt_ids, images, fields, trainer.num_generations)
            return {"prompt_ids": prompt_ids, "completion_ids": completion_ids, "logprobs": None}

        monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
        trained = []
        for given in ({}, {"rollout_func": roll_out}):
            trainer = make_trainer(algorithm="grpo", packing="off", max_steps=1, trainer_options=given)
            trainer.train()
            trained.append(parameters_of(trainer))
        assert_same_parameters(*trained)

    def test_an_environment_may_own_data_and_reward_with_grpo(self, make_trainer, checkpoint, tmp_path, monkeypatch):
        """TRL's own checks are reached: the stand-in's chat template knows no tools."""

        class Environment:
            def reset(self, **_):
                return "What is it?"

            def get_reward(self):
                return 1.0

        monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
        config = make_config(tmp_path, algorithm="grpo")
        with pytest.raises(ValueError, match="chat template does not support tool calling"):
            VAPOTrainer(checkpoint, args=config, environment_factory=Environment)

    def test_arguments_by_position_are_those_of_trl(self, make_trainer, checkpoint, tmp_path):
        class Ends(TrainerCallback):
            pass

        processor = AutoProcessor.from_pretrained(checkpoint)
        rows, args = make_rows(), make_config(tmp_path)
        trainer = VAPOTrainer(checkpoint, even_letters, args, rows, None, processor, [None], [Ends()])
        assert any(isinstance(callback, Ends) for callback in trainer.callback_handler.callbacks)
        with pytest.raises(TypeError, match="unexpected keyword argument 'reward_func'"):
            VAPOTrainer(checkpoint, reward_func=even_letters, args=args, train_dataset=rows)
        with pytest.raises(TypeError, match="multiple values for argument 'callbacks'"):
            VAPOTrainer(checkpoint, even_letters, args, rows, None, processor, [None], [Ends()], callbacks=[])

    def test_grpo_algorithm_probes_nothing_and_needs_no_claims(self, make_trainer):
        trainer = make_trainer(rows=make_rows().remove_columns("claims"), algorithm="grpo")
        trainer.train()
        assert not metrics_of(trainer, "perception/accuracy")
        assert trainer.reward_func_names == ["even_letters"]

    @pytest.mark.parametrize("options", [{}, {"packing": "off", "perception_credit": "advantage"}])
    def test_rows_without_claims_are_trained_on_without_probes(self, make_trainer, options):
        rows = make_rows(2).to_list()
        rows[1]["claims"] = []
        mixed = Dataset.from_list(rows, features=make_rows(2).features)
        with pytest.raises(DataError, match="row 1: the row has no claims"):
            make_trainer(mixed)
        trainer = make_trainer(mixed, rows_without_claims="grpo", **options)
        trainer.train()
        shares = metrics_of(trainer, "perception/rows_without_claims")
        assert 0 < np.mean(shares) < 1
        assert len(metrics_of(trainer, "perception/accuracy")) > 0 and max(metrics_of(trainer, "grad_norm")) > 0


class TestRows:
    @pytest.mark.parametrize("ours", [True, False])
    def test_images_are_opened_once_for_a_rollout(self, make_trainer, monkeypatch, ours):
        """3 rollouts, each of 2 prompts with 8 completions, trained on in 8 micro-steps."""
        rows = make_rows().map(lambda row: {"image": row["images"][0]}, remove_columns="images")
        if ours:
            rows = make_training_rows(load_samples(rows.add_column("problem", ["What is it?"] * 6)))
        opened, open_image = [], PIL.Image.open
        trainer = make_trainer(
            rows=rows,
            trainer_options={"eval_dataset": rows},
            per_device_train_batch_size=2,
            gradient_accumulation_steps=8,
            num_generations=8,
            num_generations_eval=4,
            per_device_eval_batch_size=4,
            max_completion_length=8,
        )
        monkeypatch.setattr(PIL.Image, "open", lambda *args, **more: opened.append(args) or open_image(*args, **more))
        trainer.train()
        assert trainer.state.global_step == 3 and len(opened) == 6
        trainer.evaluate()
        assert len(opened) == 12

    def test_reward_functions_may_draw_on_images(self, make_trainer):
        seen = []

        def draw(completions, images, **_):
            seen.extend(image.getpixel((0, 0)) for [image] in images)
            for [image] in images:
                image.paste((1, 2, 3), (0, 0, 9, 9))
            return [float(number % 2) for number in range(len(completions))]

        make_trainer(rows=make_rows(2), reward_funcs=draw, max_steps=2).train()
        assert len(seen) == 16 and (1, 2, 3) not in seen

    @pytest.mark.slow
    @pytest.mark.parametrize("method", ["spawn", "forkserver"])
    def test_rows_can_be_sent_to_workers(self, make_trainer, monkeypatch, method):
        rows = make_rows().add_column("problem", ["What is it?"] * 6)
        rows = make_training_rows(load_samples(rows))
        before = multiprocessing.get_start_method(allow_none=True)
        multiprocessing.set_start_method(method, force=True)
        try:
            trainer = make_trainer(rows=rows, max_steps=2, dataloader_num_workers=2)
            trainer.train()
        finally:
            multiprocessing.set_start_method(before, force=True)
        plain = make_trainer(rows=rows, max_steps=2)
        plain.train()
        assert_same_parameters(parameters_of(trainer), parameters_of(plain))


class TestLog:
    def test_perception_is_reported_by_depth_and_in_tables(self, make_trainer, tmp_path):
        trainer = make_trainer(max_steps=1, log_completions=True)
        trainer.train()
        entry = trainer.state.log_history[0]
        for name in ("perception/reward", "perception/gate_open", "perception/anchors_without_boundary"):
            assert 0 <= entry[name] <= 1
        assert 0 < entry["perception/probe_time_share"] < 1
        assert any(0 <= entry.get(f"perception/accuracy_quarter_{quarter}", -1) <= 1 for quarter in (1, 2, 3, 4))
        table = pd.read_parquet(next((tmp_path / "completions").glob("*.parquet")))
        anchors = [anchor for cell in table["anchors"] for anchor in json.loads(cell)]
        assert anchors and {anchor["claim"] for anchor in anchors} <= {claim["text"] for claim in CLAIMS}
        truth = {claim["text"]: claim["is_true"] for claim in CLAIMS}
        for anchor in anchors:
            assert anchor["before"].rstrip()[-1] in ",.!?;:" and anchor["is_true"] == truth[anchor["claim"]]
            assert anchor["correct"] == ((anchor["p_true"] > 0.5) == anchor["is_true"])

    def test_trackers_of_trl_see_it(self, make_trainer, tmp_path):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        trainer = make_trainer(max_steps=1, report_to=["tensorboard"])
        trainer.train()
        files = list(tmp_path.rglob("events.out.tfevents*"))
        tags = EventAccumulator(str(files[0])).Reload().Tags()
        assert "train/perception/accuracy" in tags["scalars"] + tags["tensors"]


class TestPlainText:
    def test_special_tokens_in_claims_and_questions_stay_text(self, make_trainer, checkpoint, monkeypatch):
        claim = {"text": "it reads <|image_pad|><|im_end|></think> here", "is_true": True}
        rows = make_rows(claims=[claim, CLAIMS[1]])
        question = [{"role": "user", "content": "What is <|image_pad|> <|im_end|> here?"}]
        rows = rows.map(lambda row: {"prompt": question})
        trainer = make_trainer(rows=rows, max_steps=1)
        seen = []
        generate = GRPOTrainer._generate
        monkeypatch.setattr(GRPOTrainer, "_generate", lambda self, p: seen.append(generate(self, p)) or seen[-1])
        trainer.train()
        pads = {ids.count(trainer.model.config.image_token_id) for ids in seen[0][0]}
        assert pads == {4}  # 28 x 28 pixels in patches of 14
        ends = {ids.count(trainer._tokenizer.convert_tokens_to_ids("<|im_end|>")) for ids in seen[0][0]}
        assert ends == {1}

    def test_vision_tokens_are_never_sampled(self, make_trainer):
        trainer = make_trainer()
        vision = ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
        ids = set(trainer._tokenizer.convert_tokens_to_ids(vision))
        assert ids <= set(trainer.generation_config.suppress_tokens)


class TestResume:
    @pytest.mark.parametrize("options", [{}, {"dynamic_sampling": "accuracy"}])
    def test_equals_an_uninterrupted_run(self, make_trainer, tmp_path, options):
        options |= {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "perception_weight": 0.5}
        whole = make_trainer(output_dir=str(tmp_path / "whole"), **options)
        whole.train()
        resumed = make_trainer(output_dir=str(tmp_path / "resumed"), **options)
        resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
        assert metrics_of(resumed, "perception/reward")[-2:] == metrics_of(whole, "perception/reward")[-2:]
        assert_same_parameters(parameters_of(whole), parameters_of(resumed))

    def test_checkpoints_open_with_from_pretrained(self, make_trainer, tmp_path):
        trainer = make_trainer(max_steps=1, save_strategy="steps", save_steps=1)
        trainer.train()
        folder = tmp_path / "checkpoint-1"
        assert list(folder.glob("*.safetensors")) and not list(folder.glob("*model*.bin"))
        model = AutoModelForImageTextToText.from_pretrained(folder)
        AutoProcessor.from_pretrained(folder)
        assert_same_parameters(parameters_of(trainer), dict(model.named_parameters()))


class TestEngineOptions:
    def test_lora(self, make_trainer, tmp_path):
        from peft import LoraConfig

        trainer = make_trainer(
            trainer_options={"peft_config": LoraConfig(r=4, target_modules=["q_proj", "v_proj"])},
            save_strategy="steps",
            save_steps=3,
            gradient_checkpointing=True,
        )
        before = parameters_of(trainer)
        trainer.train()
        changed = {name for name, value in parameters_of(trainer).items() if not torch.equal(value, before[name])}
        assert changed and all("lora" in name for name in changed)
        assert (tmp_path / "checkpoint-3" / "adapter_model.safetensors").exists()

    def test_freeze_vision_trains_the_language_model_alone(self, make_trainer):
        trainer = make_trainer(freeze_vision=True)
        before = parameters_of(trainer)
        trainer.train()
        changed = {name for name, value in parameters_of(trainer).items() if not torch.equal(value, before[name])}
        assert changed and all("language_model" in name for name in changed)

    def test_bf16_and_gradient_checkpointing(self, make_trainer):
        trainer = make_trainer(bf16=True, gradient_checkpointing=True, max_steps=2)
        trainer.train()
        assert metrics_of(trainer, "perception/accuracy")

    def test_evaluation_during_training(self, make_trainer):
        rows = make_rows()
        trainer = make_trainer(
            trainer_options={"eval_dataset": rows}, max_steps=1, per_device_eval_batch_size=4, eval_strategy="no"
        )
        metrics = trainer.evaluate()
        assert 0 <= metrics["eval_perception/accuracy"] <= 1
        assert 0 <= metrics["eval_rewards/even_letters/mean"] <= 1


def test_a_package_newer_than_any_tested_is_told_once(make_trainer, monkeypatch, caplog):
    monkeypatch.setenv(REPORTED, "")  # so that it is taken back
    monkeypatch.delenv(REPORTED)
    monkeypatch.setattr("vapo.versions.find_untested", lambda: ["trl 1.99.0 (tested up to 1.16.0)"])
    make_trainer()
    make_trainer()
    assert len([record for record in caplog.records if "trl 1.99.0" in record.getMessage()]) == 1
