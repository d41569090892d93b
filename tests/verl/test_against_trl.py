"""The same prompts, responses, claims and seeds give the same probes, verdicts and rewards on verl and on TRL."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from vapo.core.perception import depth_quarter

pytestmark = pytest.mark.verl


@pytest.fixture(scope="module")
def on_trl(run):
    from verl_world.trl_run import roll_out_on_trl

    return roll_out_on_trl(run)


@pytest.fixture(scope="module")
def expected_probes(on_trl):
    from tiny_models import tiny_tokenizer

    from vapo.models.questions import ClaimQuestions

    questions = ClaimQuestions(tiny_tokenizer())
    return Counter(
        (
            *own.rollout.prompt_ids,
            *own.rollout.completion_ids[: probe.anchor.index],
            *questions.encode(probe.claim.text),
        )
        for own in on_trl.scored
        for probe in own.probes
    )


def test_the_rollout_on_trl_is_worth_comparing(on_trl):
    assert [own.reward.accuracy for own in on_trl.scored] == [1.0, 1.0, 0.0, 0.0] * 2
    assert all(len(own.verdicts) == 4 for own in on_trl.scored)
    assert len({own.reward.perception for own in on_trl.scored}) == 8
    assert len({len(own.rollout.sample.images) for own in on_trl.scored}) == 2


def check_probes(seen, expected_probes):
    asked = Counter(tuple(request["ids"]) for request in seen if "allowed_token_ids" in request["params"])
    assert set(asked) == set(expected_probes)
    assert all(asked[ids] == 2 * count for ids, count in expected_probes.items())  # two questions each


def test_v0(world, on_trl, expected_probes):
    import ray
    from verl_world.world import read_rows, roll_out_v0

    ray.get(world.server.begin_anew.remote())
    batch = roll_out_v0(world.config, world.client, read_rows(world.config))
    check_probes(ray.get(world.server.recall.remote()), expected_probes)
    perception = [own.reward.perception for own in on_trl.scored]
    np.testing.assert_allclose(batch.non_tensor_batch["perception"], perception, atol=1e-6, rtol=0)
    np.testing.assert_allclose(batch.batch["rm_scores"].sum(-1), on_trl.rewards, atol=1e-6, rtol=0)
    for row, own in zip(batch.batch["input_ids"], on_trl.scored, strict=True):
        ids = own.rollout.prompt_ids + own.rollout.completion_ids
        width = batch.batch["prompts"].shape[1]
        kept = row[width - len(own.rollout.prompt_ids) : width + len(own.rollout.completion_ids)]
        assert tuple(kept.tolist()) == ids


def test_v1_with_the_transfer_queue(world, on_trl, expected_probes):
    import ray
    from verl_world.world import V1, read_rows

    ray.get(world.server.begin_anew.remote())
    trainer = V1(world.config, world.client)
    rows = read_rows(world.config)
    keys, metrics = trainer.roll_out(rows)
    check_probes(ray.get(world.server.recall.remote()), expected_probes)
    data = trainer.read(keys, "uid", "rm_scores", "extra_fields")
    # The queue keeps no order: a completion is found by its prompt and its number in the group.
    place = {uid: number for number, uid in enumerate(rows["uid"])}
    order = [2 * place[key.split("_")[0]] + int(key.split("_")[1]) for key in keys.keys]
    rewards = np.array(on_trl.rewards)[order]
    np.testing.assert_allclose([float(row.sum()) for row in data["rm_scores"]], rewards, atol=1e-6, rtol=0)
    groups = np.array(on_trl.rewards).reshape(4, 2)
    normalised = (groups - groups.mean(1, keepdims=True)) / (groups.std(1, ddof=1, keepdims=True) + 1e-6)
    # Rewards of a group differ by as little as 2e-4, of which float32 keeps three digits.
    np.testing.assert_allclose(trainer.compute_advantages(keys), normalised.ravel()[order], atol=2e-3, rtol=0)
    verdicts = [verdict for own in on_trl.scored for verdict in own.verdicts]
    assert metrics["perception/accuracy"] == pytest.approx(np.mean([verdict.correct for verdict in verdicts]))
    assert metrics["perception/gate_open"] == 0.5 and metrics["perception/failed_probes"] == 0
    hits: dict[int, list[bool]] = {}
    for verdict in verdicts:
        hits.setdefault(depth_quarter(verdict.probe.anchor.depth), []).append(verdict.correct)
    quarters = {f"perception/accuracy_quarter_{quarter}": np.mean(own) for quarter, own in hits.items()}
    assert len(quarters) > 1
    assert quarters == pytest.approx({name: value for name, value in metrics.items() if "quarter" in name})
