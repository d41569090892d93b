"""The review page in a real browser: keys annotation, edits and undo work, what is stored is what is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from claims.review.conftest import HOSTILE, serve
from diagnosis.browser import CHROMIUM, start_chromium

from vapo.claims.review.server import ReviewServer
from vapo.claims.review.session import ReviewSession
from vapo.claims.store.annotations import Annotation, read_annotations
from vapo.claims.store.store import Store

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser():
    with start_chromium() as browser:
        yield browser


@contextmanager
def visit(browser: Any, server: ReviewServer) -> Iterator[Any]:
    page, complaints, requests = browser.new_page(viewport={"width": 1200, "height": 800}), [], []
    page.set_default_timeout(10_000)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(server.url)
    page.wait_for_selector("html[data-ready]")
    yield page
    assert complaints == []
    assert all(url.startswith((server.url, "data:")) for url in requests)
    assert page.evaluate("window.hacked === undefined")
    page.close()


@pytest.fixture
def server(path):
    with serve(ReviewSession(path, "ann")) as server:
        yield server


@pytest.fixture
def page(browser, server):
    with visit(browser, server) as page:
        yield page


def marks_of(path, reviewer: str = "ann") -> dict[int, Annotation]:
    with Store(path) as store:
        return {claim: given[0] for claim, given in read_annotations(store, reviewer=reviewer).items()}


def current(page) -> str:
    return page.locator("#claims li[aria-current=true]").get_attribute("data-claim")


def wait_for_counts(page, text: str) -> None:
    page.get_by_text(text).wait_for()


def test_an_image_with_its_claims(page):
    assert page.locator("#place").inner_text() == "image 1 of 3"
    assert page.locator("#claims li").count() == 3
    assert page.locator("#reviewer").inner_text() == "as ann"
    for number in range(page.locator("#images img").count()):
        assert (
            page.locator("#images img").nth(number).evaluate("image => image.decode().then(() => image.naturalWidth)")
            == 40
        )


def test_keys_mark_and_go_on(page, path):
    """Nine claims in nine keys, pressed faster than the server answers."""
    shown = [page.locator("#claims li").nth(number).get_attribute("data-claim") for number in range(3)]
    page.keyboard.type("rwurrrrwr")
    wait_for_counts(page, "9 of 9 claims: 6 right, 2 wrong, 1 unclear")
    assert page.get_by_text("All claims are judged").is_visible()
    annotations = marks_of(path)
    assert len(annotations) == 9
    assert [annotations[int(claim)].judgement for claim in shown] == ["right", "wrong", "unclear"]


def test_the_rate_is_wilsons_and_its_interval_narrows(page):
    page.keyboard.type("wr")
    wait_for_counts(page, "2 of 9")
    assert "50.0 % wrong" in page.locator("#rate").inner_text()
    widths = [page.locator(".interval i").bounding_box()["width"]]
    for number in range(3, 10):
        page.keyboard.type("r" if number % 2 else "w")
        wait_for_counts(page, f"{number} of 9")
        widths.append(page.locator(".interval i").bounding_box()["width"])
    assert widths[-1] < 0.75 * widths[0]


def test_moving_and_marking_again(page, path):
    first = current(page)
    page.keyboard.press("r")
    page.keyboard.press("ArrowUp")
    page.locator(f"li[data-claim='{first}'][aria-current=true]").wait_for()
    page.keyboard.press("w")
    wait_for_counts(page, "1 of 9 claims: 0 right, 1 wrong")
    page.keyboard.press("ArrowRight")
    page.get_by_text("image 2 of 3").wait_for()
    page.get_by_role("button", name="previous image").click()
    page.get_by_text("image 1 of 3").wait_for()
    assert page.locator(f"li[data-claim='{first}'] .annotation").inner_text() == "wrong"
    page.locator("#claims li").nth(2).click()
    page.get_by_role("button", name="Unclear").click()
    wait_for_counts(page, "2 of 9")
    assert sorted(annotation.judgement for annotation in marks_of(path).values()) == ["unclear", "wrong"]


def test_an_edit_is_a_wrong_mark_with_what_it_should_read(page, path):
    claim = int(current(page))
    page.keyboard.press("e")
    page.locator("#text").wait_for()
    page.locator("#text").fill("It is rather dark, <b>isn't it?</b>")
    page.keyboard.press("Enter")
    wait_for_counts(page, "1 of 9 claims: 0 right, 1 wrong")
    assert marks_of(path) == {claim: Annotation(claim, "ann", "wrong", "It is rather dark, <b>isn't it?</b>", None)}
    assert "isn't it?</b>" in page.locator(f"li[data-claim='{claim}']").inner_text()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("e")
    assert page.locator("#text").input_value() == "It is rather dark, <b>isn't it?</b>"
    page.keyboard.type("rwu")  # into the text, not at the claims
    page.keyboard.press("Escape")
    assert page.locator("#editor").is_hidden() and len(marks_of(path)) == 1


def test_a_label_can_be_turned_round_in_the_editor(page, path):
    claim = int(current(page))
    before = page.locator(f"li[data-claim='{claim}'] .label").inner_text()
    page.keyboard.press("e")
    page.get_by_label("false" if before.lower() == "true" else "true", exact=True).check()
    page.get_by_role("button", name="Save").click()
    wait_for_counts(page, "1 of 9 claims: 0 right, 1 wrong")
    assert marks_of(path)[claim].is_true is (before.lower() == "false") and marks_of(path)[claim].text is None


def test_undo_returns_to_the_claim(page, path):
    first = current(page)
    page.keyboard.type("rw")
    wait_for_counts(page, "2 of 9")
    page.keyboard.type("zz")
    wait_for_counts(page, "0 of 9")
    assert current(page) == first and marks_of(path) == {}


def test_hostile_text_is_inert(page):
    texts = page.locator("#claims li span[dir]").all_inner_texts()
    assert HOSTILE in texts
    assert page.locator("#claims img, #claims script").count() == 0


def test_a_reload_goes_on_where_marks_are_missing(page, path):
    page.keyboard.type("rrrr")
    wait_for_counts(page, "4 of 9")
    page.reload()
    page.wait_for_selector("html[data-ready]")
    page.get_by_text("image 2 of 3").wait_for()
    assert page.locator("#claims li").nth(1).get_attribute("aria-current") == "true"


def test_two_reviewers_at_once(browser, page, path):
    with serve(ReviewSession(path, "bob")) as server, visit(browser, server) as other:
        page.keyboard.type("rw")
        other.keyboard.type("wwu")
        wait_for_counts(page, "2 of 9 claims: 1 right, 1 wrong, 0 unclear")
        wait_for_counts(other, "3 of 9 claims: 0 right, 2 wrong, 1 unclear")
    assert len(marks_of(path)) == 2 and len(marks_of(path, "bob")) == 3


def test_one_reviewer_in_two_browsers_sees_what_the_other_has_marked(browser, page, server, path):
    other = browser.new_page()
    other.goto(server.url)
    other.wait_for_selector("html[data-ready]")
    claim = current(page)
    page.keyboard.press("r")
    wait_for_counts(page, "1 of 9 claims: 1 right")
    other.keyboard.press("w")  # unseen
    other.get_by_text("on another page").wait_for()
    assert other.locator(f"li[data-claim='{claim}'][aria-current=true] .annotation").inner_text() == "right"
    assert marks_of(path)[int(claim)].judgement == "right"
    other.keyboard.press("w")
    wait_for_counts(other, "1 of 9 claims: 0 right, 1 wrong")
    assert marks_of(path)[int(claim)].judgement == "wrong"
    other.close()


def test_a_mark_that_is_not_stored_is_not_shown(browser, path):
    with serve(ReviewSession(path, "ann")) as server:
        page = browser.new_page()
        page.goto(server.url)
        page.wait_for_selector("html[data-ready]")
    page.keyboard.press("r")
    page.get_by_text("Nothing was stored: the review has ended").wait_for()
    assert page.locator("li.right").count() == 0 and marks_of(path) == {}
    page.close()


@pytest.mark.parametrize("width", [380, 1200])
def test_nothing_overflows(browser, server, width):
    with visit(browser, server) as page:
        page.set_viewport_size({"width": width, "height": 700})
        page.keyboard.press("?")
        page.locator("#help").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
