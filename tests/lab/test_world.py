import io

import numpy as np
import pytest
from sklearn.datasets import load_digits

from vapo.lab.cell_names import MAX_LINES, cell_name, column_mark, mark_bitmap, row_mark
from vapo.lab.world import CELL, draw_scene, load_handwriting, paint, photograph


def test_no_image_of_a_digit_is_in_both_splits():
    train, heldout = set(load_handwriting("train").source), set(load_handwriting("heldout").source)
    assert not train & heldout
    assert len(train | heldout) == 1797


def test_practice_is_made_of_training_images_only():
    assert set(load_handwriting("practice").source) == set(load_handwriting("train").source)


def test_every_digit_has_its_share_in_each_split_and_is_filed_under_its_label():
    target = load_digits().target
    for split, share in (("train", 0.8), ("heldout", 0.2)):
        handwriting = load_handwriting(split)
        for digit in range(10):
            members = handwriting.source[handwriting.of_digit[digit]]
            assert set(target[members]) == {digit}
            assert len(members) == pytest.approx(share * (target == digit).sum(), abs=1)


def test_a_scene_shows_the_digits_of_its_grid_in_reading_order():
    target = load_digits().target
    for seed in range(20):
        scene = draw_scene(np.random.default_rng(seed), 3, 2, "heldout")
        shown = [int(target[load_handwriting("heldout").source[image]]) for image in scene.images]
        assert shown == scene.grid.flat()
        assert len(set(shown)) > 1


def test_the_same_seed_paints_the_same_bytes():
    def draw() -> bytes:
        image = io.BytesIO()
        photograph(draw_scene(np.random.default_rng(3), 3, 3, "train"), 64).save(image, format="PNG")
        return image.getvalue()

    assert draw() == draw()


def test_cells_lie_where_their_names_say():
    scene = draw_scene(np.random.default_rng(0), 2, 3, "train")
    page = paint(scene, 64)
    assert page.shape == (64, 64, 3)
    blank = page[CELL * 3 :]
    assert (blank == blank[0, 0]).all(), "below the last row the paper is blank"
    for row, column in scene.grid.cells:
        cell = page[CELL * (row + 1) :, CELL * (column + 1) :][1:CELL, 1:CELL]
        assert cell.min() < 120, "each cell holds ink"
    for column in range(3):
        mark = page[5:12, CELL * (column + 1) + 6 : CELL * (column + 1) + 11]
        assert ((mark == (30, 70, 190)).all(-1) == mark_bitmap(column_mark(column))).all()


def test_marks_and_names_are_all_different():
    marks = [column_mark(index) for index in range(MAX_LINES)] + [row_mark(index) for index in range(MAX_LINES)]
    assert len(set(marks)) == 2 * MAX_LINES
    assert len({mark_bitmap(mark).tobytes() for mark in marks}) == 2 * MAX_LINES
    assert cell_name(1, 2) == "CV"


@pytest.mark.parametrize(("rows", "columns"), [(1, 2), (2, 7)])
def test_a_grid_outside_the_marks_is_refused(rows, columns):
    with pytest.raises(ValueError, match="outside"):
        draw_scene(np.random.default_rng(0), rows, columns, "train")


def test_a_grid_that_does_not_fit_the_canvas_is_refused():
    scene = draw_scene(np.random.default_rng(0), 4, 4, "train")
    with pytest.raises(ValueError, match="does not fit"):
        paint(scene, 64)
    assert paint(scene, 80).shape == (80, 80, 3)
