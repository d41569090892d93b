"""The page in a real browser: it renders, answers keys and buttons, fetches nothing, and runs nothing but itself."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files

import pytest
from diagnosis.browser import CHROMIUM, count_pixels, start_chromium, visit
from diagnosis.made_diagnosis import HOSTILE, make_diagnosis, make_images

from vapo.diagnosis.page.frame import write_data
from vapo.diagnosis.page.write import write_page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),  # one browser at a time
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser():
    with start_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(make_diagnosis(), make_images(), path)
    return path


@pytest.fixture
def visited(browser, file):
    with visit(browser, file) as visited:
        yield visited
        assert visited.complaints == []
        assert [url for url in visited.requests if not url.startswith("data:")] == [file.as_uri()]
        assert visited.page.evaluate("window.hacked === undefined")


@pytest.fixture
def page(visited):
    return visited.page


def pressed(page, attribute: str) -> str:
    return page.locator(f"button[{attribute}][aria-pressed=true]").get_attribute(attribute)


def position(page) -> str:
    return page.locator(".position").inner_text()


def scroll_width(page) -> int:
    return page.evaluate("document.documentElement.scrollWidth")


def test_first_screen_has_the_conclusions_and_four_curves(page):
    conclusions = page.locator(".conclusion-card")
    assert conclusions.count() == 2
    assert "From 60 % of the response on" in conclusions.first.inner_text()
    figures = page.locator("#curves figure")
    assert figures.evaluate_all("all => all.map((one) => one.dataset.curve)") == [
        "early",
        "perception",
        "attention_by_depth",
        "sensitivity",
    ]
    for number in range(4):
        figure = figures.nth(number)
        for model in range(2):  # both models, laid over each other
            assert count_pixels(figure, model) > 60
        plot = figure.locator(".plot")
        assert plot.bounding_box()["y"] + plot.bounding_box()["height"] <= 800
        assert "at the beginning" in plot.get_attribute("aria-label")


def test_curves_can_be_switched_and_read_with_the_keyboard(page):
    page.get_by_role("button", name="by token").click()
    figure = page.locator("#curves figure").nth(2)
    assert figure.get_attribute("data-curve") == "attention_by_step"
    figure.locator(".plot").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    # The second point: 0.05 + 0.22 exp(-2 / 30) = 0.2558.
    assert "token 2" in figure.locator(".readout").inner_text()
    assert "25.6 %" in figure.locator(".readout").inner_text()
    assert position(page) == "1 of 12"  # those keys were the chart's
    figure.locator("summary").click()
    assert figure.locator("tbody tr").count() == 59


def test_claims_without_the_image_are_drawn_on_demand(page):
    figure = page.locator("figure[data-curve=perception]")
    hidden = figure.locator(".keys button[aria-pressed=false]")
    assert hidden.count() == 2 and figure.evaluate("figure => figure.plot.series.length") == 1 + 3 * 2
    hidden.first.click()
    figure = page.locator("figure[data-curve=perception]")
    assert figure.locator(".keys button[aria-pressed=true]").count() == 1
    assert figure.evaluate("figure => [figure.plot.series.length, figure.plot.bands.length]") == [1 + 3 * 4, 2]


def test_tables_say_what_was_found(page):
    text = page.locator("#findings").inner_text()
    for piece in ("Remedies", "image shown again", "+10.0 [+2.0, +18.0] points", "Differences to vapo-base"):
        assert piece in text
    assert page.locator("#findings").get_by_text("They agree on 83 %").count() == 2
    assert page.locator(".heads rect").count() == 2 * 6 * 8


def test_inspector_moves_by_keys_and_buttons(page):
    assert position(page) == "1 of 12"
    page.keyboard.press("ArrowRight")
    assert position(page) == "2 of 12"
    assert page.locator(".asked").inner_text().startswith("row-1")
    page.get_by_role("button", name="next question").click()
    page.get_by_role("button", name="previous question").click()
    page.keyboard.press("ArrowLeft")
    assert position(page) == "1 of 12"
    page.keyboard.press("ArrowLeft")  # there is none before the first
    assert position(page) == "1 of 12"
    page.locator(".spot").nth(11).click()
    assert position(page) == "12 of 12"
    assert "No image." in page.locator(".asked").inner_text()
    page.keyboard.press("?")
    assert page.locator(".help").is_visible()


def test_inspector_filters_by_outcome_and_by_kind_of_error(page):
    # Model m is wrong on question k if 3 divides k + m; an odd k is a logical error, and an even one is recoverable.
    for key, ids in {
        "wrong": [0, 2, 3, 5, 6, 8, 9, 11],
        "recoverable": [0, 2, 6, 8],
        "perception": [0, 2, 6, 8],
        "logical": [3, 5, 9, 11],
    }.items():
        button = page.locator(f"button[data-filter={key}]")
        button.click()
        assert button.locator(".number").inner_text() == str(len(ids))
        found = []
        for _ in ids:
            found.append(page.locator(".asked .faint").first.inner_text())
            page.keyboard.press("ArrowRight")
        assert found == [f"row-{k}" for k in ids]
        page.locator("button[data-filter=all]").click()
        page.locator(".spot").first.click()
    page.keyboard.press("f")
    assert pressed(page, "data-filter") == "right"


def test_tokens_are_coloured_by_attention_or_sensitivity(page):
    def steps() -> list[str]:
        return page.locator(".response").first.locator(".t").evaluate_all("all => all.map((one) => one.className)")

    attention = steps()
    assert pressed(page, "data-colour") == "attention" and len(set(attention)) > 4
    page.keyboard.press("s")
    sensitivity = steps()
    assert pressed(page, "data-colour") == "sensitivity" and sensitivity != attention
    page.locator("button[data-colour=none]").click()
    assert {name.split()[1] for name in steps()} == {"h0"}
    page.locator("button[data-colour=attention]").click()
    assert steps() == attention
    token = page.locator(".response").first.locator(".t").nth(1)
    assert token.get_attribute("title").startswith("token 2: ")


def test_the_right_answer_appears_and_goes(page):
    # Question 0, first model: wrong at the start, right from 40 % on, wrong again from 70 % on.
    now = page.locator(".response").first.locator(".now")
    said = {}
    for depth in range(100, -1, -5):
        text = now.inner_text()
        assert text.startswith("Whole response" if depth == 100 else f"Stopped at {depth} %")
        said[depth] = "✓" in text
        page.keyboard.press(",")
    assert [depth for depth, right in said.items() if right] == list(range(65, 39, -5))
    runs = page.locator(".response").first.locator(".run")
    assert [runs.nth(k).inner_text()[0] for k in range(3)] == ["✗", "✓", "✗"]
    runs.nth(1).click()
    assert now.inner_text().startswith("Stopped at 40 %")
    page.keyboard.press(".")
    assert now.inner_text().startswith("Stopped at 45 %")
    assert page.locator(".response").first.locator(".t.after").count() > 10


def test_both_models_stand_side_by_side_and_claims_are_listed(page):
    left, right = (page.locator(".response").nth(k) for k in range(2))
    assert right.bounding_box()["x"] > left.bounding_box()["x"] + left.bounding_box()["width"]
    assert left.locator(".verdict").count() == 3 * 6  # views by depths
    claims = left.locator("details", has=page.locator("summary", has_text="All claims"))
    claims.locator("summary").click()
    assert claims.locator("tbody tr").count() == 6 * 2
    assert claims.inner_text().count(HOSTILE[1]) == 6


def test_anchors_stand_in_the_response_and_show_what_was_asked_there(page):
    response = page.locator(".response").first
    anchors, asked = response.locator(".anchor"), response.locator(".here")
    assert anchors.count() == 6  # depths
    assert response.locator(".anchor.right, .anchor.mixed, .anchor.wrong").count() == 6
    assert anchors.last.get_attribute("class").endswith("near")  # the whole response is shown: the last one is meant
    anchors.nth(2).click()
    assert anchors.nth(2).get_attribute("class").endswith("near")
    assert "after" in anchors.nth(3).get_attribute("class")
    assert response.locator(".now").inner_text().startswith("Stopped at 40 %")
    assert asked.inner_text().startswith("Asked at 40 %, behind ") and asked.locator("tbody tr").count() == 2
    before = response.locator(".tokens").first.evaluate(
        "tokens => { const all = [...tokens.children], k = all.findIndex((one) => one.matches('.anchor.near'));"
        "return all.slice(0, k).filter((one) => one.matches('.t')).length; }"
    )
    assert f"behind {before} tokens" in asked.inner_text()


def test_text_from_data_is_text(page):
    for hostile in HOSTILE[:2] + HOSTILE[3:]:
        assert hostile in page.locator(".question").inner_text()
        assert hostile in page.locator(".response").first.locator(".tokens").first.inner_text()
        page.keyboard.press("ArrowRight")
        if hostile == HOSTILE[1]:
            page.keyboard.press("ArrowRight")
    assert page.locator("[onerror]").count() == 0
    assert page.locator("b").evaluate_all("all => all.every((one) => !one.closest('.question'))")
    page.locator("#about summary").click()
    assert HOSTILE[0] in page.locator("#about").inner_text()


def test_policy_forbids_scripts_markup_and_requests(browser, file):
    with visit(browser, file) as visited:
        page, failed = visited.page, []
        page.on("requestfailed", lambda request: failed.append((request.url, request.failure)))
        attempts = {
            "script": "const made = document.createElement('script'); made.append('window.hacked = 3'); "
            "document.body.append(made)",
            "markup": "document.body.innerHTML = '<p>'",
            "string": "setTimeout('window.hacked = 4')",
            "image": "new Image().src = 'https://example.org/x.png'",
        }
        for code in attempts.values():
            page.evaluate(f"() => {{ try {{ {code} }} catch {{}} }}")
        page.wait_for_timeout(50)
        refused = page.evaluate("fetch('https://example.org').then(() => false, () => true)")
        assert refused and page.evaluate("window.hacked === undefined")
        assert page.locator("#title").count() == 1
        assert failed == [("https://example.org/x.png", "csp")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_no_width_needs_sideways_scrolling(browser, file, width, scheme):
    with visit(browser, file, width=width, scheme=scheme) as visited:
        page = visited.page
        assert scroll_width(page) == width
        for summary in page.locator("summary").all():
            summary.click()
        for _ in HOSTILE:
            assert scroll_width(page) == width
            page.keyboard.press("ArrowRight")
        assert visited.complaints == []


def test_dark_mode_is_dark_and_redraws_curves(page):
    def lightness() -> int:
        return sum(page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"))

    assert lightness() > 600
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(200)
    assert lightness() < 150
    figure = page.locator("#curves figure").first
    assert count_pixels(figure, 0) > 60


def test_what_was_left_out_is_said_in_place_of_its_chart(browser, tmp_path):
    made = make_diagnosis(num_models=1)
    bare = replace(
        made.models[0],
        attention_by_depth=None,
        attention_by_step=None,
        attention_by_head=None,
        perception=None,
        p_label=None,
        yes_rate=None,
        accuracy_true=None,
        accuracy_false=None,
        numbers={},
        remedies=None,
        questions=tuple(
            replace(q, attention=None, sensitivity=None, probed=None, early=None, remedied=None, cause=None)
            for q in made.models[0].questions
        ),
    )
    reason = "Visual attention was left out for vapo-base: a server does not report it; run it with transformers."
    write_page(replace(made, models=(bare,), left_out=(reason,)), {}, tmp_path / "bare.html")
    with visit(browser, tmp_path / "bare.html") as visited:
        page = visited.page
        assert reason in page.locator("[data-curve=attention_by_depth] .absent").inner_text()
        assert "Not measured" in page.locator("[data-curve=perception] .absent").inner_text()
        assert reason in page.locator("#about").inner_text()
        assert page.locator("#curves canvas").count() == 2
        page.keyboard.press(",")
        page.keyboard.press("s")
        assert page.locator(".response .tokens").count() == 1
        assert page.locator("button[data-filter=differ]").count() == 0
        assert visited.complaints == []


def test_a_response_of_nothing_and_a_model_without_the_question(browser, tmp_path):
    made = make_diagnosis(num_questions=2)
    first, second = made.models
    nothing = replace(
        first.questions[0], token_texts=(), thinking=(0, 0), answer=None, early=(), probed=(), attention=None,
        sensitivity=None, remedied=(), cause=None, finished=False, notes=("The model wrote nothing.",),
    )  # fmt: skip
    models = (
        replace(first, questions=(nothing, *first.questions[1:])),
        replace(second, questions=second.questions[1:]),
    )
    write_page(replace(made, models=models), make_images(2), tmp_path / "odd.html")
    with visit(browser, tmp_path / "odd.html") as visited:
        text = visited.page.locator(".stage").inner_text()
        assert "The model wrote nothing." in text and "no answer" in text
        assert "This model has no response on this question." in text
        visited.page.keyboard.press("ArrowRight")
        assert visited.complaints == []


def test_six_curves_are_open_and_the_rest_is_drawn_when_it_is_unfolded(page):
    curves = page.locator("figure.curve")
    assert page.locator("figure.curve:visible").count() == 6 < curves.count()
    more = page.locator("details.more")
    assert more.locator("canvas").count() == 0
    more.locator("summary").first.click()
    more.locator("canvas").first.wait_for()
    assert page.locator("figure.curve:visible").count() == curves.count()


def test_maps_lie_over_the_image_and_follow_the_cut(page):
    response = page.locator(".response").first
    looks = response.locator(".look")
    assert looks.evaluate_all("all => all.map((one) => one.dataset.layers)") == ["early", "middle", "late"]
    over, under = (looks.first.locator(what).bounding_box() for what in ("canvas", "img"))
    assert all(abs(over[side] - under[side]) <= 1 for side in ("x", "y", "width", "height"))
    assert "20.0 % on the image" in looks.first.inner_text()
    said = response.locator("details", has=page.locator(".looks")).locator("p")
    assert said.inner_text().startswith("Most while it writes “")
    page.keyboard.press(",")
    before = said.inner_text()
    for _ in range(18):
        page.keyboard.press(",")
    assert before.startswith("While it writes “") and said.inner_text() not in ("", before)


def test_inspector_works_without_the_rest_of_the_page(browser, tmp_path):
    folder = files("vapo.diagnosis.page")
    names = ("elements.js", "ruler.js", "looks.js", "response.js", "inspector.js")
    response = {"tokens": ["a", " b", " c"], "thinking": [0, 2], "answer": "1", "right": True, "finished": True}
    absent = dict.fromkeys(("early", "claims", "attention", "sensitivity", "remedied", "category", "truth", "votes"))
    response |= {"notes": [], "recoverable": False, **absent}
    question = {
        "id": "q",
        "question": "?",
        "reference": "1",
        "responses": [response, {**response, "sensitivity": [0, 9, 500]}],
    }
    data = {"models": [{"name": "before"}, {"name": "after"}], "questions": [question], "images": [], "places": []}
    scripts = "".join(f"<script>{folder.joinpath(name).read_text('utf-8')}</script>" for name in names)
    mount = f"vapoPage.mountInspector(document.body, {write_data(data)}).cutAt(0.5)"
    done = "document.documentElement.dataset.ready = 'true'"
    file = tmp_path / "inspector.html"
    file.write_text(
        f"<!doctype html><meta charset=utf-8><body></body>{scripts}<script>{mount};{done}</script>", "utf-8"
    )
    with visit(browser, file) as visited:
        assert visited.page.locator(".response h4").all_inner_texts() == ["before", "after"]
        assert visited.page.locator(".now").first.inner_text().startswith("Stopped at 50 %")
        assert visited.page.locator(".t.h9").count() == 1
        assert visited.complaints == []
