from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from diagnosis.made_diagnosis import make_diagnosis, make_images
from diagnosis.scripted_model import RIGHT, SMALL, ScriptedModel, make_question
from PIL import Image

from vapo.diagnosis.diagnose import diagnose
from vapo.diagnosis.image_looks import MOST_CELLS, Look, coarsen, read_map
from vapo.diagnosis.map_figures import MOST_QUESTIONS, overlay_map, write_maps
from vapo.errors import ModelError

HALVES = replace(SMALL, num_cuts=2)


class Looking(ScriptedModel):
    """Attends to the cell at row 1, column 2 of 4 x 5, and is a nat worse off without it; 0.1 for any other."""

    def map_attention(self, rollout):
        maps = np.full((3, len(rollout.completion_ids), 4, 5), 0.01, dtype=np.float32)
        maps[:, :, 1, 2] = 0.4
        maps[2, :, 1, 2] = 0.5
        return maps

    def score_rest(self, rollout, start, cells=None):
        self._count("scores", 1)
        if cells is None:
            return -1.0
        assert cells.sum() == 2  # a tenth of 20
        return -1.0 - np.where(np.arange(20).reshape(4, 5) == 7, 1.0, 0.1)[cells].sum()


class Blind(Looking):
    def map_attention(self, rollout):
        return 0 * super().map_attention(rollout)

    def score_rest(self, rollout, start, cells=None):
        return -1.0


class Unlocated(Looking):
    def map_attention(self, rollout):
        raise ModelError("sample 'q0' has 2 images; maps are made of one")


def look(model_type, count=3):
    responses = {f"q{number}": RIGHT for number in range(count)}
    samples = [make_question(name) for name in responses]
    return diagnose([model_type(responses)], samples, protocols=["looks"], settings=HALVES).models[0]


def test_maps_and_losses_by_hand():
    model = look(Looking)
    rows = model.questions[0].rows["looks"]
    maps = [row for row in rows if row.what == "early"]
    assert len(maps) > 2 and all(row.value == pytest.approx(0.4 + 19 * 0.01) for row in maps)
    assert [row.value for row in rows if row.what == "late"] == pytest.approx([0.69] * len(maps))
    assert [(a.stop, b.index) for a, b in pairwise(maps)] == [(a.stop,) * 2 for a in maps[:-1]]
    cells = read_map(maps[0])
    assert cells.argmax() == 7 and cells.sum() == pytest.approx(maps[0].value)
    attended, random, used = (model.numbers[f"looks_{name}"] for name in ("attended", "random", "used"))
    assert [point.estimate.value for point in attended] == pytest.approx([1.1] * 3)
    for one, other, difference in zip(attended, random, used, strict=True):
        assert difference.estimate.value == pytest.approx(one.estimate.value - other.estimate.value)


def test_a_model_that_attends_to_nothing_is_painted_too():
    model = look(Blind)
    assert [point.estimate.value for point in model.numbers["looks_used"]] == [0, 0, 0]
    assert all(set(row.cells) == {"0"} for row in model.questions[0].rows["looks"] if row.what == "late")


def test_what_cannot_be_mapped_is_said_on_its_question():
    model = look(Unlocated)
    assert model.numbers == {}
    assert all("has 2 images" in " ".join(question.notes) and not question.rows for question in model.questions)


def test_fine_maps_are_kept_coarser_with_their_sum():
    cells = np.random.default_rng(0).random((40, 7))
    small = coarsen(cells)
    assert small.shape == (MOST_CELLS, 7) and small.sum() == pytest.approx(cells.sum())


def test_a_map_lies_over_its_part_of_the_image():
    overlaid = np.array(overlay_map(Image.new("RGB", (40, 20), "white"), Look("late", 0, 1, 0, 0.5, 2, 4, "00f00000")))
    changed = (overlaid != 255).any(-1)
    assert changed[:10, 20:30].all() and changed.sum() == 100


def test_figures_are_written_for_the_first_questions(tmp_path):
    files = write_maps(make_diagnosis(num_questions=2), make_images(2), tmp_path)
    assert [file.name for file in files] == ["looks_1_1.png", "looks_2_1.png"]  # the last question has no image
    with Image.open(files[0]) as figure:
        assert figure.width > 300
    assert MOST_QUESTIONS >= 2
