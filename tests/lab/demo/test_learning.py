from __future__ import annotations

import json

import pandas as pd
import pytest

from vapo.errors import DataError
from vapo.lab.demo.learning import NUM_POINTS, Group, draw_learning, read_steps


def write_table(run, step: int, rows: list[tuple[float, int, list[tuple[float, bool]]]]) -> None:
    """Each row: accuracy, length, and (depth, correct) of its verdicts."""
    folder = run / "completions"
    folder.mkdir(parents=True, exist_ok=True)
    cells = [json.dumps([{"depth": depth, "correct": correct} for depth, correct in row[2]]) for row in rows]
    table = {"accuracy_reward": [row[0] for row in rows], "num_tokens": [row[1] for row in rows], "anchors": cells}
    pd.DataFrame(table).to_parquet(folder / f"completions_{step:05d}.parquet")


def test_completions_of_a_question_are_averaged(tmp_path):
    """Two groups of two. The first: answers 1 and 0; lengths 10 and 20; verdicts right, wrong, right, of which those
    behind 0.75 are wrong and right; so 2/3 along the response and 1/2 late. The second has no verdict at all."""
    write_table(
        tmp_path,
        1,
        [
            (1.0, 10, [(0.5, True), (0.76, False)]),
            (0.0, 20, [(1.0, True)]),
            (1.0, 4, []),
            (1.0, 6, []),
        ],
    )
    write_table(tmp_path, 2, [(0.0, 8, [(0.75, True)])] * 4)
    first, second = read_steps(tmp_path, group_size=2)
    assert first == [Group(0.5, pytest.approx(2 / 3), 0.5, 15.0), Group(1.0, None, None, 5.0)]
    assert second == [Group(0.0, 1.0, None, 8.0)] * 2  # 0.75 is the end of the third quarter


def test_steps_come_in_their_order(tmp_path):
    for step in (10, 9, 2):
        write_table(tmp_path, step, [(0.0, step, [])])
    assert [groups[0].num_tokens for groups in read_steps(tmp_path, 1)] == [2, 9, 10]


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no tables of completions; delete the folder"):
        read_steps(tmp_path, 1)
    (tmp_path / "completions").mkdir()
    file = tmp_path / "completions" / "completions_00001.parquet"
    file.write_text("cut off")
    with pytest.raises(DataError, match=r"completions_00001\.parquet is no table of completions"):
        read_steps(tmp_path, 1)
    pd.DataFrame({"accuracy_reward": [1.0]}).to_parquet(file)
    with pytest.raises(DataError, match=r"completions_00001\.parquet is no table of completions"):
        read_steps(tmp_path, 1)


def make_steps(count: int, right: float = 0.5) -> list[list[Group]]:
    return [[Group(right, 0.9, None, 10.0 + step), Group(1.0, 0.7, None, 12.0 + step)] for step in range(count)]


def test_each_point_is_of_some_steps_next_to_each_other():
    """24 steps in 12 windows: the first is steps 1 and 2, whose middle is 1.5; its four lengths 10, 12, 11, 13 have
    the mean 11.5; its answers 0.5, 1, 0.5, 1 the mean 0.75."""
    curves = {curve.key: curve for curve in draw_learning({1: make_steps(24)}, temperature=0.6, seed=0)}
    assert {key: len(curve.lines[0].points) for key, curve in curves.items() if curve.lines} == {
        "right": NUM_POINTS,
        "seen": NUM_POINTS,
        "num_tokens": NUM_POINTS,
    }
    length, right = (curves[key].lines[0].points[0] for key in ("num_tokens", "right"))
    assert (length.at, length.estimate.value, length.estimate.num_questions) == (1.5, 11.5, 4)
    assert right.estimate.value == 0.75 and right.estimate.high == 1.0
    # Student, of 0.5, 1, 0.5, 1: 0.75 - 3.182446 * 0.288675 / 2.
    assert right.estimate.low == pytest.approx(0.290653, abs=1e-6)
    assert curves["num_tokens"].lines[0].points[-1].at == 23.5
    assert "2 steps" in curves["right"].meaning and "temperature 0.6" in curves["right"].meaning
    assert curves["seen_late"].lines == () and "too few logical boundaries" in curves["seen_late"].absent
    assert curves["right"].absent == "" and curves["seen"].reference == (0.5, "guessing")


def test_a_line_per_run():
    right = draw_learning({1: make_steps(1), 2: make_steps(1, right=0.0)}, temperature=1.0, seed=0)[0]
    assert [(line.model, line.points[0].estimate.value) for line in right.lines] == [(1, 0.75), (2, 0.5)]
    assert "one step" in right.meaning and not right.x_is_share and right.x_word == "step"
