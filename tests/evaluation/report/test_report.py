"""The page on two models in a real browser."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from diagnosis.browser import CHROMIUM, count_pixels, start_chromium, visit
from diagnosis.made_diagnosis import HOSTILE, make_diagnosis
from evaluation.suite_runs.made_answers import answer_all, answer_rows

from vapo.diagnosis.comparison import compare_models
from vapo.evaluation.report.report import make_report, write_report

NAMES = (HOSTILE[0], "runs/second")


@pytest.fixture(scope="module")
def report():
    made = make_diagnosis()
    models = tuple(replace(model, name=name) for model, name in zip(made.models[::-1], NAMES, strict=True))
    diagnosis = replace(made, models=models, differences=compare_models(models, seed=0))
    poor, good = ([one for one in answer_all(rate) if one.benchmark != "hallusionbench"] for rate in (0.2, 0.8))
    first, second = [*poor, *answer_rows("pope", [1] * 60)], [*good, *answer_rows("pope", [0] * 60)]
    return make_report(NAMES, answers=(first, second), diagnosis=diagnosis, settings={"engine": HOSTILE[1]})


def test_numbers_are_written_beside_the_page(report, tmp_path):
    write_report(report, [], tmp_path)
    numbers = json.loads((tmp_path / "report.json").read_text())
    verdicts = {one["aspect"]: one["direction"] for one in numbers["verdicts"]}
    assert verdicts == {"reasoning": "up", "perception": "down"}
    assert numbers["models"] == list(NAMES) and len(numbers["diagnosis"]["models"][1]["perception"]["image"]) > 2


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium")
def test_the_page_shows_both_verdicts_and_the_curves_of_both(report, tmp_path):
    alone = make_report(NAMES, answers=([*answer_rows("pope", [1] * 60)], [*answer_rows("pope", [0] * 60)]))
    for name, one in (("both", report), ("alone", alone)):
        (tmp_path / name).mkdir()
        write_report(one, [], tmp_path / name)
    with start_chromium() as browser:
        with visit(browser, tmp_path / "both" / "report.html") as visited:
            page = visited.page
            cards = page.locator(".conclusion-card")
            assert cards.evaluate_all("all => all.map((one) => one.dataset.aspect)") == ["reasoning", "perception"]
            for card, word in ((cards.nth(0), "▲ up"), (cards.nth(1), "▼ down")):
                assert word in card.inner_text()
                box, outcome = card.bounding_box(), card.locator(".outcome").bounding_box()
                assert box["y"] + box["height"] <= 800  # on the first screen
                assert box["x"] < outcome["x"] and outcome["x"] + outcome["width"] < box["x"] + box["width"]
                assert box["y"] < outcome["y"] < box["y"] + box["height"]
            assert "Reasoning is up: mean of 9 benchmarks (suite paper" in cards.nth(0).inner_text()
            figures = page.locator("#curves figure")
            assert figures.first.get_attribute("data-curve") == "perception" and figures.count() <= 6
            assert all(count_pixels(figures.first, model) > 60 for model in (0, 1))
            assert "We-Math" in page.locator("#tables").inner_text()
            assert page.locator("#tables .interval").count() == sum(len(one.changes) for one in report.verdicts)
            assert page.locator(".responses").count() == 1
            assert visited.complaints == [] and page.evaluate("window.hacked === undefined")
            assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        with visit(browser, tmp_path / "alone" / "report.html", width=400) as visited:
            cards = visited.page.locator(".conclusion-card")
            assert "not measured" in cards.nth(0).inner_text() and "▼ down" in cards.nth(1).inner_text()
            assert visited.page.locator("#inspector").count() == 0 and visited.complaints == []
            assert visited.page.evaluate("document.documentElement.scrollWidth") <= 400
