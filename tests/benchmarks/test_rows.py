"""The benchmark of reading rows, at a size that takes seconds."""

from __future__ import annotations

import json

from benchmarks import rows
from benchmarks.__main__ import main


def test_opens_and_time_of_rows_that_are_kept_and_of_rows_that_are_not(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(rows, "SIZE", (64, 48))
    found = tmp_path / "found.json"
    grid = ["--prompts", "2", "--group", "3", "--micro-steps", "4"]
    assert main(["rows", *grid, "--repeats", "2", "--json", str(found)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[-2:]] == ["rows_samples@p2,G3,m4", "rows_images@p2,G3,m4"]
    written = json.loads(found.read_text())
    assert [(row["number"], row["anew opens"], row["kept opens"]) for row in written["rows"]] == [(72, 72, 6)] * 2
