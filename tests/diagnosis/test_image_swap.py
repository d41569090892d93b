from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow.parquet
import pytest
from diagnosis.scripted_model import RIGHT, SMALL, WRONG, ScriptedModel, make_question
from PIL import Image
from prober_contract import make_sample
from tiny_models import build_tiny

from vapo.data.image_views import GREY, leave_out_images, mask_images
from vapo.diagnosis.diagnose import diagnose
from vapo.diagnosis.image_swap import answer_at
from vapo.diagnosis.other_images import OtherImages
from vapo.diagnosis.transformers.transformers_model import TransformersModel
from vapo.errors import ConfigError, ModelError
from vapo.models.diagnosed_model import Cut
from vapo.models.policy.checkpoint import Policy

HALVES = replace(SMALL, num_cuts=2, replacements=("none", "blank", "other", "edited"))
"""Cuts at 0, 1/2 and 1 of the thinking part: behind 7, 14 and 22 of "<think>ab, cd. ef! gh?</think>", or near them."""


def look_until_halfway(cut: Cut) -> str:
    """Read the image before half of the response is written: without it, or with another one, the answer is 9."""
    sees = cut.rollout.sample.images == make_question(cut.rollout.sample.id).images
    return "</think>\\boxed{8}" if sees or cut.index >= 14 else "</think>\\boxed{9}"


def swap(responses: dict[str, str], early: Any = look_until_halfway, settings: Any = HALVES, **options: Any) -> Any:
    samples = [make_question(name) for name in responses]
    diagnosed_model = ScriptedModel(responses, early=early)
    found = diagnose([diagnosed_model], samples, protocols=["swap"], settings=settings, **options)
    return found.models[0], diagnosed_model


def test_accuracy_and_changed_answers_by_hand():
    # Three right responses and a wrong one, whose answer is 9 all the same when its image is gone.
    model, _ = swap({"q0": RIGHT, "q1": RIGHT, "q2": RIGHT, "q3": WRONG})
    numbers = {name: [(point.at, point.estimate.value) for point in points] for name, points in model.numbers.items()}
    assert numbers["swap_accuracy_image"] == [(0, 0.75), (0.5, 0.75), (1, 0.75)]
    for name in ("none", "blank", "other"):
        # Before half: 9 everywhere, so none is right and three of four change. From half on: 8 everywhere.
        assert numbers[f"swap_accuracy_{name}"] == [(0, 0), (0.5, 1), (1, 1)]
        assert numbers[f"swap_change_{name}"] == [(0, -0.75), (0.5, 0.25), (1, 0.25)]
        assert numbers[f"swap_answers_changed_{name}"] == [(0, 0.75), (0.5, 0.25), (1, 0.25)]
    assert "swap_accuracy_edited" not in numbers  # there are no edited images


def test_what_is_shown_behind_the_cut():
    _, diagnosed_model = swap({"q0": RIGHT, "q1": RIGHT})
    own = [cut for cut in diagnosed_model.cuts if cut.rollout.sample.id == "q0" and cut.index == 7]
    none, blank, other = (cut.rollout.sample.images for cut in own)
    assert none == () and blank[0].getpixel((0, 0)) == GREY and other == make_question("q1").images
    assert all(cut.suffix == "" for cut in own)


def test_an_edited_image_is_put_in_its_place():
    # Graded by its own answer: the model answers 9 before half, which is right there, and then 8.
    edited = [replace(make_question("q0"), images=(Image.new("RGB", (8, 6), "red"),), answer="9")]
    model, diagnosed_model = swap({"q0": RIGHT, "q1": RIGHT}, edited=edited)
    shown = [cut.rollout.sample.images for cut in diagnosed_model.cuts if cut.rollout.sample.id == "q0"]
    assert edited[0].images in shown
    assert [point.estimate.value for point in model.numbers["swap_accuracy_edited"]] == [1, 0, 0]
    found = model.numbers["swap_answers_changed_edited"]
    assert [(point.estimate.value, point.estimate.num_questions) for point in found] == [(1, 1), (0, 1), (0, 1)]


def test_a_greedy_response_is_not_written_again_and_a_drawn_one_is():
    _, greedy = swap({"q0": RIGHT, "q1": RIGHT})
    assert greedy.asked["cuts"] == 2 * 3 * 3  # questions, depths, replacements that there are
    model, drawn = swap({"q0": RIGHT, "q1": RIGHT}, settings=replace(HALVES, temperature=1.0))
    assert drawn.asked["cuts"] == 2 * 3 * 4
    assert not answer_at(model.questions[0], "image", 0.0).changed


