"""Rows and images as a stranger may have made them: they are read as they are, or refused in a sentence."""

from __future__ import annotations

import csv
import io
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from vapo.data.claimed import ClaimedRows
from vapo.data.confined_decoding import FORMATS as CONFINED
from vapo.data.images import FORMATS, ImagePolicy, measure_image, open_image
from vapo.data.samples import load_samples
from vapo.data.shown import load_shown
from vapo.errors import DataError, VapoError

FUZZ = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
POLICY = ImagePolicy(max_pixels=1_000_000)
MEGABYTES = 500

edits = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 120), st.integers(0, 4000)),
        st.one_of(
            st.binary(min_size=1, max_size=8),
            st.sampled_from(
                [b"\xff" * 4, b"\0\0\xff\xff", b"\x7f\xff\xff\xff", b"\0\1\0\0", b"\0\0\1\0", b"\xff\xd8\xff"]
            ),
        ),
    ),
    min_size=1,
    max_size=6,
)


def encode(format: str) -> bytes:
    image, stream = Image.effect_noise((48, 32), 90).convert("RGB"), io.BytesIO()
    (image.quantize() if format == "GIF" else image).save(stream, format)
    return stream.getvalue()


def read_peak() -> float:
    """Return the most memory that this process had since the last call, in MB."""
    peak = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024
    Path("/proc/self/clear_refs").write_text("5")
    return peak


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("format", FORMATS)
def test_any_bytes_in_an_image(format: str) -> None:
    Image.init()
    if format not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {format}")
    content = encode(format)

    @settings(FUZZ, max_examples=25 if format in CONFINED else 200)
    @given(edits, st.integers(0, 200))
    def look_at(changes: list[tuple[int, bytes]], cut: int) -> None:
        changed = bytearray(content)
        for place, new in changes:
            changed[place % len(content) : place % len(content) + len(new)] = new
        for look in (measure_image, open_image):
            with suppress(DataError):
                found = look(bytes(changed[: len(changed) - max(0, cut - 150)]), None, POLICY)
                width, height = found if isinstance(found, tuple) else found.size
                assert width * height <= POLICY.max_pixels

    read_peak()
    before = read_peak()
    look_at()
    assert read_peak() - before < MEGABYTES


json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=20),
        st.sampled_from(
            ["<image>", "a.png", "../secret.png", "/etc/passwd", "file:///etc/passwd", "http://127.0.0.1:9/a"]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["bytes", "path", "text", "is_true", "x"]), inner, max_size=3),
    ),
    max_leaves=6,
)
NAMES = [
    "problem",
    "answer",
    "images",
    "image",
    "claims",
    "claim_1",
    "label_1",
    "id",
    "makers",
    "image_names",
    "source",
]
rows = st.lists(st.dictionaries(st.sampled_from(NAMES), json_values), min_size=1, max_size=4)


def use(source: Any) -> None:
    """Do with data what commands do; a secret lies outside its folder."""
    for skip in ("skip", "error"):
        with suppress(VapoError):
            for sample in load_samples(source, on_bad_row=skip):
                assert all(image.size != (7, 7) for image in sample.images)
    if isinstance(source, Path):
        with suppress(VapoError):
            for row in ClaimedRows(source, skip_bad_rows=True):
                assert all(image.size != (7, 7) for image in row.images)
        with suppress(VapoError):
            for shown in load_shown(source):
                with suppress(DataError):
                    assert all(image.size != (7, 7) for image in shown.open())


@pytest.fixture
def folder(tmp_path: Path, png: bytes) -> Path:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.png").write_bytes(png)
    Image.new("RGB", (7, 7)).save(tmp_path / "secret.png")
    return data


def fill(row: dict[str, Any], good: dict[str, Any], kept: int) -> dict[str, Any]:
    """Return a good row with some fields replaced, so that others are looked at too."""
    return {**{name: value for n, (name, value) in enumerate(good.items()) if kept >> n & 1}, **row}


GOOD = {"problem": "What?", "answer": "a", "images": "a.png", "claims": [{"text": "It is red.", "is_true": True}]}


@pytest.mark.slow
@FUZZ
@given(rows, st.integers(0, 15))
def test_any_values_in_json_lines_and_lists(folder: Path, rows: list[dict[str, Any]], kept: int) -> None:
    filled = [fill(row, GOOD, kept) for row in rows]
    (folder / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in filled))
    use(folder / "rows.jsonl")
    use(filled)


@pytest.mark.slow
@settings(FUZZ, max_examples=60)
@given(st.sampled_from(NAMES), st.lists(json_values, min_size=1, max_size=3), st.integers(0, 15))
def test_any_values_in_parquet(folder: Path, name: str, values: list[Any], kept: int) -> None:
    with suppress(pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, pyarrow.ArrowNotImplementedError, OverflowError):
        table = pyarrow.Table.from_pylist([fill({name: value}, GOOD, kept) for value in values])
        pyarrow.parquet.write_table(table, folder / "rows.parquet")
        use(folder / "rows.parquet")


@pytest.mark.slow
@FUZZ
@given(st.one_of(st.text(max_size=200), st.lists(st.lists(st.text(max_size=10), max_size=5), max_size=5)))
def test_any_text_in_csv(folder: Path, content: str | list[list[str]]) -> None:
    stream = io.StringIO()
    stream.write("problem,answer,images,claim,label\n")
    csv.writer(stream).writerows(content) if isinstance(content, list) else stream.write(content)
    (folder / "rows.csv").write_text(stream.getvalue(), encoding="utf-8", errors="surrogatepass")
    use(folder / "rows.csv")


@pytest.mark.slow
@FUZZ
@given(st.binary(max_size=300))
def test_any_bytes_in_a_table(folder: Path, content: bytes) -> None:
    for suffix in ("jsonl", "csv", "parquet"):
        (folder / f"rows.{suffix}").write_bytes(content)
        use(folder / f"rows.{suffix}")
        (folder / f"rows.{suffix}").unlink()
