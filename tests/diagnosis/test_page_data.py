"""What the page is given: data that cannot leave its place, curves, reasons, responses, images, within a size."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from importlib.resources import files
from io import BytesIO
from zlib import decompress

import numpy as np
import pytest
from diagnosis.made_diagnosis import HOSTILE, NAMES, make_diagnosis, make_images
from PIL import Image

from vapo.diagnosis.absences import explain_absence
from vapo.diagnosis.curves import list_curves
from vapo.diagnosis.page.filling import MAX_BYTES
from vapo.diagnosis.page.frame import write_data
from vapo.diagnosis.page.images import ImageSheet, shrink_image
from vapo.diagnosis.page.numbers import shorten
from vapo.diagnosis.page.responses import describe_questions
from vapo.diagnosis.page.write import render_page, write_page
from vapo.errors import DataError


class Scripts(HTMLParser):
    """Collect what a browser takes for scripts, and all start tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        self._open = tag == "script"

    def handle_endtag(self, tag):
        self._open = False

    def handle_data(self, data):
        if self._open:
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)


def read_back(html: str) -> dict:
    data = next(json.loads(text) for attributes, text in Scripts(html).scripts if "type" in attributes)
    responses = data["responses"]
    return {**data, "responses": json.loads(decompress(b64decode(responses))) if responses else []}


@pytest.fixture(scope="module")
def html():
    return render_page(make_diagnosis(), make_images())


@pytest.mark.parametrize("text", [*HOSTILE, "<", "</ScRiPt>", "&amp;", "\u2028\u2029", "\0", '"\\'])
def test_data_survives_and_stays_in_its_place(text: str):
    written = write_data({text: [text]})
    assert json.loads(written) == {text: [text]}
    assert written.isascii() and not set("<>&") & set(written)


def test_numbers_that_json_cannot_say_are_null():
    assert [shorten(value) for value in (float("nan"), float("inf"), None, 0.123456789)] == [None, None, None, 0.12346]
    with pytest.raises(ValueError):
        write_data(float("nan"))


def test_page_is_one_file_whose_policy_names_its_scripts_by_hash(html: str):
    found = Scripts(html)
    policy = next(attributes["content"] for tag, attributes in found.tags if "http-equiv" in attributes) or ""
    runs = [text for attributes, text in found.scripts if "type" not in attributes]
    for text in runs:
        assert f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" in policy
    assert policy.count("sha256-") == len(runs) + 1  # and the style
    assert "unsafe" not in policy and "default-src 'none'" in policy
    links = [attributes.get("src") or attributes.get("href") for _, attributes in found.tags]
    assert all(link.startswith(("#", "data:")) for link in links if link)
    assert not any(name.startswith("on") or name == "style" for _, attributes in found.tags for name in attributes)


def test_the_plotting_library_travels_with_its_licence(html: str):
    folder = files("vapo.diagnosis.page").joinpath("uplot")
    library, licence = (folder.joinpath(name).read_text() for name in ("uPlot.iife.min.js", "LICENSE"))
    assert len(library) < 300_000 and "v1.6.32" in library and library in html
    assert licence.startswith("The MIT License") and licence in html
    assert "1.6.32" in folder.joinpath("README.md").read_text()


