"""Packed training against TRL's own rows: values, gradients, whole runs."""

from __future__ import annotations

import inspect

import pytest
import torch
from tiny_models import PACKED_FAMILIES, build_tiny, save_tiny
from training.training_world import even_letters, make_config, make_rows
from trl.trainer import grpo_trainer

from vapo import VAPOTrainer
from vapo.errors import ModelError
from vapo.models.image_features import find_feature_module
from vapo.models.images import ImageInputs
from vapo.models.tree.growth import grow_trees
from vapo.models.tree.packed import Question
from vapo.models.tree.packing_obstacles import find_packing_obstacle
from vapo.probing.reference import ReferenceProber
from vapo.training.batches import Row, groups_kept_together, shuffle_groups
from vapo.training.packing import find_branches
from vapo.training.rollout_batch import RolloutBatch

MISALIGNED = {"num_iterations": 2, "gradient_accumulation_steps": 1}  # TRL then wants the old policy's as well


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    return str(save_tiny("llava", tmp_path_factory.mktemp("llava")))


@pytest.fixture
def make_trainer(checkpoint, tmp_path):
    def make(model=checkpoint, rows=None, trainer_options=None, **options) -> VAPOTrainer:
        return VAPOTrainer(
            model,
            reward_funcs=even_letters,
            args=make_config(tmp_path, **{"packing": "require", **options}),
            train_dataset=make_rows() if rows is None else rows,
            **(trainer_options or {}),
        )

    return make


def record_batch(trainer):
    """Train one step; return the arguments of the last micro-batch's forward pass."""
    calls = []
    compute = trainer._get_per_token_logps_and_entropies
    trainer._get_per_token_logps_and_entropies = lambda *a, **k: (calls.append((a, k)), compute(*a, **k))[1]
    trainer.train()
    del trainer._get_per_token_logps_and_entropies
    return calls[-1]


def score(trainer, batch, *, packed: bool):
    """Return log-probabilities, entropies and gradients of a loss over both."""
    packing, trainer._packing = trainer._packing, trainer._packing if packed else None
    args, options = batch
    log_probs, entropies, _ = trainer._get_per_token_logps_and_entropies(*args, **options)
    trainer._packing = packing
    weights = torch.randn(log_probs.shape, generator=torch.Generator().manual_seed(0))
    trainer.model.zero_grad()
    (log_probs * weights).sum().backward()
    return log_probs, entropies, {name: p.grad for name, p in trainer.model.named_parameters()}


def assert_same_scores(trainer, batch) -> None:
    own, own_entropies, own_grads = score(trainer, batch, packed=True)
    rows, entropies, grads = score(trainer, batch, packed=False)
    torch.testing.assert_close(own, rows, atol=1e-5, rtol=0)
    torch.testing.assert_close(own_entropies, entropies, atol=1e-5, rtol=0)
    norm = torch.stack([g.norm() for g in grads.values() if g is not None]).norm()
    for name, grad in grads.items():
        assert (grad is None) == (own_grads[name] is None), name
        if grad is not None:
            assert (own_grads[name] - grad).norm() <= 1e-4 * max(grad.norm(), 1e-3 * norm), name


@pytest.mark.parametrize("family", PACKED_FAMILIES)
def test_values_and_gradients_equal_trls_own(make_trainer, family, tmp_path):
    trainer = make_trainer(str(save_tiny(family, tmp_path / "model")), make_rows(images_per_row=2), max_steps=1)
    assert_same_scores(trainer, record_batch(trainer))


class TestWays:
    """Ways to train that must not change what is computed."""

    @pytest.mark.parametrize("use_reentrant", [True, False])
    def test_gradient_checkpointing(self, make_trainer, use_reentrant):
        options = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": use_reentrant}}
        trainer = make_trainer(max_steps=1, **options)
        assert_same_scores(trainer, record_batch(trainer))

    @pytest.mark.parametrize("attention", ["eager", "sdpa"])
    def test_the_attention_that_the_user_chose_stays_theirs(self, make_trainer, attention):
        trainer = make_trainer(max_steps=1, model_init_kwargs={"attn_implementation": attention})
        assert_same_scores(trainer, record_batch(trainer))
        assert find_feature_module(trainer.model).get_decoder().config._attn_implementation == attention

    def test_lora(self, make_trainer):
        from peft import LoraConfig

        adapter = LoraConfig(r=4, target_modules=["q_proj", "v_proj", "down_proj"], init_lora_weights=False)
        trainer = make_trainer(max_steps=1, trainer_options={"peft_config": adapter}, gradient_checkpointing=True)
        assert_same_scores(trainer, record_batch(trainer))

    def test_dropout_keeps_packing_on_and_probes_out_of_the_scoring_pass(self, make_trainer):
        from peft import LoraConfig

        adapter = LoraConfig(r=4, target_modules=["q_proj"], lora_dropout=0.5, init_lora_weights=False)
        trainer = make_trainer(max_steps=2, trainer_options={"peft_config": adapter}, **MISALIGNED)
        asked = []
        ask = trainer.prober.score
        trainer.prober.score = lambda probes, **options: (asked.extend(probes), ask(probes, **options))[1]
        trainer.train()
        assert asked and trainer._packing.is_on

    def test_bfloat16(self, make_trainer):
        trainer = make_trainer(max_steps=1, bf16=True)
        batch = record_batch(trainer)
        own, _, _ = score(trainer, batch, packed=True)
        rows, _, _ = score(trainer, batch, packed=False)
        assert (own - rows).abs().mean() < 0.02


