from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tiny_models import build_tiny

from vapo.data.inspection import Spread, classify_answer, inspect_samples
from vapo.data.inspection_table import format_inspection
from vapo.data.refused_sizes import SizeCheck
from vapo.data.samples import load_samples
from vapo.errors import DataError
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.prompt_writer import PromptWriter

MakeRow = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("answer", ["3", "-4.5", "$12$", "1,000", "50%", "50\\%", "\\frac{1}{2}", "3/4", "\\boxed{7}"])
def test_numbers(answer: str) -> None:
    assert classify_answer(answer) == "number"


@pytest.mark.parametrize("answer", ["A", "(B)", "c", "D.", "\\boxed{E}"])
def test_choices(answer: str) -> None:
    assert classify_answer(answer) == "multiple choice"


@pytest.mark.parametrize("answer", ["a temple", "x = 3", "12 cm", "Yes", "Z"])
def test_texts(answer: str) -> None:
    assert classify_answer(answer) == "text"


def test_what_is_there_is_counted(make_row: MakeRow, photo: Any) -> None:
    large = photo.resize((200, 40))
    rows = [make_row(), make_row(images=[photo, large], answer="3"), make_row(claims=[], answer="B")]
    found = inspect_samples(rows)
    assert (found.rows, found.good_rows, found.images) == (3, 3, 4)
    assert found.widths == Spread(96, 96, 200)
    assert found.heights == Spread(40, 64, 64)
    assert found.images_per_row == {1: 2, 2: 1}
    assert (found.claims, found.true_claims, found.claims_per_row) == (4, 2, {0: 1, 2: 2})
    assert found.answer_kinds == {"text": 1, "number": 1, "multiple choice": 1}
    assert found.question_characters == Spread(13, 13, 13)
    assert found.problems == ()


def test_answers_are_unwrapped_and_those_nobody_can_match_are_shown(make_row: MakeRow) -> None:
    answers = ["<answer>D</answer>", "Answer: 3", "\\boxed{3}", "so it is\n#### 72", "a temple", "\\frac{1}{", "? ?"]
    rows = [make_row(answer=answer) for answer in answers]
    found = inspect_samples(rows)
    assert (found.wrapped_answers, found.unreadable_answers) == (4, ("\\frac{1}{", "? ?"))
    assert [sample.answer for sample in load_samples(rows)] == ["D", "3", "3", "72", "a temple", "\\frac{1}{", "? ?"]
    table = format_inspection(found)
    assert "wrapped answers      4 in a box or a tag, or behind 'Answer:'; unwrapped" in table
    assert "unreadable answers   2 that no response can match, such as '\\\\frac{1}{', '? ?'" in table
    with pytest.raises(DataError, match="answer is empty but for what it is wrapped in"):
        load_samples([make_row(answer="<answer> </answer>")])


def test_every_problem_is_found(make_row: MakeRow) -> None:
    rows = [
        make_row(problem=None),
        make_row(),
        make_row(images=[b"no image"]),
        make_row(images=[]),
        make_row(claims=[{"text": "a", "is_true": "MAYBE"}]),
    ]
    found = inspect_samples(rows)
    assert (found.rows, found.good_rows) == (5, 1)
    assert [problem.row for problem in found.problems] == [0, 2, 3, 4]
    table = format_inspection(found)
    assert "4 problems" in table
    assert "row 4: label 'MAYBE' is neither CORRECT nor WRONG" in table
    assert format_inspection(found, max_problems=1).count("  row ") == 1


