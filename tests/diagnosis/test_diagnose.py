"""The whole diagnosis on scripted models: files, resumption, what is left out, bad rows, judges, comparisons."""

from __future__ import annotations

import csv
import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from diagnosis.scripted_model import ALL, RIGHT, SMALL, WRONG, ScriptedModel, make_diagnosed_model, make_question
from diagnosis.test_protocols import Voter

from vapo.api.server_errors import ServerError
from vapo.diagnosis.diagnose import diagnose
from vapo.diagnosis.findings import Diagnosis
from vapo.diagnosis.protocols import DEFAULT_PROTOCOLS, PROTOCOLS
from vapo.diagnosis.settings import DiagnosisSettings
from vapo.diagnosis.tables import COLUMNS, SUMMARY_COLUMNS, list_estimates
from vapo.errors import ConfigError, DataError, ModelError
from vapo.models.diagnosed_model import GREEDY, Sampling


def test_numbers_are_those_worked_by_hand(questions):
    diagnosed_model = make_diagnosed_model(
        judge=lambda probe, view: float(probe.claim.is_true) if view == "image" else 0.4,
        attention=lambda token: 0.4 if token < 14 else 0.2,
        sensitivity=lambda token: 0.2 if token % 2 else 0.0,
    )
    diagnosis = diagnose([diagnosed_model], questions, settings=SMALL, truth=Voter("logical"))
    (model,) = diagnosis.models
    assert model.accuracy.value == 0.5 and model.num_tokens.value == len(RIGHT) + 1
    assert model.early is not None and [(p.at, p.estimate.value) for p in model.early] == [
        (0.0, 0.0),
        (0.25, 0.0),
        (0.5, 0.25),
        (0.75, 0.0),
        (1.0, 0.5),
    ]
    assert model.early_area.value == (0.25 + 0.5 / 2) / 4  # trapezoids of a quarter each
    assert model.recovery is not None and model.recovery.anywhere.value == 0.5
    assert [point.estimate.value for point in model.recovery.by_cut] == [0, 0, 0.5, 0]
    assert [point.estimate.value for point in model.recovery.lost_by_cut] == [1, 1, 1, 1]
    assert model.recovery.cut == 0.5 and model.recovery.avoided.value == 0.5
    assert model.recovery.lost.value == model.recovery.lost_anywhere.value == 1
    assert model.recovery.change.value == -0.25
    assert model.perception is not None and model.p_label is not None
    assert {view: [p.estimate.value for p in points] for view, points in model.perception.items()} == {
        "image": [1, 1, 1],
        "blank": [0.5, 0.5, 0.5],
        "none": [0.5, 0.5, 0.5],
    }
    assert model.p_label["blank"][0].estimate.value == pytest.approx(0.5)  # (0.4 + 0.6) / 2
    # The thinking part is 7..22, its middle 14.5: tokens 7..13 lie in the first half, 14 on its border, 15.. behind.
    assert model.attention_by_depth is not None
    first, second = (point.estimate.value for point in model.attention_by_depth)
    assert first == pytest.approx(0.4) and second == pytest.approx(0.2)
    assert [point.at for point in model.attention_by_depth] == [0.25, 0.75]
    assert model.attention_by_step is not None and len(model.attention_by_step) == len(RIGHT) + 1
    assert model.attention_by_step[0].at == 1
    assert model.attention_by_head is not None and len(model.attention_by_head) == 2
    assert model.dependent_share is not None
    assert model.dependent_share.value == pytest.approx((len(RIGHT) + 1) // 2 / (len(RIGHT) + 1))
    assert model.remedies is not None and [effect.remedy for effect in model.remedies] == ["none", "replay", "focus"]
    # Of four questions two are right without; the first cut of one lies at half of the response, where q2 gets right.
    assert [effect.accuracy.value for effect in model.remedies] == [0.5, 0.25, 0.25]
    assert [effect.gain and effect.gain.value for effect in model.remedies] == [None, -0.25, -0.25]
    assert model.categories is not None and [one.share.value for one in model.categories] == [0, 1, 0, 0]
    logical = model.categories[1]
    assert logical.recoverable is not None and logical.recoverable.value == 0.5
    assert model.confusion is None and model.judge_agreement is None  # nobody judged
    assert diagnosis.left_out == () and diagnosis.differences == ()


def count(diagnosis: Diagnosis) -> list[Any]:
    return [(measure, at, one) for model in diagnosis.models for measure, at, one in list_estimates(model)]


def test_nothing_is_computed_twice(questions, tmp_path):
    whole = diagnose([make_diagnosed_model()], questions, settings=SMALL, truth=Voter("logical"))

    class Stopped(Exception):
        pass

    class Stops(ScriptedModel):
        def compare_views(self, rollout, view="blank"):
            if rollout.sample.id == "q2":
                raise Stopped
            return super().compare_views(rollout, view)

    first = Stops(
        {q.id: RIGHT if q.id in ("q0", "q1") else WRONG for q in questions}, early=make_diagnosed_model()._early
    )
    options: dict[str, Any] = {"settings": SMALL, "truth": Voter("logical"), "batch_size": 2}
    with pytest.raises(Stopped):
        diagnose([first], questions, tmp_path, **options)
    second = make_diagnosed_model()
    resumed = diagnose([second], questions, tmp_path, **options)
    alone = make_diagnosed_model()
    diagnose([alone], questions, **options)
    total = {name: first.asked.get(name, 0) + second.asked.get(name, 0) for name in alone.asked}
    assert total == alone.asked
    assert count(resumed) == count(whole)
    third = make_diagnosed_model()
    again = diagnose([third], questions, tmp_path, **options)
    assert third.asked == {} and count(again) == count(whole)


def test_protocols_can_be_added_later(questions, tmp_path):
    diagnose([make_diagnosed_model()], questions, tmp_path, settings=SMALL, protocols=["early"])
    diagnosed_model = make_diagnosed_model()
    later = diagnose([diagnosed_model], questions, tmp_path, settings=SMALL, protocols=["early", "attention"])
    assert diagnosed_model.asked == {"attention": 4} and later.models[0].attention_by_depth is not None


def test_other_settings_are_refused(questions, tmp_path):
    diagnose([make_diagnosed_model()], questions, tmp_path, settings=SMALL, protocols=["early"])
    with pytest.raises(ConfigError, match="num_depths was 2 and is 10"):
        diagnose(
            [make_diagnosed_model()], questions, tmp_path, settings=DiagnosisSettings(step=25), protocols=["early"]
        )
    weights = {"scripted": {"weights": "others"}}
    with pytest.raises(ConfigError, match="weights was None"):
        diagnose(
            [make_diagnosed_model()], questions, tmp_path, settings=SMALL, protocols=["early"], model_settings=weights
        )


def test_what_cannot_be_done_is_said_before_it_starts(questions):
    notices: list[str] = []

    class Silent(ScriptedModel):
        def write_responses(self, samples, max_completion_tokens, sampling=GREEDY):
            assert len(notices) == 5
            return super().write_responses(samples, max_completion_tokens, sampling)

    diagnosed_model = Silent(
        {q.id: RIGHT for q in questions}, abilities=frozenset({"continue", "probe"}), name="served"
    )
    bare = [make_question(q.id, claims=0) for q in questions]
    diagnosis = diagnose([diagnosed_model], bare, settings=SMALL, on_notice=notices.append)
    assert (tuple(notices) == diagnosis.left_out and len(notices) == 5) or len(notices) == 4
    text = " ".join(notices)
    for words in ("no row of the data has claims", "served: a script cannot attend", "compare_views", "no judge"):
        assert words in text
    model = diagnosis.models[0]
    assert model.perception is None and model.attention_by_step is None and model.sensitivity is None
    assert model.early is not None and model.questions[0].notes == ()


def test_responses_are_drawn_as_the_settings_say(questions):
    drawn: list[Sampling] = []

    class Listening(ScriptedModel):
        def write_responses(self, samples, max_completion_tokens, sampling=GREEDY):
            drawn.append(sampling)
            return super().write_responses(samples, max_completion_tokens, sampling)

    diagnosed_model = Listening({q.id: RIGHT for q in questions}, name="listening")
    settings = replace(SMALL, temperature=0.7, seed=3)
    diagnosis = diagnose([diagnosed_model], questions, settings=settings, protocols=["early"])
    assert set(drawn) == {Sampling(temperature=0.7, seed=3)}
    assert diagnosis.settings["temperature"] == 0.7


def test_a_row_without_claims_among_others_is_noted(questions):
    mixed = [make_question("q0", claims=0), *questions[1:]]
    model = diagnose([make_diagnosed_model()], mixed, settings=SMALL, protocols=["perception"]).models[0]
    assert model.perception is not None and model.perception["image"][0].estimate.num_questions == 3
    assert model.questions[0].probed is None and "has no claims" in model.questions[0].notes[0]


def test_replay_alone_can_be_left_out(questions):
    diagnosed_model = make_diagnosed_model(abilities=ALL - {"replay"})
    diagnosis = diagnose([diagnosed_model], questions, settings=SMALL, protocols=["remedies"])
    assert "visual replay was left out" in diagnosis.left_out[0]
    assert diagnosis.models[0].remedies is not None
    assert [effect.remedy for effect in diagnosis.models[0].remedies] == ["none", "focus"]


def test_a_model_that_can_do_nothing_is_refused(questions):
    with pytest.raises(ModelError, match="cannot be diagnosed: a script cannot continue"):
        diagnose([make_diagnosed_model(abilities=frozenset())], questions, settings=SMALL)


def test_a_question_that_does_not_fit_is_marked_and_the_others_are_done(questions):
    diagnosed_model = make_diagnosed_model()
    del diagnosed_model._responses["q1"]
    diagnosis = diagnose([diagnosed_model], questions, settings=SMALL)
    model = diagnosis.models[0]
    assert model.accuracy.num_questions == 3
    lost = model.questions[1]
    assert "longer than the context" in lost.notes[0] and lost.token_texts == () and lost.early is None
    with pytest.raises(ModelError, match=r"none of the 4 questions.*longer than the context"):
        diagnose([ScriptedModel({})], questions, settings=SMALL)


def test_a_protocol_that_is_refused_on_one_question_is_noted_there(questions):
    class Refuses(ScriptedModel):
        def attend_to_image(self, rollout):
            if rollout.sample.id == "q1":
                raise ModelError("the response is longer than the context")
            return super().attend_to_image(rollout)

    diagnosed_model = Refuses({q.id: RIGHT for q in questions})
    model = diagnose([diagnosed_model], questions, settings=SMALL, protocols=["attention"]).models[0]
    assert [question.attention is None for question in model.questions] == [False, True, False, False]
    assert model.questions[1].notes == ("Visual attention could not be done: the response is longer than the context",)


def test_a_server_that_is_gone_stops_the_work_and_nothing_is_marked(questions, tmp_path):
    class Gone(ScriptedModel):
        def score_probes(self, probes, view="image"):
            raise ServerError("the server cannot be reached")

    gone = Gone({q.id: RIGHT for q in questions})
    with pytest.raises(ServerError):
        diagnose([gone], questions, tmp_path, settings=SMALL, protocols=["perception"])
    back = ScriptedModel({q.id: RIGHT for q in questions})
    model = diagnose([back], questions, tmp_path, settings=SMALL, protocols=["perception"]).models[0]
    assert "responses" not in back.asked and all(question.probed for question in model.questions)


def test_files_hold_what_was_found(questions, tmp_path):
    asked = [*questions, make_question("unanswered", "5")]  # a wrong answer to the others
    diagnosis = diagnose(
        [make_diagnosed_model()], asked, tmp_path, protocols=PROTOCOLS, settings=SMALL, truth=Voter("logical")
    )
    plain = json.loads((tmp_path / "diagnosis.json").read_text(encoding="utf-8"))
    assert plain["models"][0]["accuracy"]["value"] == 0.5
    assert plain["models"][0]["questions"][2]["early"][2] == {"depth": 0.5, "index": 14, "answer": "8", "right": True}
    rows = list(csv.DictReader((tmp_path / "summary.csv").read_text(encoding="utf-8").splitlines()))
    assert tuple(rows[0]) == SUMMARY_COLUMNS and len(rows) == len(count(diagnosis))
    assert {row["measure"] for row in rows} >= {"accuracy", "early", "perception_blank", "remedy_focus_gain"}
    for name, columns in COLUMNS.items():
        table = pyarrow.parquet.read_table(tmp_path / "tables" / f"{name}.parquet")
        assert table.column_names == list(columns) and table.num_rows > 0
    early = pyarrow.parquet.read_table(tmp_path / "tables" / "early.parquet").to_pylist()
    assert len(early) == 4 * 5 and early[0]["model"] == "scripted" and early[0]["kept_tokens"] == 7
    assert "<!doctype html>" in (tmp_path / "report.html").read_text(encoding="utf-8").lower()


def test_tables_of_an_earlier_call_do_not_stay(questions, tmp_path):
    diagnose([make_diagnosed_model()], questions, tmp_path, settings=SMALL)
    diagnose([make_diagnosed_model()], questions, tmp_path, settings=SMALL, protocols=["early"])
    assert {path.stem for path in (tmp_path / "tables").iterdir()} == {"questions", "early", "recovery"}


def test_a_full_disk_is_named_and_finished_work_is_kept(questions, tmp_path, monkeypatch):
    real, calls = os.fsync, []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 4:  # settings, responses, early, perception; then the disk is full
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    first = make_diagnosed_model()
    with pytest.raises(OSError, match="No space left") as caught:
        diagnose([first], questions, tmp_path, settings=SMALL)
    assert str(caught.value.filename).endswith("rows.jsonl")
    monkeypatch.setattr(os, "fsync", real)
    second = make_diagnosed_model()
    diagnose([second], questions, tmp_path, settings=SMALL)
    assert "responses" not in second.asked and "probes" not in second.asked and second.asked["attention"] > 0


def test_models_are_compared_question_by_question(questions):
    better = ScriptedModel({q.id: RIGHT for q in questions}, name="better")
    diagnosis = diagnose([make_diagnosed_model(), better], questions, settings=SMALL)
    (right,) = [row for row in diagnosis.differences if row.measure == "right answers"]
    assert right.name == "better" and right.difference.value == 0.5 and right.difference.num_questions == 4
    assert {row.name for row in diagnosis.differences} == {"better"}


def test_models_that_are_taken_one_by_one_are_let_go(questions):
    import gc
    import weakref

    alive: list[weakref.ref[ScriptedModel]] = []

    def open_models():
        for name in ("a", "b"):
            gc.collect()
            assert all(reference() is None for reference in alive)
            alive.append(weakref.ref(diagnosed_model := make_diagnosed_model(name=name)))
            yield diagnosed_model
            del diagnosed_model

    assert len(diagnose(open_models(), questions, settings=SMALL).models) == 2


def test_what_cannot_be_asked_is_refused(questions, tmp_path):
    with pytest.raises(DataError, match="nothing to diagnose"):
        diagnose([make_diagnosed_model()], [])
    with pytest.raises(DataError, match="'q0' has no reference answer"):
        diagnose([make_diagnosed_model()], [make_question("q0", answer=" ")])
    with pytest.raises(ConfigError, match="two models are called 'scripted'"):
        diagnose([make_diagnosed_model(), make_diagnosed_model()], questions, settings=SMALL, protocols=["early"])
    with pytest.raises(ConfigError, match="no model"):
        diagnose([], questions)
    with pytest.raises(ConfigError, match="batch_size"):
        diagnose([make_diagnosed_model()], questions, batch_size=0)
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        diagnose([make_diagnosed_model()], questions, file)


def test_progress_ends_at_its_end(questions):
    seen: dict[str, list[tuple[int, int]]] = {}

    def on_progress(name: str):
        return lambda done, total: seen.setdefault(name, []).append((done, total))

    diagnose(
        [make_diagnosed_model()],
        questions,
        settings=SMALL,
        truth=Voter("other"),
        on_progress=on_progress,
        batch_size=3,
    )
    steps, total = seen["scripted"], 4 * (1 + len(DEFAULT_PROTOCOLS))  # questions times responses and protocols
    assert steps[0] == (0, total) and steps[-1] == (total, total)
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})


def test_names_become_folders_that_do_not_meet(questions, tmp_path: Path):
    names = ["a/b", "a:b", "../../x", "=1+1"]
    diagnosis = diagnose([make_diagnosed_model(name=name) for name in names], questions, tmp_path, settings=SMALL)
    folders = list((tmp_path / "findings").iterdir())
    assert len(folders) == 4 and all(folder.parent == tmp_path / "findings" for folder in folders)
    assert [model.name for model in diagnosis.models] == names
    assert "\n'=1+1," in (tmp_path / "summary.csv").read_text(encoding="utf-8")
