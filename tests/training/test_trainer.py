from __future__ import annotations

import dataclasses
import inspect
import json
import multiprocessing
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import torch
from tiny_models import build_tiny, save_tiny
from training.training_world import CLAIMS, even_letters, length_reward, make_config, make_rows
from transformers import AutoModelForImageTextToText, AutoProcessor, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from vapo import VAPOTrainer, load_samples, make_training_rows
from vapo.algorithms.algorithm import Algorithm, Needs
from vapo.algorithms.options import option
from vapo.algorithms.vapo import VAPO
from vapo.core.advantages import group_advantages
from vapo.errors import ConfigError, DataError, ModelError
from vapo.training import dynamic_sampling
from vapo.training.config import DYNAMIC_SAMPLING_LOSSES
from vapo.training.rewards import accuracy_reward
from vapo.types import Verdict
from vapo.versions import REPORTED


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    return str(save_tiny("llava", tmp_path_factory.mktemp("llava")))


@pytest.fixture
def make_trainer(checkpoint, tmp_path):
    def make(rows=None, reward_funcs=even_letters, model=checkpoint, trainer_options=None, **options) -> VAPOTrainer:
        return VAPOTrainer(
            model,
            reward_funcs=reward_funcs,
            args=make_config(tmp_path, **options),
            train_dataset=make_rows() if rows is None else rows,
            **(trainer_options or {}),
        )

    return make


def parameters_of(trainer) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}


def assert_same_parameters(first, second) -> None:
    assert first.keys() == second.keys()
    for name, parameter in first.items():
        assert torch.equal(parameter, second[name]), name


def metrics_of(trainer, name: str) -> list[float]:
    return [entry[name] for entry in trainer.state.log_history if name in entry]


def even_letters_of_some(completions, completion_ids, **options):
    """Score no completion of an odd number of tokens."""
    scores = even_letters(completions, completion_ids, **options)
    return [score if len(ids) % 2 == 0 else None for score, ids in zip(scores, completion_ids, strict=True)]


class PerfectPerceiver:
    def score(self, probes, keep_in_step_with=None):
        return [Verdict(probe, float(probe.claim.is_true)) for probe in probes]


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
    def test_bit_for_bit_without_perception_weight(self, make_trainer, checkpoint, tmp_path, reward_funcs, options):
        ours = make_trainer(reward_funcs=reward_funcs, perception_weight=0.0, packing="off", **options)
        ours.train()
        assert len(metrics_of(ours, "perception/accuracy")) > 0
        assert max(metrics_of(ours, "grad_norm")) > 0
        theirs = self.train_stock(checkpoint, reward_funcs, make_config(tmp_path, **options), tmp_path / "stock")
        assert_same_parameters(parameters_of(ours), theirs)

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenMethod(Algorithm):
    """Weighs tokens and adds to their loss, in ways that can be told by hand."""

    weight: float = option(1.0, "What tokens weigh.")
    loss: float = option(0.0, "What is added to the loss of each.")

    @property
    def needs(self):
        return Needs(token_weights=True, token_loss=True)

    def token_weights(self, scores):
        assert not scores.log_probs.requires_grad and scores.entropies is not None
        return torch.full_like(scores.log_probs, self.weight)

    def token_loss(self, scores):
        return self.loss * scores.log_probs