class TestRuns:
    @pytest.mark.parametrize("options", [{}, {"num_iterations": 2}], ids=["aligned", "two iterations"])
    def test_twenty_steps_end_with_the_same_parameters(self, make_trainer, options):
        # Plain SGD: Adam divides by the size of the gradient and turns the rounding of one that is zero (a key's
        # bias, to which attention is blind) into a full step.
        trained = []
        for packing in ("require", "off"):
            trainer = make_trainer(packing=packing, max_steps=20, optim="sgd", learning_rate=1.0, **options)
            before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
            trainer.train()
            trained.append({name: p.detach() for name, p in trainer.model.named_parameters()})
        assert max(float((p - before[name]).abs().max()) for name, p in trained[0].items()) > 1e-2
        for name, parameter in trained[0].items():
            torch.testing.assert_close(parameter, trained[1][name], atol=1e-4, rtol=0)

    def test_probes_ride_along_where_the_old_policy_is_scored(self, make_trainer, monkeypatch):
        trainer = make_trainer(max_steps=2, **MISALIGNED)
        monkeypatch.setattr(trainer.prober, "score", None)  # must not be asked
        before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
        rewarded = []
        reward = RolloutBatch.reward
        monkeypatch.setattr(RolloutBatch, "reward", lambda *args: (rewarded.append(reward(*args)), rewarded[-1])[1])
        trainer.train()
        verdicts = [verdict for scored in rewarded[0] for verdict in scored.verdicts]
        assert verdicts
        model, processor = build_tiny("llava")
        model.load_state_dict(before, strict=False)
        expected = ReferenceProber(model, processor).score([verdict.probe for verdict in verdicts])
        for ours, theirs in zip(verdicts, expected, strict=True):
            assert ours.p_true == pytest.approx(theirs.p_true, abs=1e-5)

    @pytest.mark.parametrize("options", [{}, MISALIGNED], ids=["aligned", "misaligned"])
    def test_silent_completions_are_not_asked(self, make_trainer, options):
        trainer = make_trainer(max_steps=2, closed_gate_probe_share=0.0, **options)
        asked = []
        ask = trainer.prober.score
        trainer.prober.score = lambda probes, **options: (asked.extend(probes), ask(probes, **options))[1]
        trainer.train()
        assert asked and all(even_letters(None, [probe.rollout.completion_ids]) == [1.0] for probe in asked)

    def test_truncated_completions_leave_empty_branches(self, make_trainer):
        trainer = make_trainer(max_steps=2, mask_truncated_completions=True, max_completion_length=6, **MISALIGNED)
        trainer.train()
        assert trainer.state.global_step == 2

    def test_a_budget_smaller_than_one_tree(self, make_trainer):
        trainer = make_trainer(max_steps=1)
        args, options = record_batch(trainer)
        with torch.no_grad():
            whole, _, _ = trainer._get_per_token_logps_and_entropies(*args, **options)
            split, _, _ = trainer._get_per_token_logps_and_entropies(*args, **{**options, "batch_size": 1})
        torch.testing.assert_close(whole, split, atol=1e-5, rtol=0)