def test_problems_of_a_kind_are_one_and_say_what_to_do(make_row: MakeRow, tmp_path: Path) -> None:
    rows = [make_row(images=[f"photos/{k}.png"] if k != 7 else []) for k in range(120)]
    for row in rows:
        row["claims"] = []
    (tmp_path / "data").mkdir()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "0.png").write_bytes(b"")
    (tmp_path / "data" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = format_inspection(inspect_samples(tmp_path / "data")).splitlines()
    kinds = lines[lines.index("120 problems") + 1 :]
    assert len(kinds) < 8
    assert kinds[0].endswith(f"(--image-folder {tmp_path})") and "row 0 " in kinds[0]
    assert any("and 117 like it, in rows 2-6, 8-119" in line for line in kinds)
    with pytest.raises(DataError, match=r"row 0 .*; row 1 .* \(and 117 more like it\); row 7 .*image"):
        load_samples(tmp_path / "data", on_bad_row="skip")


def test_missing_columns_do_not_stop_the_search(make_row: MakeRow) -> None:
    rows = [{name: value for name, value in make_row().items() if name not in ("answer", "claims")}]
    found = inspect_samples([*rows, {**rows[0], "problem": ""}], require_claims=True)
    reasons = [str(problem) for problem in found.problems]
    assert len(reasons) == 4
    assert reasons[0].startswith("the data set: there are no claims")
    assert reasons[1].startswith("the data set: there is no column 'answer'")
    assert reasons[3] == "row 1: problem is empty"


def test_data_without_images_or_rows_is_one_problem(make_row: MakeRow) -> None:
    (problem,) = inspect_samples([make_row(images=None)] * 3).problems
    assert str(problem) == "the data set: no row has an image to look at"
    (problem,) = inspect_samples([]).problems
    assert str(problem) == "the data set: it is empty: it has no rows"
    assert "problem" in format_inspection(inspect_samples([]))


def test_a_source_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        inspect_samples(tmp_path)


class CharacterProcessor:
    """Counts ten tokens for an image and one for each character; refuses images of a ratio above 20."""

    @staticmethod
    def image_processor(images: list[Image.Image], return_tensors: str) -> None:
        (image,) = images
        if max(image.size) > 20 * min(image.size):
            raise ValueError("too long.")

    def apply_chat_template(self, conversations: list[Any], **options: Any) -> dict[str, torch.Tensor]:
        parts = [part for message in conversations[0] for part in message["content"]]
        length = sum(10 if part["type"] == "image" else len(part["text"]) for part in parts)
        return {"input_ids": torch.zeros(1, length, dtype=torch.long)}


def test_prompts_are_measured_under_a_processor(make_row: MakeRow) -> None:
    rows = [make_row(problem="x" * number) for number in range(1, 11)]
    found = inspect_samples(rows, processor=CharacterProcessor(), system_prompt="abc")
    assert found.prompt_tokens == Spread(14, 18.5, 23)
    assert inspect_samples(rows, processor=CharacterProcessor(), max_prompts=3).prompts_measured == 3
    assert "14 / 18.5 / 23 tokens, over 10 prompts" in format_inspection(found)


@pytest.mark.parametrize(
    "family", ["llava", *(pytest.param(one, marks=pytest.mark.torchvision) for one in ("gemma3", "mistral3", "ovis2"))]
)
def test_prompts_have_the_tokens_of_training(make_row: MakeRow, family: str) -> None:
    """Where template and tokenizer both write what opens a prompt, it stands there once."""
    model, processor = build_tiny(family)
    rows = [make_row(problem="How many?"), make_row(images=[Image.new("RGB", (56, 84))] * 2)]
    writer = PromptWriter(Policy(model, processor))
    lengths = [len(writer.write(sample).ids) for sample in load_samples(rows)]
    found = inspect_samples(rows, processor=processor)
    assert found.prompt_tokens == Spread(min(lengths), sum(lengths) / 2, max(lengths))


def test_images_that_the_processor_refuses_are_named_by_row(make_row: MakeRow) -> None:
    sizes = [(96, 64), (2280, 10), (10, 2280), (160, 10)]
    rows = [make_row(images=[Image.new("RGB", size)]) for size in sizes]
    found = inspect_samples(rows, processor=CharacterProcessor())
    said = "an image is {} pixels, which the model's processor refuses (too long); crop the image, or pad it"
    assert [str(problem) for problem in found.problems] == [
        f"row 1: {said.format('2280 x 10')}",
        f"row 2: {said.format('10 x 2280')}",
    ]
    assert found.prompts_measured == 2
    assert list(load_samples(rows, processors=[CharacterProcessor()], on_bad_row="skip").row_numbers) == [0, 3]
    with pytest.raises(DataError, match=r"row 1: an image is 2280 x 10 pixels, .*; fix the row or pass"):
        load_samples(rows, processors=[CharacterProcessor()])
    assert len(load_samples(rows)) == 4


class SquareProcessor:
    """Refuses images that are not square, of those whose size is unusual."""

    @staticmethod
    def image_processor(images: list[Image.Image], return_tensors: str) -> None:
        if images[0].width != images[0].height:
            raise ValueError("not square")


def test_every_processor_is_asked_which_sizes_it_refuses(make_row: MakeRow) -> None:
    rows = [make_row(images=Image.new("RGB", size)) for size in ((96, 64), (160, 10), (10, 10), (2280, 10))]
    kept = load_samples(rows, processors=[CharacterProcessor(), SquareProcessor()], on_bad_row="skip")
    assert list(kept.row_numbers) == [0, 2]
    assert [str(problem)[:40] for problem in kept.skipped] == [
        "row 1: an image is 160 x 10 pixels, whic",
        "row 3: an image is 2280 x 10 pixels, whi",
    ]
    assert ["not square" in str(problem) for problem in kept.skipped] == [True, False]


def test_samples_tell_later_which_of_them_a_processor_refuses(make_row: MakeRow) -> None:
    sizes = [(96, 64), (160, 10), (10, 10), (2280, 10)]
    samples = load_samples([make_row(images=Image.new("RGB", size)) for size in sizes])
    found = samples.find_refused(SizeCheck(SquareProcessor()))
    assert {place: problem.row for place, problem in found.items()} == {1: 1, 3: 3}
    assert list(samples[2:].find_refused(SizeCheck(CharacterProcessor()))) == [1]
    assert samples[1:2].leave_out({0: "it is one"}).find_refused(SizeCheck(SquareProcessor())) == {}


def test_the_table_is_readable(make_row: MakeRow) -> None:
    assert format_inspection(inspect_samples([make_row(), make_row(answer="5")])).splitlines() == [
        "data                 the rows given",
        "rows                 2 (2 good)",
        "images               2",
        "images per row       1 in 2 rows",
        "image width          96 / 96 / 96 pixels (least / median / greatest)",
        "image height         64 / 64 / 64 pixels",
        "question length      13 / 13 / 13 characters",
        "answers              1 text, 1 number",
        "claims               4: 2 CORRECT (50.0%), 2 WRONG",
        "claims per row       2 in 2 rows",
        "",
        "no problems",
    ]


def test_rows_whose_claims_have_one_truth_are_named(make_row: MakeRow) -> None:
    true, false = ({"text": f"It is {truth}.", "is_true": truth} for truth in (True, False))
    rows = [make_row(claims=claims) for claims in ([true, true], [false], [true, false], [])]
    found = inspect_samples(rows)
    assert found.rows_of_one_truth == ("row 0", "row 1")
    assert "in 2 rows, where the same answer to every claim is right: row 0, row 1\n" in format_inspection(found)
    many = format_inspection(inspect_samples([make_row(claims=[true])] * 7))
    assert "is right: row 0, row 1, row 2, row 3, row 4 and 2 more\n" in many
    assert "claims of one truth" not in format_inspection(inspect_samples([make_row()]))
