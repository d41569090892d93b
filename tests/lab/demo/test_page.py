"""The demo's page in a real browser: it renders, its inspector moves, nothing is fetched, no text becomes script."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.resources import files

import pytest
from diagnosis.browser import CHROMIUM, count_pixels, start_chromium, visit
from diagnosis.made_diagnosis import HOSTILE, make_images
from lab.demo.made_outcome import NUM_STEPS, make_outcome

from vapo.lab.demo.page.write import render_demo

needs_browser = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),  # one browser at a time
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium"),
]
GRPO, VAPO = 1, 2


@pytest.fixture(scope="module")
def browser():
    with start_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "demo.html"
    path.write_text(render_demo(make_outcome(), make_images()), encoding="utf-8")
    return path


@pytest.fixture
def page(browser, file):
    with visit(browser, file) as visited:
        yield visited.page
        assert visited.complaints == []
        assert [url for url in visited.requests if not url.startswith("data:")] == [file.as_uri()]
        assert visited.page.evaluate("window.hacked === undefined")


def position(page) -> str:
    return page.locator(".position").inner_text()


def show_all(page) -> None:
    page.locator("button[data-filter=all]").click()
    page.locator(".spot").first.click()


def test_its_scripts_never_write_markup():
    code = files("vapo.lab.demo.page").joinpath("demo.js").read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(|fetch\(", code)
    body = files("vapo.lab.demo.page").joinpath("demo.html").read_text(encoding="utf-8")
    assert "<script" not in body and not re.search(r"\son\w+=|\sstyle=|https?:", body)


def test_long_responses_and_many_questions_fit():
    images = make_images(40, side=300)
    whole = render_demo(make_outcome(40, num_repeats=8), images)
    assert render_demo(make_outcome(40, num_repeats=8), images, max_bytes=300_000) != whole
    assert len(render_demo(make_outcome(40, num_repeats=8), images, max_bytes=300_000)) < 300_000


class TestInBrowser:
    pytestmark = needs_browser

    def test_first_screen_has_the_verdict_and_both_learning_curves(self, page):
        assert page.locator(".conclusion-card .first").inner_text() == make_outcome().conclusion[0]
        assert page.locator(".conclusion-card li").count() == len(make_outcome().conclusion) - 1
        assert f"{NUM_STEPS} steps of 8 rollouts" in page.locator("#subtitle").inner_text()
        figures = page.locator("#curves figure")
        assert figures.evaluate_all("all => all.map((one) => one.dataset.curve)") == [
            "right",
            "seen_late",
            "seen",
            "num_tokens",
        ]
        for number in range(3):  # the lengths are the same for both: one line over the other
            for model in (GRPO, VAPO):
                assert count_pixels(figures.nth(number), model) > 60
        assert figures.first.locator(".keys li").all_inner_texts() == ["GRPO", "VAPO"]
        plot = figures.last.locator(".plot").bounding_box()
        assert plot["y"] + plot["height"] <= 800

    def test_curves_say_what_their_bands_are_and_are_read_by_key(self, page):
        figure = page.locator("[data-curve=right]")
        figure.locator("summary").click()
        assert "95 % interval over the questions of those steps" in figure.inner_text()
        assert "what another seed would give is not in it" in figure.inner_text()
        figure.locator(".plot").focus()
        page.keyboard.press("ArrowRight")
        # The first window is steps 1 to 3: 0.3 + 0.4 * (0 + 1 + 2) / 3 / 30 = 0.3133, at step 2.
        read = figure.locator(".readout").inner_text()
        assert "step 2" in read and "31.3 %" in read and "GRPO" in read and "VAPO" in read
        assert position(page).startswith("1 of")  # that key was the chart's

    def test_depths_are_shown_before_and_after_for_both(self, page):
        for key in ("early", "perception"):
            figure = page.locator(f"[data-curve={key}]")
            assert all(count_pixels(figure, model) > 60 for model in (GRPO, VAPO))  # VAPO's lies over that before
            assert figure.locator(".keys li").all_inner_texts() == ["before", "GRPO", "VAPO"]
        table = page.locator("#rows")
        assert table.locator("tbody tr").count() == 8
        late = table.locator("tr", has_text="quarter 4 of 4").inner_text()
        row = next(row for row in make_outcome().rows if "quarter 4" in row.measure)
        assert f"{100 * row.grpo.value:.1f} [" in late and f"{100 * row.difference.value:+.1f} [" in late
        assert table.locator(".interval").count() == 7  # of all but the length, which has another scale

    def test_the_inspector_opens_where_vapo_alone_looked_late_and_is_right(self, page):
        found = [k for k in range(12) if k % 2 and not k % 3 and (k + 2) % 3]
        assert position(page) == f"1 of {len(found)}"
        assert page.locator(".asked .faint").first.inner_text() == f"row-{found[0]}"
        states = page.locator(".response").evaluate_all("all => all.map((one) => one.dataset.right)")
        assert states[GRPO] == "false" and states[VAPO] == "true"

    def test_inspector_moves_by_keys_and_buttons(self, page):
        show_all(page)
        assert position(page) == "1 of 12"
        page.keyboard.press("ArrowRight")
        assert position(page) == "2 of 12"
        assert page.locator(".asked").inner_text().startswith("row-1")
        page.get_by_role("button", name="next question").click()
        page.keyboard.press("ArrowLeft")
        page.get_by_role("button", name="previous question").click()
        assert position(page) == "1 of 12"
        assert page.locator(".asked img").count() == 1
        page.keyboard.press("?")
        assert page.locator(".help").is_visible()
        assert "colours" not in page.locator(".help").inner_text()  # there is nothing to colour by

    def test_inspector_filters_by_right_and_wrong(self, page):
        # The models are those numbered 1, 0 and 2: model m is wrong on question k if 3 divides k + m.
        expected = {
            "right": [k for k in range(12) if k % 3 and (k + 2) % 3],
            "vapo": [k for k in range(12) if not k % 3 and (k + 2) % 3],
            "grpo": [k for k in range(12) if k % 3 and not (k + 2) % 3],
        }
        for key, ids in expected.items():
            page.locator(f"button[data-filter={key}]").click()
            found = []
            for _ in ids:
                found.append(page.locator(".asked .faint").first.inner_text())
                states = page.locator(".response").evaluate_all("all => all.map((one) => one.dataset.right)")
                assert states[GRPO] == str(key != "vapo").lower() and states[VAPO] == str(key != "grpo").lower()
                page.keyboard.press("ArrowRight")
            assert found == [f"row-{k}" for k in ids]
            show_all(page)
        page.locator("button[data-filter=wrong]").click()
        assert "No question passes this filter." in page.locator(".stage").inner_text()
        page.keyboard.press("f")
        assert page.locator("button[data-filter][aria-pressed=true]").get_attribute("data-filter") == "vapo"

    def test_inspector_filters_by_what_is_still_seen(self, page):
        models = make_outcome().models

        def late(question):
            asked = [claim.correct for claim in question.probed or () if claim.depth > 0.75]
            return sum(asked) / len(asked) if asked else None

        pairs = [(late(a), late(b)) for a, b in zip(models[GRPO].questions, models[VAPO].questions, strict=True)]
        more = sum(b > a for a, b in pairs if a is not None and b is not None)
        assert more > 0
        button = page.locator("button[data-filter=vapo-sees]")
        assert button.locator(".number").inner_text() == str(more)

    def test_models_stand_side_by_side_with_their_anchors_and_claims(self, page):
        show_all(page)
        responses = page.locator(".response")
        assert responses.locator("h4").all_inner_texts() == ["before", "GRPO", "VAPO"]
        boxes = [responses.nth(number).bounding_box() for number in range(3)]
        assert boxes[0]["y"] == boxes[1]["y"] == boxes[2]["y"]
        response = responses.nth(VAPO)
        anchors = response.locator(".anchor")
        assert anchors.count() == 6
        anchors.nth(1).click()
        assert response.locator(".here").inner_text().startswith("Asked at 20 %")
        assert response.locator(".here tbody tr").count() == 2
        assert response.locator(".now").inner_text().startswith("Stopped at 20 %")
        before = anchors.nth(1).get_attribute("class")
        page.keyboard.press(",")  # the other models are cut with it
        assert responses.nth(GRPO).locator(".now").inner_text().startswith("Stopped at 15 %")
        assert ("near" in before and "right" in before) or "mixed" in before or "wrong" in before

    def test_text_from_data_is_text(self, page):
        show_all(page)
        for hostile in HOSTILE[:2]:
            assert hostile in page.locator(".question").inner_text()
            assert hostile in page.locator(".response").last.locator(".tokens").inner_text().replace("\n", "")
            page.keyboard.press("ArrowRight")
        assert HOSTILE[0] in page.locator("#about").inner_text()
        assert page.locator("[onerror]").count() == 0 and page.locator(".stage b, .stage script").count() == 0

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("width", [400, 1280])
    def test_no_width_needs_sideways_scrolling(self, browser, tmp_path, width, scheme):
        file = tmp_path / "long.html"
        file.write_text(render_demo(make_outcome(num_repeats=5), make_images()), encoding="utf-8")
        with visit(browser, file, width=width, scheme=scheme) as visited:
            for summary in visited.page.locator("summary").all():
                summary.click()
            for _ in HOSTILE:
                assert visited.page.evaluate("document.documentElement.scrollWidth") == width
                visited.page.keyboard.press("ArrowRight")
            background = visited.page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)")
            assert (sum(map(int, background)) < 150) == (scheme == "dark")
            assert visited.complaints == []

    def test_a_demo_whose_responses_have_no_boundary_says_so(self, browser, tmp_path):
        made = make_outcome()
        bare = replace(
            made.learning[1], lines=(), absent="No claim was asked there: the responses have too few boundaries."
        )
        outcome = replace(made, learning=(made.learning[0], bare, *made.learning[2:]))
        (tmp_path / "bare.html").write_text(render_demo(outcome, {}), encoding="utf-8")
        with visit(browser, tmp_path / "bare.html") as visited:
            assert "No claim was asked there" in visited.page.locator("[data-curve=seen_late] .absent").inner_text()
            assert "No image." in visited.page.locator(".asked").inner_text()
            assert visited.complaints == []
