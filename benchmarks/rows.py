"""What it takes to read the rows of a rollout as often as TRL asks for them, kept and not kept.

TRL's sampler names each prompt once per completion, and all of them anew in every micro-step. `anew` reads a row each
time it is named, as a `datasets.Dataset` does; `kept` reads it once for the whole rollout and gives copies.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from datasets import Dataset
from PIL import Image
from torch.utils.data import DataLoader
from trl.trainer.utils import RepeatSampler

from benchmarks.clock import Spread, compare, time_in_turn
from benchmarks.report import Report
from benchmarks.settings import Settings
from vapo.data.samples import load_samples
from vapo.training.cached_rows import cache_rows, make_training_rows
from vapo.training.sample_rows import SampleRows

LIBRARIES = ("datasets", "pillow", "torch", "trl")
"""What the figures depend on, besides vapo."""

SIZE = (1024, 768)
ROLLOUTS = 3


@dataclass(frozen=True, slots=True)
class Rollouts:
    """Rollouts of so many prompts and completions of each, trained on in so many micro-steps."""

    prompts: int = 2
    group: int = 8
    micro_steps: int = 8

    def __str__(self) -> str:
        return f"p{self.prompts},G{self.group},m{self.micro_steps}"


QUICK = (Rollouts(),)
GRID = (Rollouts(), Rollouts(prompts=4, group=5, micro_steps=12))


def run(settings: Settings, works: Sequence[Rollouts]) -> Report:
    """Read rows both ways, in turn: samples of vapo's, and a data set of images as the hub keeps them."""
    report = Report("rows", replace(settings, model="none"), libraries=LIBRARIES)
    for work in works:
        for kind, (anew, kept) in make_data(ROLLOUTS * work.prompts).items():
            opened: dict[str, int] = {}
            sides: dict[str, Callable[[], int]] = {
                "anew": lambda anew=anew, work=work, opened=opened: read(anew, work, "anew", opened),
                "kept": lambda kept=kept, work=work, opened=opened: read(kept, work, "kept", opened),
            }
            runs = time_in_turn(sides, settings)
            row = {"rows": f"{kind}@{work}", "number": runs["kept"].result}
            for name, own in runs.items():
                row |= {
                    f"{name} opens": opened[name],
                    f"{name} ms/row": Spread.of([1000 * seconds / own.result for seconds in own.seconds]),
                    f"{name} MB": own.show(name)[f"{name} MB"],
                }
            report.rows.append(row)
            report.ratios[f"rows_{kind}@{work}"] = compare(runs["kept"].seconds, runs["anew"].seconds)
    report.notes.append(f"{ROLLOUTS} rollouts, images of {SIZE[0]} x {SIZE[1]} pixels as PNG, held in memory")
    return report


def make_data(count: int) -> dict[str, tuple[Dataset, Dataset]]:
    """Return a data set of each kind, as it reads rows anew and as it keeps them."""
    encoded = [_draw(number) for number in range(count)]
    samples = load_samples([{"problem": f"q {n}", "answer": "1", "images": [png]} for n, png in enumerate(encoded)])
    prompt = [{"role": "user", "content": "What is it?"}]
    rows = [{"prompt": prompt, "image": Image.open(io.BytesIO(png))} for png in encoded]
    images = Dataset.from_list(rows)
    return {
        "samples": (SampleRows(samples).make_dataset(), make_training_rows(samples)),
        "images": (images, cache_rows(images)),
    }


def read(rows: Dataset, work: Rollouts, side: str, opened: dict[str, int]) -> int:
    """Read rows as TRL's trainer does and return how many there were; `opened[side]` tells how many images were."""
    sampler = RepeatSampler(
        rows, mini_repeat_count=work.group, batch_size=work.prompts, repeat_count=work.micro_steps, seed=0
    )
    data: Any = rows  # PyTorch has a Dataset of its own
    loader = DataLoader(data, batch_size=work.prompts * work.group, sampler=sampler, collate_fn=list)
    with _count_opens() as opens:
        number = sum(len(batch) for batch in loader)
    opened[side] = len(opens)
    return number


def _draw(seed: int) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC).save(stream, "PNG")
    return stream.getvalue()


@contextmanager
def _count_opens() -> Iterator[list[None]]:
    opens: list[None] = []
    open_image = Image.open

    def counted(*args: object, **options: object) -> Image.Image:
        opens.append(None)
        return open_image(*args, **options)  # pyright: ignore[reportArgumentType]

    Image.open = counted
    try:
        yield opens
    finally:
        Image.open = open_image
