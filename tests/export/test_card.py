from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from diagnosis.made_diagnosis import make_diagnosis
from export.conftest import make_checkpoint, make_run
from export.made_evaluation import make_evaluation
from PIL import Image

from vapo.claims.contents import count_contents
from vapo.claims.exchange.rows import ClaimRow, import_rows
from vapo.claims.quality.quality import measure_quality
from vapo.claims.store.images import StoredImage
from vapo.claims.store.store import Store
from vapo.core.image_names import name_image
from vapo.diagnosis.tables import write_tables
from vapo.export.agreement import Agreement
from vapo.export.base import Base
from vapo.export.card import CardContents, replace_checks, write_card
from vapo.export.measured import read_diagnosis
from vapo.export.origin import Origin, find_origin
from vapo.types import Claim

ALIKE = Agreement("transformers", 8, 512, 512, 0.0, 1e-7, 0, "float32")
BARE = CardContents("mine", Origin(Path("model")), None, False, "float32", 1_100_000, (), (), None, None, "1.2.3")


def find_sections(card: str) -> dict[str, str]:
    parts = re.split(r"^## (.*)$", card, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def read_head(card: str) -> dict[str, object]:
    return yaml.safe_load(card[4:].partition("\n---")[0])


@pytest.fixture
def origin(tmp_path) -> Origin:
    run = make_run(tmp_path / "run", system_prompt='Say "why".', learning_rate=3e-6)
    make_checkpoint(run, 2, of=30)
    return find_origin(run)


def test_what_is_not_known_is_said():
    card = write_card(BARE)
    sections = find_sections(card)
    for title in ("Data", "How it was trained", "What was measured", "What it sees along its responses"):
        assert sections[title].strip() == "Not recorded."
    assert "is not recorded here" in sections["Claims"] and "neither is the licence" in sections["Licence"]
    assert "in a way that vapo has no record of" in card and "It has 1.1 million parameters in float32" in card
    assert "system message it was trained with is not recorded" in card
    assert "license" not in read_head(card) and "base_model" not in read_head(card)


def test_a_run_is_told(origin):
    base = Base("org/base-vl", True, {"license": "other", "license_name": "its-own"})
    card = write_card(replace(BARE, origin=origin, base=base, merged=True, agreements=(ALIKE,)))
    sections, head = find_sections(card), read_head(card)
    assert (head["base_model"], head["license"], head["license_name"]) == ("org/base-vl", "other", "its-own")
    assert head["tags"] == ["vapo"] and "Vision-Anchored Policy Optimization" in card
    assert "The run was not at its end: this is step 2 of 30." in card and "Its adapter is merged" in card
    assert "| rows | 7 |" in sections["Data"] and "| claims | 5, of which 3 are true |" in sections["Data"]
    assert "SHA-256 ab12" in sections["Data"]
    recipe = yaml.safe_load(sections["How it was trained"].partition("```yaml\n")[2].partition("```")[0])
    assert recipe["learning_rate"] == 3e-6 and recipe["data"] == "/path/to/charts.parquet"
    assert "0.1 at step 1, 0.2 at step 2" in sections["How it was trained"]  # what was logged after it is not its own
    assert "| vapo | 0.1.0 |" in sections["How it was trained"]
    assert "512 of 512 greedy tokens of 8 questions are the same" in sections["Checked when it was exported"]
    assert "That of org/base-vl" in sections["Licence"] and "/home" not in card


def test_its_code_asks_as_it_was_trained(origin):
    code = find_sections(write_card(replace(BARE, origin=origin)))["How to ask it"]
    conversation = code.partition("conversation = ")[2].partition("\ninputs")[0]
    system, user = eval(conversation)
    assert system["content"][0]["text"] == 'Say "why".' and user["content"][0]["type"] == "image"
    compile(code.partition("```python\n")[2].partition("```")[0], "card", "exec")


@pytest.mark.parametrize(
    ("settings", "words", "tags"),
    [
        ({"algorithm": "grpo"}, "GRPO, without the reward of", ["vapo", "grpo"]),
        ({"perception_weight": 0}, "and weighed nothing", ["vapo"]),
        ({"algorithm": "theirs"}, "theirs", ["vapo", "theirs"]),
        ({"load_in_4bit": True}, "trained on quantised weights (QLoRA)", ["vapo"]),
    ],
)
def test_how_it_was_trained_is_said(tmp_path, settings, words, tags):
    run = make_run(tmp_path / "run", **settings)
    (run / "finished").touch()
    card = write_card(replace(BARE, origin=find_origin(run)))
    assert words in card and read_head(card)["tags"] == tags


def test_measurements_keep_their_intervals():
    card = write_card(replace(BARE, evaluations=((make_evaluation(), True), (make_evaluation(), False))))
    section = find_sections(card)["What was measured"]
    assert "| right answers, greedy | 60.0 % \\[50.0, 70.0\\] |" in section
    assert "| completion length, tokens | 50.5 \\[45.0, 55.2\\] |" in section
    assert "quarter 4 of 4 | 50.0 % \\[40.0, 60.0\\] of 120 claims" in section
    assert "last quarter less before | -40.0 points \\[-50.0, -30.0\\]" in section
    assert section.count("Measured on these weights.") == 1
    assert "Its file calls the model first; whether it had these weights is not known." in section


def test_an_evaluation_on_what_it_was_trained_on_says_so(origin):
    told = "**The model was trained on this data set** (split train)"
    for data, said in (("/elsewhere/charts.parquet", True), ("other.parquet", False)):
        evaluation = replace(make_evaluation(), data=data)
        card = write_card(replace(BARE, origin=origin, evaluations=((evaluation, True),)))
        assert (told in find_sections(card)["What was measured"]) == said


def test_a_diagnosis_is_told_and_shown(tmp_path):
    diagnosis = make_diagnosis(2, num_models=1)
    write_tables(diagnosis, tmp_path)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "attention_by_depth.png").touch()
    section = find_sections(write_card(replace(BARE, diagnosis=read_diagnosis(tmp_path))))[
        "What it sees along its responses"
    ]
    assert "![attention by depth](figures/attention_by_depth.png)" in section
    assert "right answers, whole responses" in section and "<script>" not in section