def test_scripts_never_write_markup():
    for path in files("vapo.diagnosis.page").iterdir():
        if path.name.endswith(".js"):
            code = path.read_text(encoding="utf-8")
            assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(|fetch\(", code)
            assert "</script" not in code and "<!--" not in code


def test_everything_can_be_read_back(html: str):
    data = read_back(html)
    made = make_diagnosis()
    assert [model["name"] for model in data["summary"]["models"]] == list(NAMES)
    assert [question["id"] for question in data["responses"]] == [f"row-{k}" for k in range(12)]
    response, findings = data["responses"][1]["responses"][1], made.models[1].questions[1]
    assert response["tokens"] == list(findings.token_texts)
    assert response["attention"] == [round(1000 * share) for share in findings.attention.by_token]
    assert data["num_responses_left_out"] == data["num_images_left_out"] == 0
    image = Image.open(BytesIO(b64decode(data["images"][data["places"][3][0]].partition(",")[2])))
    assert np.array_equal(np.asarray(image.convert("RGB")), np.asarray(make_images()["row-3"][0]))  # small: exact
    assert data["places"][11] == []


def test_200_questions_with_long_responses_and_large_images_stay_below_5_mb(tmp_path):
    made = make_diagnosis(num_questions=200, num_repeats=12)  # two models, some 400 tokens a response
    assert 350 < np.mean([len(question.token_texts) for question in made.models[0].questions]) < 600
    noise = np.random.default_rng(0).integers(0, 255, (600, 800, 3)).astype("uint8")  # what compresses worst
    images = {f"row-{k}": [Image.fromarray(np.roll(noise, k))] for k in range(200)}
    write_page(made, images, tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size < MAX_BYTES < 5_000_000
    data = read_back((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert len(data["responses"]) == len(data["images"]) == 200


def test_what_does_not_fit_is_left_out_and_counted():
    html = render_page(make_diagnosis(num_questions=60), make_images(60), max_bytes=220_000)
    data = read_back(html)
    assert len(html) < 220_000
    assert 0 < len(data["responses"]) == 60 - data["num_responses_left_out"] < 60
    assert data["summary"]["num_questions"] == 60
    tight = read_back(render_page(make_diagnosis(), make_images(12, side=400), max_bytes=150_000))
    assert tight["num_images_left_out"] + len(tight["images"]) == len([p for p in tight["places"] if p])


def test_a_diagnosis_of_no_model_is_refused(tmp_path):
    with pytest.raises(DataError, match="nothing to show"):
        write_page(replace(make_diagnosis(), models=()), {}, tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


def test_curves_name_their_lines():
    curves = {curve.key: curve for curve in list_curves(make_diagnosis())}
    assert [(line.model, line.variant) for line in curves["perception"].lines] == [
        (model, view) for model in range(2) for view in ("image", "blank image", "no image")
    ]
    assert curves["perception"].reference == (0.5, "guessing")
    assert not curves["sensitivity"].y_is_share and curves["early"].y_is_share
    assert not curves["attention_by_step"].x_is_share
    assert {curve.absent for curve in curves.values()} == {""}


def test_absence_is_explained_by_what_was_said():
    made = make_diagnosis()
    first, second = made.models
    reason = "Image sensitivity was left out for a-model: it shows no distributions."
    incomplete = replace(made, left_out=("Early decision was left out for sensitivity-net: no.", reason))
    assert explain_absence("sensitivity", incomplete, [first, second]) == reason
    assert explain_absence("sensitivity", made, [second]) == "Not measured for vapo-trained."
    assert explain_absence("sensitivity", made, made.models) == "Not measured in this diagnosis."
    assert explain_absence("sensitivity", made, []) == ""
    perfect = replace(first, accuracy=replace(first.accuracy, value=1.0))
    assert explain_absence("categories", made, [perfect]) == "There are no errors."
    noted = replace(
        first, questions=tuple(replace(q, notes=("Visual attention failed: too long.",)) for q in first.questions)
    )
    assert explain_absence("attention_by_depth", made, [noted]).startswith("Visual attention failed: too long.")


def test_models_are_matched_by_row_and_occurrence():
    made = make_diagnosis(num_questions=3)
    first, second = made.models
    twice = tuple(replace(question, sample_id="same") for question in first.questions)
    rows = describe_questions(
        replace(made, models=(replace(first, questions=twice), replace(second, questions=twice[:2])))
    )
    assert [row["id"] for row in rows] == ["same"] * 3
    assert [row["responses"][1] is None for row in rows] == [False, False, True]


def test_views_of_a_claim_come_together():
    response = describe_questions(make_diagnosis())[0]["responses"][0]
    assert len(response["claims"]) == 6 * 2
    assert all(set(row["views"]) == {"image", "blank", "none"} for row in response["claims"])
    assert response["recoverable"] and not response["right"]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "L", "1", "CMYK", "I;16", "F"])
def test_images_of_every_kind_become_small(mode: str):
    image = Image.new("RGB", (900, 30), "orange").convert("L" if mode in ("I;16", "LA") else "RGB")
    image = image.convert("I").convert(mode) if mode == "I;16" else image.convert(mode)
    uri, _ = shrink_image(image, 4000)
    assert uri is not None and len(uri) <= 4000 and uri.startswith("data:image/")


def test_room_for_images_is_shared():
    drawn = [images[0] for images in make_images(9, side=300).values()]
    sheet = ImageSheet(30_000, len(drawn) + 1)
    assert [sheet.add(image) for image in [*drawn, drawn[0]]] == [*range(8), 0]  # the same one once
    assert sum(map(len, sheet.uris)) < 30_000 and sheet.num_left_out == 0
    none = ImageSheet(100, 1)
    assert none.add(drawn[0]) is None and none.num_left_out == 1
