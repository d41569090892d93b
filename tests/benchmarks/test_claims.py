"""The benchmarks of making claims, at a size that takes seconds."""

from __future__ import annotations

import json
import re
import sys

import pytest

from benchmarks.__main__ import main


def test_throughput_over_that_of_a_bare_loop(capsys, tmp_path):
    found = tmp_path / "found.json"
    grid = ["--concurrency", "3", "5", "--latency-s", "0.05", "--waves", "2"]
    assert main(["claims", *grid, "--repeats", "2", "--json", str(found)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1].split("@")[1] for line in lines[-2:]] == ["c3,0.05s", "c5,0.05s"]
    written = json.loads(found.read_text())
    assert [row["images"] for row in written["rows"]] == [6, 10]
    assert written["machine"]["model"] == "none" and "openai" in written["machine"]
    for name, ratio in written["ratios"].items():
        assert re.fullmatch(r"claims_throughput@c\d,0\.05s", name) and 0 < ratio["low"] <= ratio["high"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from /proc")
def test_memory_and_size_by_number_of_images(capsys, tmp_path):
    found = tmp_path / "found.json"
    assert main(["store", "--images", "20", "60", "--json", str(found)]) == 0
    few, many = json.loads(found.read_text())["rows"]
    assert (few["images"], many["images"]) == (20, 60) and few["store MB"] < many["store MB"]
    assert "RATIO store_memory@60 " in capsys.readouterr().out


def test_a_grid_over_what_another_benchmark_varies_is_refused():
    with pytest.raises(SystemExit, match="store has no --image-tokens"):
        main(["store", "--image-tokens", "16"])