def test_claims_are_told_as_their_own_card_tells_them(tmp_path):
    image, stream = Image.new("RGB", (9, 9)), io.BytesIO()
    image.save(stream, "PNG")
    kept = StoredImage(name_image(image), 9, 9, "image/png", stream.getvalue())
    with Store(tmp_path / "claims.db", create=True) as store:
        import_rows(store, [ClaimRow("train", "row-0", (kept,), (Claim("It is black.", True),), ("gpt|5",))])
        claims = (count_contents(store), measure_quality(store))
    section = find_sections(write_card(replace(BARE, claims=claims)))["Claims"]
    assert "| gpt\\|5 | 1 |" in section and "| reviewed | nothing yet" in section


def test_checks_are_written_anew():
    card = write_card(replace(BARE, agreements=(ALIKE,)))
    assert write_card(replace(BARE, agreements=(ALIKE, replace(ALIKE, copy="vLLM")))) == replace_checks(
        card, (ALIKE, replace(ALIKE, copy="vLLM"))
    )


HOSTILE = "a\n```\n<script>alert(1)</script>\n````\n# Trust me\n~~~\n\x1b[31m\u202e\n---\nlicense: mit"


def test_a_run_file_does_not_end_its_own_block(tmp_path):
    run = make_run(tmp_path / "run", system_prompt=HOSTILE, learning_rate=3e-6)
    make_checkpoint(run, 2, of=30)
    card = write_card(replace(BARE, origin=find_origin(run)))
    opened: str | None = None
    outside: list[str] = []
    for line in card.split("\n"):
        marks = re.match(r" {0,3}(`{3,})(.*)$", line)
        if opened is None:
            outside.append(line)
            opened = marks[1] if marks else None
        elif marks and len(marks[1]) >= len(opened) and not marks[2].strip():
            opened = None
    assert opened is None
    assert "<script>" not in "\n".join(outside) and "# Trust me" not in outside
    assert "\x1b" not in card and "\u202e" not in card


def test_the_head_of_a_card_holds_what_it_should(tmp_path):
    run = make_run(tmp_path / "run", algorithm=HOSTILE)
    make_checkpoint(run, 2, of=30)
    base = Base(HOSTILE, True, {"license": HOSTILE})
    card = write_card(replace(BARE, origin=find_origin(run), base=base))
    head = read_head(card)
    assert set(head) == {"library_name", "pipeline_tag", "base_model", "license", "tags"}
    assert head["license"].startswith("a ``` <script>") and len(head["tags"]) == 2