class TestTokens:
    """An algorithm from outside the package, found by its import path."""

    @pytest.fixture(autouse=True)
    def package(self, monkeypatch):
        module = ModuleType("outside_package")
        module.TokenMethod = TokenMethod
        monkeypatch.setitem(sys.modules, "outside_package", module)

    def train(self, make_trainer, **options):
        trainer = make_trainer(algorithm="outside_package:TokenMethod", max_steps=2, **options)
        trainer.train()
        return parameters_of(trainer)

    @pytest.mark.parametrize("packing", ["off", "require"])
    def test_weights_of_one_and_nothing_added_are_grpo_bit_for_bit(self, make_trainer, packing):
        plain = make_trainer(algorithm="grpo", max_steps=2, packing=packing)
        plain.train()
        assert_same_parameters(parameters_of(plain), self.train(make_trainer, packing=packing))

    def test_weights_multiply_the_advantage_of_each_token(self, make_trainer):
        rows = make_rows()
        trainer = make_trainer(algorithm="outside_package:TokenMethod", algorithm_options={"weight": 0.5})
        plain = make_trainer(algorithm="grpo")
        batches = []
        for one in (trainer, plain):
            torch.manual_seed(0)
            batches.append(one._generate_and_score_completions([rows[0]] * 4 + [rows[1]] * 4))
        weighed, expected = batches[0]["advantages"], batches[1]["advantages"]
        assert weighed.shape == batches[0]["completion_mask"].shape and expected.abs().max() > 0
        within = batches[0]["completion_mask"].bool()
        torch.testing.assert_close(weighed[within], (0.5 * expected[:, None].expand_as(weighed))[within])

    @pytest.mark.parametrize("packing", ["off", "require"])
    def test_a_loss_on_log_probabilities_moves_them(self, make_trainer, packing):
        """With rewards that are all equal, the added loss alone has a gradient."""
        trained = {}
        for loss in (0.0, 1.0):
            trainer = make_trainer(
                algorithm="outside_package:TokenMethod",
                algorithm_options={"loss": loss},
                reward_funcs=lambda completions, **_: [1.0] * len(completions),
                packing=packing,
                beta=0.0,
                max_steps=1,
            )
            before = parameters_of(trainer)
            trainer.train()
            after = parameters_of(trainer)
            trained[loss] = any(not torch.equal(before[name], after[name]) for name in before)
        assert trained == {0.0: False, 1.0: True}

    def test_refills_and_token_weights_go_together(self, make_trainer, monkeypatch):
        monkeypatch.setattr(dynamic_sampling, "MAX_REFILLS", 0)
        trainer = make_trainer(
            algorithm="outside_package:TokenMethod",
            dynamic_sampling=True,
            reward_funcs=lambda completions, **_: [1.0] * 4 + [1.0, 0.0, 0.0, 0.0],
        )
        trainer.model.train()
        rows = make_rows()
        output = trainer._generate_and_score_completions([rows[0]] * 4 + [rows[1]] * 4)
        assert output["advantages"].dim() == 2 and (output["advantages"][:4] == 0).all()

    def test_a_loss_that_is_averaged_in_an_unknown_way(self, make_trainer, monkeypatch):
        monkeypatch.setattr("vapo.training.aggregation._NORMALISERS", {})
        with pytest.raises(ConfigError, match="how loss_type='dapo' averages them is not known"):
            make_trainer(algorithm="outside_package:TokenMethod")

    def test_an_object_that_is_no_algorithm(self, make_trainer):
        with pytest.raises(ConfigError, match=r"algorithm is a str; derive it from vapo\.algorithms"):
            make_trainer(trainer_options={"algorithm": "grpo"})

    def test_a_bonus_may_need_no_claims(self, make_trainer):
        """It is asked of the answer alone, as on any other engine."""

        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Doubling(Algorithm):
            @property
            def needs(self):
                return Needs(bonus=True)

            def reward(self, accuracy, format, verdicts, progress):
                assert verdicts == ()
                return dataclasses.replace(super().reward(accuracy, format, verdicts, progress), bonus=accuracy)

        rows = make_rows().remove_columns("claims")
        trainer = make_trainer(rows=rows, max_steps=1, trainer_options={"algorithm": Doubling()})
        trainer.train()
        assert metrics_of(trainer, "rewards/perception_bonus/mean") == metrics_of(trainer, "rewards/even_letters/mean")
        assert not metrics_of(trainer, "perception/gate_open")

    def test_refills_go_through_a_rollout_hook_of_ones_own(self, checkpoint, tmp_path, monkeypatch):
        monkeypatch.setattr(dynamic_sampling, "MAX_REFILLS", 2)

        class Counting(VAPOTrainer):
            prompts = 0

            def _generate(self, prompts):
                self.prompts += len(prompts)
                return super()._generate(prompts)

        config = make_config(tmp_path, dynamic_sampling=True, max_steps=1)
        never = lambda completions, **_: [0.0] * len(completions)  # noqa: E731
        trainer = Counting(checkpoint, reward_funcs=never, args=config, train_dataset=make_rows())
        trainer.train()
        assert trainer.prompts == 8 * 3  # the first rollout and two refills of all groups


