"""The agent loop beside verl's own worker: what goes wrong with probes is counted, and what is wrong is said."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import pytest

from vapo.errors import ConfigError, DataError, ModelError

pytestmark = pytest.mark.verl


@pytest.fixture
def roll_out(world, monkeypatch):
    """Roll out in this process, after the server was told how to be at fault; return the batch and what it saw."""
    import ray
    from omegaconf import OmegaConf
    from verl_world.world import compose_small, make_client, read_rows, roll_out_here

    def run(
        count: int = 1,
        *,
        engine: str = "vllm",
        changes: dict[str, Any] | None = None,
        settings: dict[str, Any] | None = None,
        weights: int | None = 0,
        edit: Any = None,
        **faults: Any,
    ) -> tuple[Any, list[dict[str, Any]]]:
        from verl.experimental.agent_loop import agent_loop as verl_loops

        config = compose_small(world.folder, {"actor_rollout_ref.rollout.name": engine, **(changes or {})})
        ray.get(world.server.begin_anew.remote(engine=engine, weights=weights, **faults))
        entry = OmegaConf.load(config.actor_rollout_ref.rollout.agent.agent_loop_config_path)[0]
        monkeypatch.setitem(verl_loops._agent_loop_registry, "vapo", OmegaConf.merge(entry, settings or {}))
        with_settings = compose_small(
            world.folder,
            {
                "actor_rollout_ref.rollout.name": engine,
                "actor_rollout_ref.rollout.agent.agent_loop_config_path": None,
                **(changes or {}),
            },
        )
        batch = read_rows(with_settings, count)
        if edit is not None:
            edit(batch)
        out = roll_out_here(with_settings, make_client(with_settings, world.client._load_balancer), batch)
        return out, ray.get(world.server.recall.remote())

    return run


def is_probe(request: dict[str, Any]) -> bool:
    return 1 in (request["params"].get("max_tokens"), request["params"].get("max_new_tokens"))


def parts(batch: Any, name: str) -> list[float]:
    return list(batch.non_tensor_batch[name])


def test_probes_follow_their_rollout_to_its_server(world, roll_out, monkeypatch):
    routed: list[tuple[str, int]] = []
    acquire = type(world.client)._acquire_server

    async def note(self, request_id, **extra):
        routed.append((request_id, len(extra["prompt_ids"])))
        return await acquire(self, request_id, **extra)

    monkeypatch.setattr(type(world.client), "_acquire_server", note)
    _, seen = roll_out()
    ids = {request_id for request_id, _ in routed}
    assert len(ids) == 2 and len(routed) == 2 * (1 + 2 * 4)  # each probe takes two questions
    assert all(request["images"] == 1 for request in seen)


class TestSampledImages:
    NOISY: ClassVar = {"algorithm": "vapo+noisy_rollout", "algorithm_options": {"noisy_share": 0.5}}
    FOUR_STEPS: ClassVar = {"actor_rollout_ref.actor.optim.total_training_steps": 4}

    @pytest.fixture
    def at_step(self, roll_out):
        def run(step: int) -> tuple[Any, list[dict[str, Any]]]:
            told = {"global_steps": np.array([step])}  # as the V1 trainer does
            return roll_out(settings=self.NOISY, changes=self.FOUR_STEPS, edit=lambda batch: batch.update(told))

        return run

    def test_part_of_a_group_is_sampled_from_noise_and_trained_on_the_clean_image(self, at_step):
        out, seen = at_step(1)
        rolled_out = [request["pixels"] for request in seen if not is_probe(request)]
        probed = {request["pixels"] for request in seen if is_probe(request)}
        (clean,) = probed  # probes see the prompt's own image
        assert sorted(pixels == clean for pixels in rolled_out) == [False, True]
        clean, noisy = (own["pixel_values"] for own in out.non_tensor_batch["multi_modal_inputs"])
        assert (clean == noisy).all()

    def test_it_goes_away_with_the_training(self, at_step):
        _, seen = at_step(5)
        assert len({request["pixels"] for request in seen}) == 1

    def test_where_no_step_is_told_it_is_refused(self, roll_out):
        with pytest.raises(ConfigError, match="by the progress of the training"):
            roll_out(settings=self.NOISY)

    @pytest.mark.parametrize("way", [{"bypass_mode": True}, {"rollout_is": "token"}, {"rollout_rs": "token_k1"}])
    def test_nor_where_the_two_policies_would_be_compared(self, roll_out, way):
        from hydra.errors import InstantiationException

        changes = {f"algorithm.rollout_correction.{name}": value for name, value in way.items()}
        with pytest.raises(InstantiationException, match=f"rollout_correction.{next(iter(way))}"):
            roll_out(settings=self.NOISY, changes=changes)


def test_no_token_of_an_image_is_sampled_and_shared_parameters_stay(roll_out):
    from tiny_models import tiny_tokenizer

    _, seen = roll_out()
    rollouts = [request for request in seen if not is_probe(request)]
    pad = tiny_tokenizer().convert_tokens_to_ids("<|image_pad|>")
    assert all(request["params"]["logit_bias"][pad] == -100 for request in rollouts)
    assert all("logit_bias" not in request["params"] for request in seen if is_probe(request))


def test_sglang_answers_as_vllm_does(roll_out):
    both = [roll_out(2, engine=engine)[0] for engine in ("vllm", "sglang")]
    np.testing.assert_allclose(parts(both[0], "perception"), parts(both[1], "perception"), atol=1e-6, rtol=0)
    assert sum(parts(both[1], "probes_failed")) == 0


def test_a_hard_verdict_takes_fewer_questions_and_is_the_same(roll_out):
    soft, asked_twice = roll_out(2)
    hard, asked = roll_out(2, settings={"verdict": "hard"})
    for quarter in range(1, 5):
        assert parts(soft, f"hits_quarter_{quarter}") == parts(hard, f"hits_quarter_{quarter}")
    assert len(asked) <= len(asked_twice)


def test_failing_probes_are_counted_and_the_completion_lives(roll_out):
    batch, _ = roll_out(fails=True)
    assert parts(batch, "probes_failed") == [4, 4] == parts(batch, "probes_asked")
    assert all(map(math.isnan, parts(batch, "perception"))) and parts(batch, "perception_bonus") == [0, 0]
    assert batch.batch["rm_scores"].sum(-1).tolist() == [2.0, 2.0]  # answer and format


def test_slow_probes_are_not_waited_for(roll_out):
    batch, _ = roll_out(settings={"probe_timeout": 0.5}, sleeps=5)
    assert parts(batch, "probes_failed") == [4, 4]


def test_a_server_that_answers_nothing_at_all_stops_the_run(roll_out, monkeypatch):
    monkeypatch.setattr("vapo.verl.worker.MAX_FAILURES", 8)
    with pytest.raises(ModelError, match=r"none of the first 8 probes.*the engine is gone"):
        roll_out(settings={"probe_seed": 1}, fails=True)  # a seed of its own, so that nothing was answered before


def test_weights_that_change_before_the_probes_are_marked(roll_out):
    same, _ = roll_out(weights=3)
    assert parts(same, "probes_on_other_weights") == [0, 0]
    other, _ = roll_out(newer=4)
    assert parts(other, "probes_failed") == [0, 0] and parts(other, "probes_on_other_weights") == [4, 4]


def test_probes_that_do_not_fit_the_context_are_counted_and_not_sent(roll_out):
    full, seen = roll_out()
    longest = max(len(request["ids"]) for request in seen if is_probe(request))
    batch, seen = roll_out(changes={"actor_rollout_ref.rollout.max_model_len": longest})
    left_out = sum(parts(batch, "probes_without_room"))
    assert 0 < left_out < 8 and max(len(request["ids"]) for request in seen) < longest
    assert sum(parts(batch, "probes_failed")) == 0 and sum(parts(full, "probes_without_room")) == 0


def test_rows_to_validate_on_are_not_probed_unless_told(roll_out):
    def mark(batch):
        batch["extra_info"][0]["split"] = "validation"

    batch, seen = roll_out(edit=mark)
    assert not any(map(is_probe, seen)) and parts(batch, "acc") == [1, 1]
    assert "perception" not in batch.non_tensor_batch
    batch, _ = roll_out(edit=mark, settings={"validation_probes": True})
    assert parts(batch, "probes_asked") == [4, 4]


def test_only_audible_probes_are_asked_where_that_is_wanted(roll_out):
    batch, _ = roll_out(2, settings={"closed_gate_probe_share": 0.0})
    assert parts(batch, "probes_asked") == [4, 4, 0, 0] and parts(batch, "probes_drawn") == [4, 4, 4, 4]


def test_grpo_rewards_answer_and_form_alone(roll_out):
    batch, seen = roll_out(2, settings={"algorithm": "grpo"})
    assert len(seen) == 4 and batch.batch["rm_scores"].sum(-1).tolist() == [2.0, 2.0, 1.0, 1.0]


def test_text_of_the_data_becomes_no_special_token(roll_out):
    from tiny_models import tiny_tokenizer

    _, seen = roll_out()  # the first question and the fourth claim hold "<|im_end|>"
    end = tiny_tokenizer().convert_tokens_to_ids("<|im_end|>")
    prompt = min((request["ids"] for request in seen), key=len)
    assert prompt.count(end) == 2  # those of the system's and the user's turn


def test_a_relaxed_gate_closes_by_the_trainers_own_count(roll_out):
    total = "actor_rollout_ref.actor.optim.total_training_steps"
    early, _ = roll_out(2, changes={total: 4}, settings={"accuracy_gate": "relaxed"})
    late, _ = roll_out(2, changes={total: 4}, settings={"accuracy_gate": "relaxed"}, weights=2)
    perception = parts(early, "perception")[2], parts(late, "perception")[2]
    bonus = parts(early, "perception_bonus")[2], parts(late, "perception_bonus")[2]
    assert bonus == pytest.approx((0.1 * perception[0], 0.05 * perception[1]))


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"ignores": True}, ModelError, "does not honour token restrictions"),
        ({"raw": True}, ModelError, "logprobs_mode=processed_logprobs"),
        (
            {"engine": "vllm", "changes": {"actor_rollout_ref.rollout.logprobs_mode": "raw_logprobs"}},
            ConfigError,
            "leave it",
        ),
        ({"settings": {"num_anchor": 3}}, ConfigError, "the nearest is 'num_anchors'"),
        ({"settings": {"accuracy_gate": "relaxed"}}, ConfigError, "did not say how long it is"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said(how, error, message, roll_out):
    with pytest.raises(Exception) as raised:
        roll_out(**how)
    cause: BaseException | None = raised.value
    while cause is not None and not isinstance(cause, error):
        cause = cause.__cause__ or cause.__context__
    assert cause is not None and message in str(cause)


def test_rows_that_vapo_did_not_write_are_refused(roll_out):
    def forget(batch):
        batch["extra_info"][0].pop("claims")

    with pytest.raises(DataError, match="the row has no claims"):
        roll_out(edit=forget)


def test_the_plug_in_puts_the_loop_into_verls_registry():
    from verl.experimental.agent_loop.agent_loop import _agent_loop_registry

    from vapo.verl.settings import TARGET

    assert _agent_loop_registry["vapo"]["_target_"] == TARGET
