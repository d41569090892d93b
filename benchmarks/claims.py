"""How many images a second get their claims, against a bare loop that sends as much through the same client.

The server answers after a fixed time, in a process of its own. The bare loop has its requests ready and throws the
answers away; ours opens and encodes the images, keeps requests and answers, reads and sifts the claims. Both begin
with nothing under way, so that the first wave of images is part of what is timed.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from openai import AsyncOpenAI
from PIL import Image

from benchmarks.clock import Spread, compare
from benchmarks.report import Report
from benchmarks.settings import Settings
from vapo.api.client import ModelClient, make_message
from vapo.claims.making.instruction import Order, write_instruction
from vapo.claims.making.make import make_claims
from vapo.claims.making.settings import MakingSettings
from vapo.claims.store.images import encode_stored_image
from vapo.claims.store.store import Store

LIBRARIES = ("openai", "pillow")
"""What the figures depend on, besides vapo."""


@dataclass(frozen=True, slots=True)
class Load:
    """So many requests at a time, each answered after so many seconds; as many waves of them as images make.

    Eight seconds are an answer of 400 tokens at 50 tokens a second.
    """

    concurrency: int = 32
    latency_s: float = 8.0
    waves: int = 12

    def __str__(self) -> str:
        return f"c{self.concurrency},{self.latency_s:g}s"

    @property
    def images(self) -> int:
        """Images in all."""
        return self.concurrency * self.waves


QUICK = (Load(32, latency_s=2.0, waves=5),)
GRID = (Load(32), Load(256))


@dataclass(frozen=True, slots=True)
class DrawnRow:
    """An image of soft colours, unlike any other, drawn when it is asked for."""

    seed: int
    side: int = 224
    source: str = "drawn"
    stamp: str = ""

    @property
    def name(self) -> str:
        """What it is called."""
        return str(self.seed)

    def open(self) -> tuple[Image.Image]:
        """Draw the image."""
        coarse = np.random.default_rng(self.seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        return (Image.fromarray(coarse).resize((self.side, self.side), Image.Resampling.BICUBIC),)


def run(settings: Settings, works: Sequence[Load]) -> Report:
    """Time both sides over the loads, in turn; ratios are images a second, ours over theirs."""
    report = Report("claims", replace(settings, model="none", clock="wall"), libraries=LIBRARIES)
    for load in works:
        with run_server(load.latency_s) as url:
            sides: dict[str, Callable[[], None]] = {
                "bare": lambda url=url, load=load: ask_bare(url, load),
                "ours": lambda url=url, load=load: make_ours(url, load),
            }
            seconds: dict[str, list[float]] = {name: [] for name in sides}
            computed: dict[str, list[float]] = {name: [] for name in sides}
            for _ in range(settings.repeats):
                for name, side in sides.items():
                    began, busy = time.perf_counter(), time.process_time()
                    side()
                    seconds[name].append(time.perf_counter() - began)
                    computed[name].append(time.process_time() - busy)
        row = {"load": str(load), "images": load.images}
        for name in sides:
            row |= {
                f"{name} images/s": Spread.of([load.images / spent for spent in seconds[name]]),
                f"{name} ms computed": Spread.of([1000 * spent / load.images for spent in computed[name]]),
            }
        report.rows.append(row)
        report.ratios[f"claims_throughput@{load}"] = compare(seconds["bare"], seconds["ours"])
    return report


def ask_bare(url: str, load: Load) -> None:
    """Send all requests in a bare loop, so many at a time."""
    options = MakingSettings().make_options("key", 1)
    images = [encode_stored_image(DrawnRow(seed).open()[0]) for seed in range(16)]
    messages = [make_message(write_instruction(Order(10, 10)), [image]) for image in images]

    async def send() -> None:
        numbers = iter(range(load.images))
        async with AsyncOpenAI(base_url=f"{url}/v1", max_retries=0) as client:

            async def work() -> None:
                for number in numbers:
                    message = messages[number % len(messages)]
                    await client.chat.completions.create(model="stub", messages=[message], **options)  # pyright: ignore

            await asyncio.gather(*(work() for _ in range(load.concurrency)))

    asyncio.run(send())


def make_ours(url: str, load: Load) -> None:
    """Make claims about all images, in a new store."""
    rows = [DrawnRow(number) for number in range(load.images)]
    with tempfile.TemporaryDirectory() as folder:
        fill_store(Path(folder) / "claims.db", rows, url, load.concurrency)


def fill_store(path: Path, rows: Collection[DrawnRow], url: str, concurrency: int) -> None:
    """Make claims about rows, in a new store. Raises RuntimeError if not all of them got theirs."""
    with Store(path, create=True) as store:
        tally = make_claims(rows, store, ModelClient(url, "stub", concurrency=concurrency))
    if tally.by_status != {"full": len(rows)}:
        raise RuntimeError(f"not all images got their claims: {dict(tally.by_status)}")


@contextmanager
def run_server(latency_s: float) -> Iterator[str]:
    """Serve from another process, and give the URL."""
    os.environ.setdefault("OPENAI_API_KEY", "none")
    command = [sys.executable, "-m", "benchmarks.claims_server", str(latency_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()
