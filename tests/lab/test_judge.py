from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from vapo.errors import DataError
from vapo.lab.dataset import write_dataset
from vapo.lab.judge import LabJudge, find_truth, judge_chain, read_grids
from vapo.lab.questions import KINDS, ask
from vapo.lab.world import GRIDS, Grid, draw_scene
from vapo.types import Sample

GRID = Grid(((1, 2), (3, 4)))  # AU=1, BU=2, AV=3, BV=4


@pytest.mark.parametrize(
    ("chain", "cause"),
    [
        ("<think>I look at row U: AU=1, BU=2. Then 1+2=4.</think>\\boxed{4}", "logical"),
        ("<think>I look at row V: AV=3, BV=4. Then 3+4=7.</think>\\boxed{7}", "logical"),  # another row, read rightly
        ("<think>I look at row U: AU=1, BU=3. Then 1+3=4.</think>\\boxed{4}", "perception"),
        ("<think>I look at row U: AU=1, CU=2. Then 1+2=3.</think>\\boxed{3}", "perception"),  # there is no CU
        ("<think>AU=11.</think>\\boxed{3}", "perception"),
        ("<think>This looks easy. I say 3.</think>\\boxed{3}", "other"),
        ("<think>Then 1+2=4.</think>\\boxed{4}", "other"),
        ("", "other"),
    ],
)
def test_causes_are_exact(chain: str, cause: str):
    assert judge_chain(chain, GRID) == cause


def test_careful_chains_read_truly_and_hasty_ones_read_nothing():
    rng = np.random.default_rng(0)
    for number in range(100):
        grid = draw_scene(rng, *GRIDS[number % len(GRIDS)], "heldout").grid
        question = ask(rng, grid, KINDS[number % len(KINDS)])
        assert judge_chain(question.careful(), grid) == "logical"
        assert judge_chain(question.hasty(rng), grid) == "other"


def test_truth_is_read_from_the_data(tmp_path):
    path = write_dataset(tmp_path / "heldout.parquet", "heldout", seed=1, rows=4)
    grids = read_grids(path)
    assert len(grids) == 4 and read_grids(path, limit=2).keys() == set(list(grids)[:2])
    for source in (tmp_path, path):
        judge = find_truth(str(source), "heldout")
        assert judge is not None
        name, grid = next(iter(grids.items()))
        sample = Sample(name, (Image.new("RGB", (4, 4)),), "?", "1")
        reading = f"{grid.names[0]}={grid.digits[0][0]}"
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
