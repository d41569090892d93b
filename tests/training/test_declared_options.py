from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import pytest
from trl import GRPOConfig

from vapo.training import declared_options
from vapo.training.declared_options import UNKNOWN, UnreadableSourceError, read_run_options
from vapo.training.options import import_run_options

UNREAD_DEFAULTS = {"optim"}  # depends on the version of torch
UNREAD_CHOICES = {"log_level", "log_level_replica"}  # computed from those of transformers' logging


def test_options_read_are_those_that_are_parsed():
    read = {option.name: option for options in read_run_options().values() for option in options}
    parsed = {option.name: option for option in import_run_options()}
    assert read.keys() == parsed.keys()
    for name, option in parsed.items():
        assert read[name].help == option.help
        if name not in UNREAD_CHOICES:
            assert read[name].choices == option.choices, name
        if name not in UNREAD_DEFAULTS:  # argparse knows no default for a list that has the default ""
            assert (read[name].default or None) == (option.default or None), name
    assert {name for name, option in read.items() if option.default is UNKNOWN} == UNREAD_DEFAULTS


def test_ours_come_first():
    names = [option.name for options in read_run_options().values() for option in options]
    trls = {field.name for field in fields(GRPOConfig)}
    filled_by_presets = {"beta", "entropy_coef", "epsilon", "epsilon_high", "loss_type", "use_bias_correction_kl"}
    first = min(names.index(name) for name in trls - filled_by_presets)
    assert max(names.index(name) for name in ("data", "num_anchors", "algorithm", "num_processes")) < first


def test_nothing_heavy_is_imported():
    code = (
        "import sys; from vapo.cli import main; main(['train', '--help']);"
        "print([m for m in ('torch', 'transformers', 'trl', 'accelerate', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n") and "--late_emphasis" in done.stdout and "--vllm_mode" in done.stdout


@pytest.mark.parametrize(
    "source",
    [
        "class Options:\n    size: int = field(default=1)\n",
        "class Options:\n    size: int = 1\n",
        "class Options(Elsewhere):\n    pass\n",
        "Options = make_dataclass('Options', [])\n",
    ],
)
def test_a_declaration_that_is_not_understood_is_never_guessed(source, tmp_path, monkeypatch):
    package = tmp_path / "declared_otherwise"
    package.mkdir()
    (package / "__init__.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    declared_options._read_module.cache_clear()
    with pytest.raises(UnreadableSourceError):
        declared_options._read_class("declared_otherwise", "Options")


def test_what_cannot_be_read_is_imported(monkeypatch, capsys):
    from vapo.cli import main

    def fail():
        raise UnreadableSourceError("another way")

    monkeypatch.setattr(declared_options, "read_run_options", fail)
    assert main(["train", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--late_emphasis" in shown and "example:" in shown
