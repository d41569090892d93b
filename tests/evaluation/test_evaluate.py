from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tiny_models import FAMILIES, build_tiny

from vapo.diagnosis.direct_probes import probe_directly
from vapo.diagnosis.report import format_evaluation
from vapo.diagnosis.summary import Evaluation
from vapo.errors import ConfigError, DataError, ModelError, VapoError
from vapo.evaluation.evaluate import evaluate
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.generation import sample_completions
from vapo.probing.reference import ReferenceProber


def run(policy, samples, **options):
    return evaluate(policy, samples, **{"max_completion_tokens": 40, "num_anchors": 3, **options})


def test_counts_right_wrong_and_missing_answers_apart(policy, samples):
    evaluation = run(policy, samples)
    assert [row.answer for row in evaluation.rows] == ["8", "4", None]
    for estimate in (evaluation.accuracy, evaluation.wrong, evaluation.unanswered):
        assert estimate.value == pytest.approx(1 / 3) and estimate.num_questions == 3
    assert evaluation.format_rate.value == pytest.approx(2 / 3)
    assert evaluation.truncated.value == 0
    assert evaluation.average is None
    assert evaluation.num_tokens.value == sum(row.num_tokens for row in evaluation.rows) / 3


def test_completions_cut_off_are_told(policy, samples):
    evaluation = run(policy, samples, max_completion_tokens=5)
    assert evaluation.truncated.value == 1 and evaluation.unanswered.value == 1
    assert evaluation.num_tokens.value == 5


def all_estimates(plain):
    if isinstance(plain, dict) and "num_questions" in plain and "value" in plain:
        yield plain
    elif isinstance(plain, dict | list):
        for value in plain.values() if isinstance(plain, dict) else plain:
            yield from all_estimates(value)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_number_lies_in_its_range_and_interval(family, samples):
    evaluation = run(Policy(*build_tiny(family)), samples, num_completions=2, max_completion_tokens=20)
    plain = evaluation.to_json()
    estimates = list(all_estimates(plain))
    assert len(estimates) >= 8 and evaluation.average is not None
    for estimate in estimates:
        assert estimate["low"] is None or estimate["low"] <= estimate["value"] <= estimate["high"]
    for name in ("accuracy", "average", "wrong", "unanswered", "format_rate", "truncated"):
        assert plain[name]["low"] >= 0 and plain[name]["high"] <= 1
    for part in (plain["perception"]["before"], plain["perception"]["along"]):
        assert part["p_label"] is None or 0 <= part["p_label"]["value"] <= 1


def test_json_holds_what_is_needed_to_repeat_it(policy, samples):
    evaluation = run(policy, samples, num_completions=2, seed=5)
    plain = evaluation.to_json()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["model"] == "writer" and plain["num_questions"] == 3
    wanted = {"seed": 5, "num_completions": 2, "temperature": 1.0, "num_anchors": 3, "dtype": "float32"}
    assert wanted.items() <= plain["settings"].items()
    assert {"vapo", "torch", "transformers", "weights"} <= set(plain["settings"])


def test_same_seed_same_result(policy, samples):
    first, second = (run(policy, samples, num_completions=2, seed=3) for _ in range(2))
    assert first == second
    other = run(policy, samples, num_completions=2, seed=4)
    assert [r.completion for r in other.rows] == [r.completion for r in first.rows]  # greedy
    assert [r.along for r in other.rows] != [r.along for r in first.rows]


def test_results_do_not_depend_on_batches(policy, samples):
    together = run(policy, samples, num_completions=2)
    alone = run(policy, samples, num_completions=2, batch_size=1, probe_batch_tokens=1)
    for one, other in zip(together.rows, alone.rows, strict=True):
        assert (one.completion, one.sampled_right) == (other.completion, other.sampled_right)
        for asked, again in zip((*one.before, *one.along), (*other.before, *other.along), strict=True):
            assert asked.p_true == pytest.approx(again.p_true, abs=1e-5)
            assert (asked.claim, asked.index) == (again.claim, again.index)


def test_the_claims_of_the_response_are_asked_before_it_too(policy, samples):
    for row in run(policy, samples, num_anchors=4).rows:
        assert len(row.before) == 4 and 0 < len(row.along) <= 4
        assert {claim.depth for claim in row.before} == {0}
        assert all(0 < claim.depth <= 1 for claim in row.along)
        assert [c.index for c in row.along] == sorted(c.index for c in row.along)
        asked_before = [claim.claim for claim in row.before]
        assert [claim.claim for claim in row.along] == asked_before[: len(row.along)]


def test_responses_with_few_boundaries_are_counted(policy, samples):
    evaluation = run(policy, samples, num_anchors=50)
    assert evaluation.perception is not None
    probed = sum(len(row.along) for row in evaluation.rows)
    assert evaluation.perception.num_missing_anchors == 150 - probed > 0
    assert evaluation.perception.before.num_claims == 150
    assert f"{150 - probed} of 150 anchors" in format_evaluation(evaluation)


def test_asking_before_the_response_is_asking_behind_the_prompt(policy, samples):
    rollouts = [own[0] for own in sample_completions(policy, samples, temperature=0, max_completion_tokens=9)]
    silent = [replace(rollout, completion_ids=(), token_texts=()) for rollout in rollouts]
    prober = ReferenceProber(policy.model, policy.processor)
    asked, expected = (
        [v.p_true for v in prober.score([p for r in some for p in probe_directly(r, r.sample.claims)])]
        for some in (rollouts, silent)
    )
    assert asked == expected and len(asked) == 6


