from __future__ import annotations

from pathlib import Path

import pytest
from export.conftest import SPLIT, make_checkpoint, make_run

from vapo.errors import DataError, ModelError
from vapo.export.origin import Origin, find_origin


def test_a_run_that_goes_on_gives_its_newest_complete_checkpoint(tmp_path):
    run = make_run(tmp_path / "run", system_prompt="Think.")
    make_checkpoint(run, 2, of=30)
    newest = make_checkpoint(run, 10, of=30)
    (run / "checkpoint-20").mkdir()  # cut off while it was written
    origin = find_origin(run)
    assert origin.folder == newest and origin.run == run and origin.steps == (10, 30)
    assert (
        origin.data == {"train": SPLIT} and len(origin.metrics) == 3 and origin.settings["system_prompt"] == "Think."
    )


def test_a_finished_run_is_its_own_policy(tmp_path):
    run = make_run(tmp_path / "run")
    make_checkpoint(run, 30, of=30)
    (run / "finished").touch()
    assert find_origin(run).folder == run and find_origin(run).steps == (30, 30)
    assert find_origin(str(run / "checkpoint-30")).folder == run / "checkpoint-30"


def test_a_run_without_a_checkpoint(tmp_path):
    with pytest.raises(ModelError, match="no complete checkpoint yet"):
        find_origin(make_run(tmp_path / "run"))


def test_no_run_at_all(tmp_path):
    (tmp_path / "model").mkdir()
    assert find_origin(tmp_path / "model") == Origin(tmp_path / "model")
    with pytest.raises(ModelError, match="there is no folder"):
        find_origin("org/name")
    with pytest.raises(ModelError, match="there is no folder"):
        find_origin(tmp_path / "nothing")


@pytest.mark.parametrize("file", ["settings.json", "data.json", "metrics.jsonl"])
def test_a_damaged_record_is_named(tmp_path, file):
    run = make_run(tmp_path / "run")
    (run / "finished").touch()
    (run / file).write_text("{nothing}\n")
    with pytest.raises(DataError, match=f"{file} is damaged"):
        find_origin(run)


@pytest.mark.parametrize("bits", ["load_in_4bit", "load_in_8bit"])
def test_quantised_bases_are_known(bits):
    assert Origin(Path(), settings={bits: True}).is_quantised
    assert not Origin(Path()).is_quantised
