"""Local copies of the benchmarks' data, in folders named as on the hub: what stands there is loaded instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets import Dataset, Features, Image, List
from evaluation.suites.row_forms import make_rows

# name on the hub, configuration, file of each split
PLACES = {
    "mathverse": ("CaraJ/MathVerse-lmmseval", "testmini_version_split", {"vision_only": "vision_only"}),
    "mathvista": ("AI4Math/MathVista", "default", {"testmini": "testmini"}),
    "mathvision": ("MathLLMs/MathVision", "default", {"test": "test"}),
    "logicvista": ("lscpku/LogicVista", "default", {"test": "test"}),
    "wemath": ("We-Math/We-Math", "default", {"testmini": "testmini"}),
    "geometry3k": ("hiyouga/geometry3k", "default", {"validation": "validation", "test": "test"}),
    "mmmu": ("lmms-lab-encoder/MMMU", "default", {"validation": "validation"}),
    "mmstar": ("Lin-Chen/MMStar", "default", {"val": "val"}),
    "hallusionbench": ("lmms-lab-encoder/HallusionBench", "default", {"image": "image"}),
    "pope": ("lmms-lab-encoder/POPE", "default", {"test": "test"}),
    "mmvp": ("lmms-lab-eval/MMVP", "default", {"train": "train"}),
    "vstar": ("lmms-lab-encoder/vstar-bench", "default", {"test": "test"}),
    "blink": ("BLINK-Benchmark/BLINK", "Counting", {"val": "val"}),  # its files lie in folders, whatever their names
    "realworldqa": ("lmms-lab-encoder/RealWorldQA", "default", {"test": "test"}),
    "hrbench": ("DreamMr/HR-Bench", "hrbench_version_split", {"hrbench_4k": "hrbench_4k", "hrbench_8k": "hrbench_8k"}),
    "mmvet": ("lmms-lab-encoder/MMVet", "default", {"test": "test"}),
}


def write_copies(folder: Path, rows: dict[str, list[dict[str, Any]]] | None = None) -> None:
    """Write every benchmark's rows below a folder; where there are two splits, one row goes to the first."""
    rows = dict(rows or make_rows())
    rows.pop("mmstar_perception", None)  # of MMStar's rows
    if "hrbench_4k" in rows:
        rows["hrbench"] = [*rows.pop("hrbench_4k"), *rows.pop("hrbench_8k")]
    for name, own in rows.items():
        place, config, splits = PLACES[name]
        (folder / place / "data").mkdir(parents=True)
        card = ["---", "configs:", f"- config_name: {config}", "  data_files:"]
        parts = [own[:1], own[1:]] if len(splits) == 2 else [own]
        for split, part in zip(splits, parts, strict=True):
            file = f"data/{split}-00000-of-00001.parquet"
            _to_dataset(part).to_parquet(str(folder / place / file))
            card += [f"  - split: {split}", f"    path: {file}"]
        (folder / place / "README.md").write_text("\n".join([*card, "---", ""]))


def _to_dataset(rows: list[dict[str, Any]]) -> Dataset:
    plain = {column: [row[column] for row in rows] for column in rows[0]}
    shown = {column: feature for column, values in plain.items() if (feature := _image_feature(column, values))}
    texts = Dataset.from_dict({column: values for column, values in plain.items() if column not in shown})
    return Dataset.from_dict(plain, features=Features({**texts.features, **shown}))


def _image_feature(column: str, values: list[Any]) -> Image | List | None:
    """Return what the hub's data cards declare of a column of images; in some of them every row has none."""
    if column == "images":
        return List(Image())
    holds = column in ("image", "decoded_image", "image_path") or column.removeprefix("image_").isdigit()
    return Image() if holds and not any(isinstance(value, str) for value in values) else None
