from __future__ import annotations

import sys
import xml.etree.ElementTree
from dataclasses import replace

import pytest
from diagnosis.made_diagnosis import make_diagnosis
from PIL import Image

from vapo.diagnosis.curves import list_curves
from vapo.diagnosis.figures import draw_curve, import_matplotlib, write_figures
from vapo.errors import ConfigError


def test_each_curve_is_a_figure(tmp_path):
    made = make_diagnosis()
    odd = replace(made.models[0], name="$a_b$ <&>", sensitivity=None)
    missing = replace(made, models=(odd, replace(made.models[1], sensitivity=None)))
    files = write_figures(missing, tmp_path)
    assert [file.name for file in files[:4]] == ["early.png", "early.svg", "perception.png", "perception.svg"]
    assert not (tmp_path / "figures/sensitivity.svg").exists()
    assert len(files) == 2 * 12
    svg = (tmp_path / "figures/early.svg").read_text()
    text = " ".join(xml.etree.ElementTree.fromstring(svg).itertext())
    assert "$a_b$ <&>" in text and "share of the response kept, %" in text
    with Image.open(tmp_path / "figures/early.png") as image:
        assert image.size == (1020, 750)  # 3.4 by 2.5 inches of 300 dots


def test_without_matplotlib_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"pip install 'vapo\[report\]'"):
        write_figures(make_diagnosis(), tmp_path)


def test_unknown_formats_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="'gif' is no format"):
        write_figures(make_diagnosis(), tmp_path, ["gif"])


def test_shares_are_drawn_in_per_cent():
    matplotlib = import_matplotlib()
    curves = {curve.key: curve for curve in list_curves(make_diagnosis())}
    axes = matplotlib.figure.Figure().subplots()
    draw_curve(axes, curves["perception"], ("a", "b"))
    heights = [line.get_ydata() for line in axes.get_lines()]
    assert len(heights) == 2 * 3 + 1  # two models in three views, and the level of guessing
    assert heights[0][0] == pytest.approx(93) and set(heights[-1]) == {50}
    axes = matplotlib.figure.Figure().subplots()
    draw_curve(axes, curves["sensitivity"], ("a", "b"))
    assert axes.get_lines()[0].get_ydata()[0] == pytest.approx(0.9) and axes.get_ylim()[0] == 0
