"""A benchmark's rows as the harness loads them: checked for images, and marked with the benchmark they are of.

Each name below is what a task's file gives as `process_docs`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pyarrow
import pyarrow.compute

from vapo.evaluation.suites import suite
from vapo.evaluation.suites.benchmark import ROW, Benchmark, list_images

MARK = "vapo_benchmark"

_compute: Any = pyarrow.compute  # makes its functions when it is imported, where no type checker sees them


def mark_rows(name: str, data: Any) -> Any:
    """Take a benchmark's rows, number them, and add its name, by which its task's functions know how to read them.

    Args:
        name: of the benchmark.
        data: the split, as `datasets` holds it; its images are not opened.

    Raises:
        DataError: a row has no image, or is of another form.
    """
    benchmark = suite.find_benchmark(name)
    if benchmark.takes is not None:
        data = data.select([number for number, row in enumerate(_take_texts(data)) if benchmark.takes(row)])
    data = data.add_column(ROW, list(range(len(data))))
    _check_images(benchmark, data)
    return data.add_column(MARK, [name] * len(data))


def find_benchmark(row: dict[str, Any]) -> Benchmark:
    """Return the benchmark of a marked row."""
    return suite.find_benchmark(row[MARK])


def _check_images(benchmark: Benchmark, data: Any) -> None:
    columns = [name for name in data.column_names if _holds_images(data.features[name])]
    missing = {name: set(_list_empty(data, name)) for name in columns}
    for number, row in enumerate(_take_texts(data)):
        question = benchmark.question(row)
        for column in question.images:
            absent = number in missing[column] if column in missing else not list_images(row.get(column))
            if absent:
                raise benchmark.missing_image(question.id)


def _take_texts(data: Any) -> Any:
    """Return the columns in which no images stand."""
    return data.select_columns([name for name in data.column_names if not _holds_images(data.features[name])])


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
pope = partial(mark_rows, "pope")
mmvp = partial(mark_rows, "mmvp")
vstar = partial(mark_rows, "vstar")
blink = partial(mark_rows, "blink")
realworldqa = partial(mark_rows, "realworldqa")
hrbench_4k = partial(mark_rows, "hrbench_4k")
hrbench_8k = partial(mark_rows, "hrbench_8k")
mmstar_perception = partial(mark_rows, "mmstar_perception")