def test_answers_are_the_same_as_grading_compares_them():
    model, _ = swap({"q0": RIGHT, "q1": RIGHT}, early=lambda cut: "</think>\\boxed{8.0}")
    assert not any(row.changed for question in model.questions for row in question.rows["swap"])
    model, _ = swap({"q0": RIGHT, "q1": RIGHT}, early=lambda cut: "</think>no idea")
    assert all(row.changed is (row.replacement != "image") for q in model.questions for row in q.rows["swap"])


def test_a_response_that_was_cut_off_is_not_taken_further():
    model, diagnosed_model = swap(
        {"q0": RIGHT, "q1": RIGHT + "x" * 90}, settings=replace(HALVES, max_completion_tokens=64)
    )
    assert [len(question.rows["swap"]) for question in model.questions] == [12, 0]
    assert {cut.rollout.sample.id for cut in diagnosed_model.cuts} == {"q0"}


def test_no_other_image_is_taken_from_a_question_about_the_same_one():
    one, same, two = make_question("q0"), replace(make_question("q0"), id="q9"), make_question("q1")
    assert OtherImages([one, same]).swap(one) is None
    assert OtherImages([one, same, two]).swap(same).images == two.images
    assert OtherImages([one, same, two]).swap(two).images == one.images  # round the end
    pair = replace(two, images=two.images * 2)
    assert OtherImages([one, pair]).swap(one) is None
    assert OtherImages([one], [pair]).edit(one) is None


def test_finished_rows_are_read_again_and_written_as_a_table(tmp_path):
    responses = {"q0": RIGHT, "q1": WRONG}
    first, _ = swap(responses, out=tmp_path)
    again, asked = swap(responses, out=tmp_path)
    assert again == first and asked.asked == {}
    table = pyarrow.parquet.read_table(tmp_path / "tables" / "swap.parquet").to_pylist()
    assert len(table) == 2 * 12
    assert table[0] == {
        "model": "scripted", "sample_id": "q0", "depth": 0.0, "kept_tokens": 7, "replacement": "image", "answer": "8",
        "right": True, "changed": False,
    }  # fmt: skip
    assert "swap_change_none,0.5," in (tmp_path / "summary.csv").read_text()
    page = (tmp_path / "report.html").read_text()
    assert "Right answers, image replaced" in page


def test_the_conclusion_says_what_taking_the_image_away_does():
    model, _ = swap({f"q{number}": RIGHT for number in range(12)})
    assert (
        "With no image from the beginning of the response on, 100.0 % of the answers change, accuracy by -100.0 "
        "points; from 50 % of it on, 0.0 % of the answers change, accuracy by +0.0 points." in model.conclusion
    )


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="num_cuts is 0"):
        replace(HALVES, num_cuts=0)
    for names in ((), ("grey",), ("image",)):
        with pytest.raises(ConfigError, match="replacements are"):
            replace(HALVES, replacements=names)


@pytest.fixture(scope="module")
def diagnosed_model():
    model, processor = build_tiny("llava")
    for parameter in model.parameters():
        parameter.data *= 1.5  # what it writes then depends on what it has read
    return TransformersModel(Policy(model, processor, name="tiny"))


@pytest.fixture(scope="module")
def sample():
    return make_sample("first")


@pytest.mark.parametrize("how", ["none", "noise", "other"])
def test_a_swap_from_the_beginning_is_the_other_question(diagnosed_model, sample, how):
    shown = {
        "none": leave_out_images(sample),
        "noise": mask_images(sample, "noise"),
        "other": replace(sample, images=make_sample("second", (42, 56)).images),
    }[how]
    (response,), (alone,) = (diagnosed_model.write_responses([one], 10) for one in (sample, shown))
    (behind,) = diagnosed_model.rewrite_prompts([(response, shown)])
    assert behind.prompt_ids == alone.prompt_ids and behind.completion_ids == response.completion_ids
    assert diagnosed_model.continue_cuts([Cut(behind, 0)], 10) == [alone.text]
    # Whether the model's memory is cut or it starts over, both kinds of prompts are written on in one call.
    behind_one, plain = diagnosed_model.continue_cuts([Cut(behind, 0), Cut(response, 0)], 10)
    assert (behind_one, plain) == (alone.text, response.text)


def test_a_prompt_of_another_question_is_refused(diagnosed_model, sample):
    (response,) = diagnosed_model.write_responses([sample], 4)
    odd = replace(response, prompt_ids=response.prompt_ids[1:])
    with pytest.raises(ModelError, match="cannot be written with other images"):
        diagnosed_model.rewrite_prompts([(odd, sample)])
