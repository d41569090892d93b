"""A benchmark's rows as the harness loads them: checked for images, and marked with the benchmark they are of.

Each name below is what a task's file gives as `process_docs`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pyarrow
import pyarrow.compute

from vapo.evaluation.suites.benchmark import Benchmark
from vapo.evaluation.suites.suite import PAPER

MARK = "vapo_benchmark"

_compute: Any = pyarrow.compute  # makes its functions when it is imported, where no type checker sees them


def mark_rows(name: str, data: Any) -> Any:
    """Add to each row the name of its benchmark, by which all other functions of its task know how to read it.

    Args:
        name: of the benchmark.
        data: the split, as `datasets` holds it; its images are not opened.

    Raises:
        DataError: a row has no image, or is of another form.
    """
    _check_images(PAPER.find(name), data)
    return data.add_column(MARK, [name] * len(data))


def find_benchmark(row: dict[str, Any]) -> Benchmark:
    """Return the benchmark of a marked row."""
    return PAPER.find(row[MARK])


def _check_images(benchmark: Benchmark, data: Any) -> None:
    columns = [name for name in data.column_names if _holds_images(data.features[name])]
    texts = data.select_columns([name for name in data.column_names if name not in columns])
    missing = {name: set(_list_empty(data, name)) for name in columns}
    for number, row in enumerate(texts):
        question = benchmark.question(row)
        for column in question.images:
            if column not in missing or number in missing[column]:
                raise benchmark.missing_image(question.id)


def _holds_images(feature: Any) -> bool:
    inner = getattr(feature, "feature", feature)
    return type(inner).__name__ == "Image"


def _list_empty(data: Any, column: str) -> list[int]:
    """Return the rows in which a column has no image, without opening one."""
    values = data.select_columns([column]).with_format("arrow")[:][column]
    empty = _compute.is_null(values)
    if pyarrow.types.is_list(values.type) or pyarrow.types.is_large_list(values.type):
        empty = _compute.or_kleene(empty, _compute.equal(_compute.fill_null(_compute.list_value_length(values), 0), 0))
    return [number for number, is_empty in enumerate(empty.to_pylist()) if is_empty]


mathverse = partial(mark_rows, "mathverse")
mathvista = partial(mark_rows, "mathvista")
mathvision = partial(mark_rows, "mathvision")
logicvista = partial(mark_rows, "logicvista")
wemath = partial(mark_rows, "wemath")
geometry3k = partial(mark_rows, "geometry3k")
mmmu = partial(mark_rows, "mmmu")
mmstar = partial(mark_rows, "mmstar")
hallusionbench = partial(mark_rows, "hallusionbench")
mmvet = partial(mark_rows, "mmvet")
