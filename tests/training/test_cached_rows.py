"""How often rows are read, and that they are the rows that were there before."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from datasets import Dataset, DatasetDict
from torch.utils.data import DataLoader
from training.training_world import CLAIMS, make_images, make_rows
from trl.trainer.utils import RepeatSampler

from vapo import load_samples, make_training_rows
from vapo.training.cached_rows import CachedRows, cache_rows


@pytest.fixture
def opens(monkeypatch) -> list[None]:
    """Grows by one with every image that is opened."""
    seen: list[None] = []
    open_image = PIL.Image.open
    monkeypatch.setattr(PIL.Image, "open", lambda *args, **options: seen.append(None) or open_image(*args, **options))
    return seen


def our_rows(folder: Path, count: int = 6) -> Dataset:
    rows = []
    for number, image in enumerate(make_images(count)):
        image.save(folder / f"{number}.png")
        rows.append({"problem": f"q {number}", "answer": "1", "images": [f"{number}.png"], "claims": CLAIMS})
    (folder / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return make_training_rows(load_samples(folder / "rows.jsonl"))


def users_rows(folder: Path) -> Dataset:
    return cache_rows(make_rows())


def load(rows: Dataset, **options: Any) -> DataLoader:
    """Load rows as TRL does: 2 prompts with 8 completions each, in 8 micro-steps."""
    sampler = RepeatSampler(rows, mini_repeat_count=8, batch_size=2, repeat_count=8, seed=3)
    return DataLoader(rows, batch_size=16, sampler=sampler, collate_fn=list, **options)


def plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "images": [(image.size, image.tobytes()) for image in row["images"]]} for row in rows]


@pytest.mark.parametrize("make", [our_rows, users_rows])
def test_an_image_is_opened_once_for_all_micro_steps_of_a_rollout(make, tmp_path, opens):
    rows = make(tmp_path)
    opens.clear()
    rows[0]
    opens_of_a_row = len(opens)  # `datasets` opens the first image of a list twice
    opens.clear()
    batches = list(load(rows))
    assert len(batches) == 24 and len(opens) == 6 * opens_of_a_row  # 3 rollouts, 2 prompts each
    assert [row["prompt"] for row in batches[0]] == [row["prompt"] for row in batches[7]]
    assert plain(batches[0]) == plain(batches[7]) == plain([rows[i] for i in list(load(rows).sampler)[:16]])


def test_without_keeping_there_are_as_many_opens_as_rows(opens):
    rows = make_rows().map(lambda row: {"image": row["images"][0]}, remove_columns="images")
    opens.clear()
    list(load(rows))
    assert len(opens) == 384


@pytest.mark.parametrize("make", [our_rows, users_rows])
def test_what_is_done_to_a_row_changes_no_other(make, tmp_path):
    """Reward functions are given the images, and may draw on them."""
    rows = make(tmp_path)
    batches = iter(load(rows))
    first = next(batches)
    before = copy.deepcopy(plain(first))
    for row in first:
        assert row["images"][0].getpixel((0, 0)) != (1, 2, 3)
        row["images"][0].putpixel((0, 0), (1, 2, 3))
        row["claims"].clear()
        row["prompt"][0]["content"] = "drawn on"
    assert plain(next(batches)) == before


def test_only_the_last_batch_is_kept(tmp_path, opens):
    rows = our_rows(tmp_path)
    opens.clear()
    rows.__getitems__([0, 0, 1])
    rows.__getitems__([1, 2, 2])
    assert len(opens) == 3
    rows.__getitems__([0, 2])
    assert len(opens) == 4
    assert set(rows._kept) == {0, 2}


def test_rows_are_still_ours_after_a_split(tmp_path, opens):
    parts = cache_rows(our_rows(tmp_path).train_test_split(test_size=2, seed=1))
    assert isinstance(parts, DatasetDict)
    opens.clear()
    for part in parts.values():
        assert isinstance(part, CachedRows)
        part.__getitems__([0, 0, 1, 1])
        part.__getitems__([0, 0, 1, 1])
    assert len(opens) == 4


def test_rows_of_a_transform_of_the_users_own_are_made_each_time():
    """Its augmentations are drawn for every completion, as under TRL's own trainer."""
    calls = iter(range(100))
    rows = Dataset.from_dict({"n": [0, 1]})
    changing = rows.with_transform(lambda batch: {"made": [next(calls) for _ in batch["n"]]})
    assert [row["made"] for row in cache_rows(changing).__getitems__([0, 0, 1, 0])] == [0, 1, 2, 3]
    later = cache_rows(rows)
    later.__getitems__([0, 1])
    later.set_transform(lambda batch: {"made": [next(calls) for _ in batch["n"]]})
    assert [row["made"] for row in later.__getitems__([0, 0])] == [4, 5]


def test_a_stream_is_left_as_it_is():
    stream = make_rows().to_iterable_dataset()
    assert cache_rows(stream) is stream and cache_rows(None) is None
    assert cache_rows(cached := cache_rows(make_rows())) is cached


@pytest.mark.parametrize("again", [lambda rows: pickle.loads(pickle.dumps(rows)), copy.deepcopy])
def test_a_copy_keeps_no_images(again, tmp_path):
    rows = our_rows(tmp_path)
    size = len(pickle.dumps(rows))
    before = rows.__getitems__([1, 1])
    assert len(pickle.dumps(rows)) == size < 10_000
    assert plain(again(rows).__getitems__([1, 1])) == plain(before)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_that_do_not_inherit_memory(method, tmp_path):
    rows = our_rows(tmp_path)
    batches = list(load(rows, num_workers=1, multiprocessing_context=method))
    assert [plain(batch) for batch in batches] == [plain(batch) for batch in load(rows)]