def test_samples_without_claims_are_answered_and_not_probed(policy, samples):
    evaluation = run(policy, [replace(samples[0], claims=()), *samples[1:]])
    assert evaluation.accuracy.num_questions == 3 and evaluation.perception is not None
    assert evaluation.perception.before.accuracy is not None
    assert evaluation.perception.before.accuracy.num_questions == 2
    assert evaluation.perception.num_without_claims == 1
    assert "1 question had no claims to ask" in format_evaluation(evaluation)


def test_data_without_claims_leaves_perception_out(policy, samples):
    evaluation = run(policy, [replace(sample, claims=()) for sample in samples])
    assert evaluation.perception is None and evaluation.to_json()["perception"] is None
    assert "the data has no claims" in format_evaluation(evaluation)


def test_no_anchors_leaves_perception_out(policy, samples):
    evaluation = run(policy, samples, num_anchors=0)
    assert evaluation.perception is None
    assert "num_anchors = 0" in format_evaluation(evaluation)


def test_one_question_has_no_bootstrap_interval(policy, samples):
    evaluation = run(policy, samples[:1])
    assert evaluation.num_tokens.low is None
    assert evaluation.accuracy.low is not None and evaluation.accuracy.low < 0.5  # Wilson's is honest
    assert "one question" in format_evaluation(evaluation)


def test_progress(policy, samples):
    reported = []
    run(policy, samples, batch_size=2, on_progress=lambda *p: reported.append(p))
    assert reported == [(2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_completion_tokens": 0}, "max_completion_tokens is 0"),
        ({"num_completions": -1}, "num_completions is -1"),
        ({"num_anchors": -1}, "num_anchors is -1"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"num_completions": 2, "temperature": 0}, "temperature is 0"),
        ({"probe_template": "Is it so?"}, "claim"),
    ],
)
def test_options_out_of_range(policy, samples, options, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        run(policy, samples, out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_no_samples(policy):
    with pytest.raises(DataError, match="empty"):
        run(policy, [])


def test_sample_without_a_reference_answer(policy, samples):
    with pytest.raises(DataError, match="'q1' has no reference answer"):
        run(policy, [samples[0], replace(samples[1], answer=" ")])


class TestOut:
    def test_files(self, policy, samples, tmp_path):
        evaluation = run(policy, samples, out=tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {"rows.jsonl", "settings.json", "evaluation.json"}
        written = json.loads((tmp_path / "evaluation.json").read_text())
        assert written == evaluation.to_json()
        assert Evaluation.from_json(written) == replace(evaluation, rows=())
        rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
        assert [row["id"] for row in rows] == ["q0", "q1", "q2"]
        assert rows[0]["answer"] == "8" and rows[0]["right"] and rows[0]["along"][0]["claim"]

    def test_goes_on_where_it_stopped(self, policy, samples, tmp_path):
        whole = run(policy, samples, out=tmp_path / "whole", batch_size=1, num_completions=2)

        def stop(done, _):
            if done == 2:
                raise KeyboardInterrupt

        out = tmp_path / "cut"
        with pytest.raises(KeyboardInterrupt):
            run(policy, samples, out=out, batch_size=1, num_completions=2, on_progress=stop)
        with (out / "rows.jsonl").open("a") as file:
            file.write('{"digest": "torn off whi')
        answered = []
        handle = policy.model.register_forward_pre_hook(lambda *_: answered.append(1))
        resumed = run(policy, samples, out=out, batch_size=1, num_completions=2)
        first = len(answered)
        again = run(policy, samples, out=out, batch_size=1, num_completions=2)
        handle.remove()
        assert resumed == whole == again
        assert 0 < first == len(answered)  # nothing is left to compute the second time
        for name in ("rows.jsonl", "evaluation.json", "settings.json"):
            assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()

    def test_more_questions_reuse_the_finished_ones(self, policy, samples, tmp_path):
        run(policy, samples[:1], out=tmp_path)
        assert run(policy, samples, out=tmp_path).rows == run(policy, samples).rows

    def test_an_error_keeps_what_was_finished(self, policy, samples, tmp_path):
        endless = replace(samples[2], question="What is in row one? " * 300)
        with pytest.raises(ModelError, match=r"'q2'.*context"):
            run(policy, [*samples[:2], endless], out=tmp_path, batch_size=1)
        assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 2

    def test_other_settings_are_refused(self, policy, samples, tmp_path):
        run(policy, samples, out=tmp_path)
        with pytest.raises(ConfigError, match="num_anchors was 3 and is 4"):
            run(policy, samples, out=tmp_path, num_anchors=4)

    def test_other_weights_are_refused(self, policy, samples, tmp_path):
        run(policy, samples, out=tmp_path, max_completion_tokens=4)
        with pytest.raises(ConfigError, match="weights was"):
            run(Policy(*build_tiny("llava", seed=1)), samples, out=tmp_path, max_completion_tokens=4)

    def test_a_changed_sample_is_answered_anew(self, policy, samples, tmp_path):
        run(policy, samples, out=tmp_path)
        changed = [replace(samples[0], answer="9"), *samples[1:]]
        assert run(policy, changed, out=tmp_path).rows == run(policy, changed).rows

    def test_foreign_or_broken_files_are_refused(self, policy, samples, tmp_path):
        (tmp_path / "rows.jsonl").write_text("{}\n")
        with pytest.raises(ConfigError, match=r"without settings\.json"):
            run(policy, samples, out=tmp_path)
        (tmp_path / "rows.jsonl").unlink()
        run(policy, samples, out=tmp_path)
        (tmp_path / "rows.jsonl").write_text("{}\n")
        with pytest.raises(DataError, match="line 1 is no finished row"):
            run(policy, samples, out=tmp_path)
        with pytest.raises(VapoError, match="is a file"):
            run(policy, samples, out=tmp_path / "rows.jsonl")
