from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from studies.cold_start.responses import write_response
from vapo.errors import DataError
from vapo.lab.dataset import write_dataset
from vapo.lab.judge import LabJudge, find_truth, judge_response, read_grids
from vapo.lab.questions import KINDS, ask
from vapo.lab.world import GRIDS, Grid, draw_scene
from vapo.types import Sample

GRID = Grid(((1, 2), (3, 4)))  # AU=1, BU=2, AV=3, BV=4


@pytest.mark.parametrize(
    ("response", "cause"),
    [
        ("<think>I note AU1, BU2. Row U: AU1, BU2 makes 4. So 4.</think>\\boxed{4}", "logical"),
        ("<think>I note AU1, BU2, AV3, BV4. I say 7.</think>\\boxed{7}", "logical"),  # a guess behind true notes
        ("<think>I note AU1, BU3. Row U: AU1, BU3 makes 4.</think>\\boxed{4}", "perception"),
        ("<think>I note AU1, CU2. Row U: AU1, CU2 makes 3.</think>\\boxed{3}", "perception"),  # there is no CU
        ("<think>AU=1, BU=3.</think>\\boxed{3}", "perception"),  # another hand
        ("<think>AU11.</think>\\boxed{3}", "perception"),
        ("<think>Well looks right. I say 3.</think>\\boxed{3}", "other"),
        ("<think>1, 2 makes 4.</think>\\boxed{4}", "other"),
        ("", "other"),
    ],
)
def test_causes_are_exact(response: str, cause: str):
    assert judge_response(response, GRID) == cause


def test_the_labs_own_responses_read_truly():
    rng = np.random.default_rng(0)
    for number in range(100):
        grid = draw_scene(rng, *GRIDS[number % len(GRIDS)], "heldout").grid
        question = ask(rng, grid, KINDS[number % len(KINDS)])
        response = write_response(rng, grid, question, guess=bool(number % 2), looks=number % 4)
        assert judge_response(response, grid) == "logical"
        assert judge_response(response.replace(grid.names[0], "FZ"), grid) == "perception"


def test_truth_is_read_from_the_data(tmp_path):
    path = write_dataset(tmp_path / "heldout.parquet", "heldout", seed=1, rows=4)
    grids = read_grids(path)
    assert len(grids) == 4 and read_grids(path, limit=2).keys() == set(list(grids)[:2])
    for source in (tmp_path, path):
        judge = find_truth(str(source), "heldout")
        assert judge is not None
        name, grid = next(iter(grids.items()))
        sample = Sample(name, (Image.new("RGB", (4, 4)),), "?", "1")
        reading = f"{grid.names[0]}{grid.digits[0][0]}"
        assert judge.judge(sample, f"{reading}.", 2) == ("logical", "logical")
        assert judge.judge(Sample("unknown", (), "?", "1"), reading, 1) == (None,)


def test_other_data_has_no_known_truth(tmp_path):
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "train.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"id": ["a"], "answer": ["1"]}), path)
    assert find_truth(str(tmp_path), "train") is None and find_truth("some/hub-name", "train") is None
    with pytest.raises(DataError, match="lacks columns"):
        read_grids(path)
    assert LabJudge({}).name