class TestReward:
    def test_advantages_are_those_of_the_algorithms_totals(self, make_trainer, monkeypatch):
        trainer = make_trainer(perception_weight=0.3, accuracy_gate="none")
        rewards = []
        compose = VAPO.reward

        def keep_rewards(self, *args):
            rewards.append(compose(self, *args))
            return rewards[-1]

        monkeypatch.setattr(VAPO, "reward", keep_rewards)
        trainer.model.train()
        rows = make_rows()
        output = trainer._generate_and_score_completions([rows[0]] * 4 + [rows[1]] * 4)
        assert len(rewards) == 8 and any(reward.bonus > 0 for reward in rewards)
        expected = group_advantages([reward.total for reward in rewards], 4)
        np.testing.assert_allclose(output["advantages"], expected, atol=1e-4)

    def test_what_no_function_scores_is_left_out_of_its_group(self, make_trainer):
        def score_all_but_the_second(completions, **_):
            return [1.0, None, 0.0, 0.0] * (len(completions) // 4)

        trainer = make_trainer(reward_funcs=score_all_but_the_second, perception_weight=0.3)
        trainer.prober = PerfectPerceiver()
        output = trainer._generate_and_score_completions([make_rows()[0]] * 4)
        expected = group_advantages([1.3, float("nan"), 0.0, 0.0], 4)
        assert expected[1] == 0
        np.testing.assert_allclose(output["advantages"], expected, atol=1e-4)

    def test_trl_warns_of_completions_that_no_function_scores(self, make_trainer, monkeypatch):
        warnings = []
        monkeypatch.setattr("trl.trainer.grpo_trainer.logger.warning", warnings.append)
        trainer = make_trainer(reward_funcs=lambda completions, **_: [None] * len(completions))
        output = trainer._generate_and_score_completions([make_rows()[0]] * 4)
        assert "All reward functions returned None" in warnings[0]
        assert (output["advantages"] == 0).all()

    def test_a_function_that_scores_others_does_not_open_the_gate(self, make_trainer):
        def no_accuracy(completions, **_):
            return [1.0, None, None, 0.0]

        def always(completions, **_):
            return [1.0] * len(completions)

        trainer = make_trainer(reward_funcs=[no_accuracy, always], perception_weight=0.5)
        trainer.prober = PerfectPerceiver()
        output = trainer._generate_and_score_completions([make_rows()[0]] * 4)
        np.testing.assert_allclose(output["advantages"], group_advantages([2.5, 1.0, 1.0, 1.0], 4), atol=1e-4)

    @pytest.mark.parametrize("weight", [0.001, 0.1, 10.0])
    def test_the_bonus_is_normalised_then_weighted_where_trl_normalises_each_reward(self, make_trainer, weight):
        grades = [1.0, 1.0, 0.0, 0.0]

        class Perceiver:
            def score(self, probes, keep_in_step_with=None):
                return [Verdict(probe, 0.9 if probe.claim.is_true else 0.3) for probe in probes]

        trainer = make_trainer(
            reward_funcs=lambda completions, **_: grades,
            multi_objective_aggregation="normalize_then_sum",
            perception_weight=weight,
            verdict="soft",
            accuracy_gate="none",
        )
        trainer.prober = Perceiver()
        output = trainer._generate_and_score_completions([make_rows()[0]] * 4)
        perception = trainer._logs["rewards"]["perception_bonus"]
        # Unweighted: soft hits of .9 and .7, weighed by depth; 0 where a completion has no boundary.
        assert len(set(perception)) > 1 and all(value == 0 or 0.69 < value < 0.91 for value in perception)

        def normalise(values):
            return (np.array(values) - np.mean(values)) / (np.std(values, ddof=1) + 1e-4)

        summed = normalise(grades) + weight * normalise(list(perception))
        np.testing.assert_allclose(output["advantages"], normalise(summed), atol=1e-4)

    def test_weights_and_processing_classes_are_counted_over_the_users_functions(self, make_trainer, checkpoint):
        own = [even_letters, length_reward]
        trainer = make_trainer(
            reward_funcs=own, reward_weights=[2.0, 0.5], trainer_options={"reward_processing_classes": [None, None]}
        )
        assert own == [even_letters, length_reward]
        assert trainer.reward_func_names == ["even_letters", "length_reward", "perception_bonus"]
        np.testing.assert_allclose(trainer.reward_weights, [2.0, 0.5, 1.0])
        assert trainer.reward_processing_classes == [None, None, None]
        with pytest.raises(ValueError, match=r"must match number of reward functions \(2\)"):
            make_trainer(reward_funcs=own, reward_weights=[1.0])

    def test_a_perfect_perceiver_scores_one_whatever_the_order_of_claims(self, make_trainer):
        trainer = make_trainer(max_steps=2)
        trainer.prober = PerfectPerceiver()
        trainer.train()
        assert set(metrics_of(trainer, "perception/accuracy")) == {1.0}
        assert set(metrics_of(trainer, "perception/reward")) == {1.0}

    def test_built_in_rewards_and_their_weights(self, make_trainer):
        trainer = make_trainer(reward_funcs=None, preset="released", max_steps=1, perception_weight=0.1)
        assert trainer.reward_func_names == ["accuracy_reward", "format_reward", "perception_bonus"]
        np.testing.assert_allclose(trainer.reward_weights, [0.8, 0.1, 1.0])
        assert (trainer.beta, trainer.epsilon_high, trainer.loss_type) == (0.02, 0.28, "dapo")
        trainer.train()

    def test_gate_reads_the_named_reward(self, make_trainer):
        trainer = make_trainer(reward_funcs=[length_reward, even_letters], gate_reward="even_letters", max_steps=1)
        trainer.train()
        gate, accuracy = metrics_of(trainer, "perception/gate_open"), metrics_of(trainer, "rewards/even_letters/mean")
        np.testing.assert_allclose(gate, accuracy, atol=1e-6)

    def test_group_sharing_asks_every_member_the_same(self, make_trainer, monkeypatch):
        asked = []
        probes = VAPO.probes
        monkeypatch.setattr(VAPO, "probes", lambda self, r, rng: asked.append(probes(self, r, rng)) or asked[-1])
        trainer = make_trainer(anchor_sharing="group", max_steps=1)
        trainer.train()
        for group in range(0, len(asked), 4):
            members = [[probe.claim for probe in own] for own in asked[group : group + 4] if own]
            assert members and all(claims == members[0] for claims in members)
        assert any(asked[0][0].claim != other[0].claim for other in asked[4:] if other)


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


class TestAnswers:
    def test_built_in_rewards_grade_by_a_solution(self, make_trainer, monkeypatch):
        graded = []
        monkeypatch.setattr(
            "vapo.training.rewards.read_reference", lambda value, column: graded.append((column, value)) or value
        )
        rows = make_rows().rename_column("answer", "solution")
        make_trainer(rows=rows, reward_funcs=None, max_steps=1).train()
        assert graded == [("solution", "1")] * 8

    @pytest.mark.parametrize("reward_funcs", [None, accuracy_reward, [even_letters, accuracy_reward]])
    def test_no_answers_to_grade_by(self, make_trainer, reward_funcs):
        rows = make_rows().rename_column("answer", "reply")
        with pytest.raises(DataError, match=r"no column 'answer' or 'solution'.*pass reward_funcs of your own"):
            make_trainer(rows=rows, reward_funcs=reward_funcs)
        make_trainer(rows=rows)


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


class TestDynamicSampling:
    def test_uninformative_groups_are_refilled(self, make_trainer, monkeypatch):
        monkeypatch.setattr(dynamic_sampling, "MAX_REFILLS", 8)
        trainer = make_trainer(dynamic_sampling=True, max_steps=4)
        trainer.train()
        assert sum(metrics_of(trainer, "dynamic_sampling/dropped_groups")) > 0
        assert set(metrics_of(trainer, "dynamic_sampling/unfilled_share")) == {0.0}
        assert all(0 < mean < 1 for mean in metrics_of(trainer, "rewards/even_letters/mean"))

    @pytest.mark.parametrize("loss_type", DYNAMIC_SAMPLING_LOSSES)
    def test_what_cannot_be_refilled_leaves_the_loss_and_its_denominator(self, make_trainer, monkeypatch, loss_type):
        """A batch of one informative and one dropped group has the loss of the informative group alone."""
        monkeypatch.setattr(dynamic_sampling, "MAX_REFILLS", 1)

        def first_group_varies(completions, completion_ids, id, **_):
            return [float(name == "row-0" and number % 2) for number, name in enumerate(id)]

        def loss_of(rows, **options):
            trainer = make_trainer(
                reward_funcs=first_group_varies,
                loss_type=loss_type,
                gradient_accumulation_steps=1,
                num_anchors=0,
                **options,
            )
            trainer.current_gradient_accumulation_steps = 1
            trainer.model.train()
            torch.manual_seed(3)
            if trainer._informative is not None:
                same_again = {place: rows[-1] for place in range(8)}
                monkeypatch.setattr(trainer._informative, "_draw_rows", lambda groups, number: same_again)
            inputs = trainer._generate_and_score_completions(rows)
            return trainer, inputs

        rows = make_rows()
        trainer, inputs = loss_of([rows[0]] * 4 + [rows[1]] * 4, per_device_train_batch_size=8, dynamic_sampling=True)
        assert trainer._metrics["train"]["dynamic_sampling/unfilled_share"] == [0.5]
        loss = trainer.compute_loss(trainer.model, inputs)
        alone = {
            name: value[:4] if isinstance(value, torch.Tensor) and value.dim() and len(value) == 8 else value
            for name, value in inputs.items()
            if name != "loss_scale"
        }
        alone["num_images"] = alone["num_images"][:4]
        expected = GRPOTrainer._compute_loss(trainer, trainer.model, alone)
        torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
        assert int(inputs["num_items_in_batch"]) == int(inputs["completion_mask"][:4].sum())

    def test_refuses_a_loss_whose_denominator_would_be_wrong(self, tmp_path):
        with pytest.raises(ConfigError, match="dynamic_sampling cannot be combined with loss_type='bnpo'"):
            make_config(tmp_path, dynamic_sampling=True, loss_type="bnpo")


class TestResume:
    @pytest.mark.parametrize("options", [{}, {"dynamic_sampling": True}])
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


class TestBadInput:
    def test_fewer_rows_than_one_rollout_takes(self, make_trainer):
        with pytest.raises(DataError, match=r"6 row\(s\), but one rollout takes 8 prompts .*32 / num_generations=4"):
            make_trainer(generation_batch_size=32)

    def test_no_claims(self, make_trainer):
        with pytest.raises(DataError, match=r"no claims.*prompt, images, answer, id.*algorithm='grpo'"):
            make_trainer(rows=make_rows().remove_columns("claims"))

    def test_a_row_without_claims(self, make_trainer):
        rows = make_rows(claims=[])
        with pytest.raises(DataError, match=r"train_dataset, row 0: the row has no claims; .*and 1 more like these"):
            make_trainer(rows=rows)

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
            ({"preset": "papr"}, "preset must be one of paper, released"),
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
            make_trainer(trainer_options={name: [print]}, algorithm="grpo", dynamic_sampling=True)

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


PRIVATE_METHODS = {
    "_generate": ["self", "prompts"],
    "_generate_single_turn": [
        "self",
        "prompt_ids",
        "images",
        "multimodal_fields",
        "num_generations",
        "has_tool_images",
    ],
    "_generate_and_score_completions": ["self", "inputs"],
    "_calculate_rewards": ["self", "inputs", "prompts", "completions", "completion_ids_list"],
    "_log_metric": ["self", "name", "value"],
    "_log_completion_extra": ["self", "column", "values"],
    "_load_from_checkpoint": ["self", "resume_from_checkpoint", "model"],
    "_load_best_model": ["self"],
    "_load_optimizer_and_scheduler": ["self", "checkpoint"],
    "training_step": ["self", "model", "inputs", "num_items_in_batch"],
}


@pytest.mark.parametrize(("name", "parameters"), PRIVATE_METHODS.items())
def test_trl_methods_we_lean_on_keep_their_signature(name, parameters):
    method = inspect.unwrap(getattr(GRPOTrainer, name))
    assert list(inspect.signature(method).parameters) == parameters


def test_a_package_newer_than_any_tested_is_told_once(make_trainer, monkeypatch, caplog):
    monkeypatch.setenv(REPORTED, "")  # so that it is taken back
    monkeypatch.delenv(REPORTED)
    monkeypatch.setattr("vapo.versions.find_untested", lambda: ["trl 1.99.0 (tested up to 1.16.0)"])
    make_trainer()
    make_trainer()
    assert len([record for record in caplog.records if "trl 1.99.0" in record.getMessage()]) == 1


def test_trl_generate_returns_what_we_unpack(make_trainer):
    returns = inspect.getsource(inspect.unwrap(GRPOTrainer._generate)).strip().splitlines()[-1].split()
    assert [name.strip(",") for name in returns[1:]] == [
        "prompt_ids",
        "completion_ids",
        "tool_mask",
        "completions",
        "logprobs",
        "extra_fields",
        "images",
        "tool_images",
    ]


def test_trl_log_probability_method_takes_what_we_pass():
    method = inspect.unwrap(GRPOTrainer._get_per_token_logps_and_entropies)
    parameters = inspect.signature(method).parameters
    assert list(parameters)[:2] == ["self", "model"] and "num_images" in parameters
    assert "batch_num_images" not in parameters  # when TRL takes it itself, our override has no more to do


def test_trl_attributes_we_lean_on_exist(make_trainer):
    trainer = make_trainer()
    leaned_on = ["_step", "_metrics", "_tokenizer", "_dist", "generation_config", "generation_kwargs"]
    for name in [*leaned_on, "is_fsdp_enabled", "is_deepspeed_enabled", "chat_template_kwargs", "reward_weights"]:
        assert hasattr(trainer, name), name
    assert isinstance(trainer._dist.is_zero3, bool)
    assert Path(inspect.getfile(GRPOTrainer)).name == "grpo_trainer.py"
