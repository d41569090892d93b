from __future__ import annotations

import sys
import xml.etree.ElementTree
from dataclasses import replace

import pytest
from diagnosis.made_diagnosis import make_diagnosis
from PIL import Image

from vapo.diagnosis.figures import write_figures
from vapo.errors import ConfigError


def test_each_curve_is_a_figure(tmp_path):
    made = make_diagnosis()
    odd = replace(made.models[0], name="$a_b$ <&>", sensitivity=None)
    missing = replace(made, models=(odd, replace(made.models[1], sensitivity=None)))
    files = write_figures(missing, tmp_path / "figures")
    assert [file.name for file in files[:4]] == ["early.png", "early.svg", "perception.png", "perception.svg"]
    assert not (tmp_path / "figures/sensitivity.svg").exists()
    assert len(files) == 2 * 6
    svg = (tmp_path / "figures/early.svg").read_text()
    text = " ".join(xml.etree.ElementTree.fromstring(svg).itertext())
    assert "$a_b$ <&>" in text and "share of the chain kept, %" in text
    with Image.open(tmp_path / "figures/early.png") as picture:
        assert picture.size == (1020, 750)  # 3.4 by 2.5 inches of 300 dots


def test_without_matplotlib_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"pip install 'vapo\[report\]'"):
        write_figures(make_diagnosis(), tmp_path)


def test_unknown_formats_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="'gif' is no format"):
        write_figures(make_diagnosis(), tmp_path, ["gif"])