class TestFirstLook:
    @pytest.fixture
    def make_wrong_trainer(self, make_trainer, monkeypatch):
        model, processor = build_tiny("llava")
        for parameter in model.parameters():
            parameter.data *= 3  # far enough from a uniform output that wrong positions show
        monkeypatch.setattr("vapo.models.tree.packed.tree_positions", lambda trunk, depth: depth[None] // 2)
        options = {"processing_class": processor}
        return lambda packing: make_trainer(model, trainer_options=options, packing=packing, beta=0.0, max_steps=1)

    def test_a_model_whose_packed_outputs_differ_goes_on_row_by_row(self, make_wrong_trainer, capsys):
        trainer = make_wrong_trainer("auto")
        trainer.train()
        assert not trainer._packing.is_on
        assert "packing: off" in capsys.readouterr().out

    def test_required_packing_stops_there(self, make_wrong_trainer):
        trainer = make_wrong_trainer("require")
        with pytest.raises(ModelError, match=r"differ from the model's own by .*; use packing='off'"):
            trainer.train()

    def test_a_model_whose_packed_pass_fails_goes_on_row_by_row(self, make_trainer, monkeypatch, capsys):
        def fail(*_):
            raise RuntimeError("a family's own shapes")

        monkeypatch.setattr("vapo.models.tree.packed.tree_positions", fail)
        trainer = make_trainer(packing="auto", max_steps=1)
        trainer.train()
        assert not trainer._packing.is_on and not trainer.prober.is_packed
        said = "packed log-probabilities cannot be computed (a family's own shapes)"
        assert capsys.readouterr().out.count(said) == 1
        with pytest.raises(ModelError, match=r"cannot be computed .* use packing='off'"):
            make_trainer(packing="require", max_steps=1).train()

    def test_the_path_is_named_once(self, make_trainer, capsys):
        make_trainer(max_steps=2).train()
        assert capsys.readouterr().out.count("packing:") == 1

    @pytest.mark.parametrize(
        ("option", "value", "obstacle"),
        [
            ("layer_types", ["full_attention", "linear_attention"], "linear_attention"),
            ("attention_dropout", 0.1, "at random"),
            ("attn_logit_softcapping", 50.0, "caps its attention scores"),
        ],
    )
    def test_obstacles_are_found_before_the_first_pass(self, option, value, obstacle):
        model, _ = build_tiny("llava")
        assert find_packing_obstacle(model) is None
        setattr(model.model.language_model.config, option, value)
        assert obstacle in find_packing_obstacle(model)

    @pytest.mark.torchvision
    def test_a_model_that_caps_its_logits_is_not_packed(self):
        model, _ = build_tiny("gemma4")
        assert find_packing_obstacle(model) is None
        model.config.text_config.final_logit_softcapping = 30.0
        assert "changes the logits of its output layer" in find_packing_obstacle(model)

    def test_an_obstacle_under_require_names_itself(self, make_trainer, checkpoint):
        model, processor = build_tiny("llava")
        model.model.language_model.config.attention_dropout = 0.1
        with pytest.raises(ModelError, match=r"packing='require' cannot be had: Qwen2Model drops .*packing='off'"):
            make_trainer(model, trainer_options={"processing_class": processor}, beta=0.0)


def make_row(prompt=(5, 6, 7), completion=(8, 9), pixels=0.0) -> Row:
    images = ImageInputs({"pixel_values": torch.full((1, 3, 2, 2), pixels)})
    return Row(prompt, completion, images, 1, {}, torch.ones(5, dtype=torch.bool), None)


class TestTrees:
    def test_rows_of_one_prompt_share_a_tree(self):
        trees, members = grow_trees(find_branches([make_row(), make_row(completion=()), make_row((1,))], [(), (), ()]))
        assert members == [[0, 1], [2]]
        assert trees[0].completions == ((8, 9), ())

    def test_a_token_or_a_pixel_of_difference_is_a_tree_of_its_own(self):
        rows = [make_row(), make_row((5, 6, 8)), make_row(pixels=1e-7), make_row()]
        assert grow_trees(find_branches(rows, [()] * 4))[1] == [[0, 3], [1], [2]]

    def test_questions_go_where_their_completion_went(self):
        rows = [make_row((1,)), make_row(), make_row((1,))]
        trees, _ = grow_trees(find_branches(rows, [(), (Question(0, 2, (3,)),), (Question(0, 1, (4,)),)]))
        assert trees[0].questions == (Question(1, 1, (4,)),)
        assert trees[1].questions == (Question(0, 2, (3,)),)

    def test_a_question_beyond_its_completion_is_refused(self):
        (tree,), _ = grow_trees(find_branches([make_row()], [(Question(0, 3, (4,)),)]))
        with pytest.raises(ValueError, match="behind 3 tokens of a completion that has 2"):
            _ = tree.shape


class TestShuffle:
    def test_groups_stay_together_and_columns_agree(self):
        torch.manual_seed(0)
        batch = {"rows": torch.arange(12), "names": [str(i) for i in range(12)], "none": None, "n": torch.tensor(3)}
        shuffled = shuffle_groups(batch, 4)
        rows = shuffled["rows"].tolist()
        assert sorted(rows) == list(range(12)) and rows != list(range(12))
        assert [{row // 4 for row in rows[i : i + 4]} for i in (0, 4, 8)] in [
            [{a}, {b}, {c}] for a in range(3) for b in range(3) for c in range(3)
        ]
        assert shuffled["names"] == [str(i) for i in rows]
        assert shuffled["none"] is None and shuffled["n"] == 3

    def test_draws_from_the_generator_what_trl_draws(self):
        states = []
        for shuffle in (lambda b: shuffle_groups(b, 4), grpo_trainer.shuffle_sequence_dict):
            torch.manual_seed(0)
            shuffle({"rows": torch.arange(12)})
            states.append(torch.get_rng_state())
        assert torch.equal(*states)

    def test_is_put_in_place_of_trls_and_taken_out(self):
        shuffle = grpo_trainer.shuffle_sequence_dict
        with groups_kept_together(4):
            torch.manual_seed(0)
            shuffled = grpo_trainer.shuffle_sequence_dict({"rows": torch.arange(12)})["rows"]
            assert all(len({row // 4 for row in group.tolist()}) == 1 for group in shuffled.view(3, 4))
            assert inspect.signature(grpo_trainer.shuffle_sequence_dict) == inspect.signature(shuffle)
        assert grpo_trainer.shuffle_sequence_dict is shuffle

    def test_trl_shuffles_where_we_replace_it(self):
        source = inspect.getsource(inspect.unwrap(grpo_trainer.GRPOTrainer._prepare_inputs))
        assert source.count("shuffle_sequence_dict(generation_batch)") == 1
