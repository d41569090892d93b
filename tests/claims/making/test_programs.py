"""A user's own program can be the source of claims; the lab's is one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from claims.making.painted_rows import PaintedRow

from vapo.claims.filters.rules import FilterSettings
from vapo.claims.making.counts import format_counts
from vapo.claims.making.programs import load_program, make_claims_by_program
from vapo.claims.making.settings import MakingSettings
from vapo.claims.store.claims import read_claims
from vapo.claims.store.images import list_image_sets
from vapo.claims.store.store import Store
from vapo.data.shown import load_shown
from vapo.errors import ConfigError, DataError
from vapo.lab.exact_claims import claim_digits
from vapo.lab.shipped import resolve_data
from vapo.types import Claim


@dataclass(frozen=True)
class BoxedRow(PaintedRow):
    """A row that knows what its image shows."""

    columns: dict[str, Any] = field(default_factory=dict)


def claim_boxes(row: dict[str, Any], images: Any) -> Iterator[Claim]:
    width = images[0].width
    for box in row["boxes"]:
        yield Claim(f"The {box} is {width} pixels wide.", True)
        yield Claim(f"The {box} is {width + 1} pixels wide.", False)


def rows(*boxes: str, count: int = 3) -> list[BoxedRow]:
    return [BoxedRow(f"row-{n}", (n,), columns={"boxes": list(boxes)}) for n in range(count)]


def make(store: Store, given: list[Any], program: Any = claim_boxes, **options: Any):
    return make_claims_by_program(given, store, program, "boxes", MakingSettings(**{"per_image": 4, **options}))


def test_a_programs_claims_go_through_the_filters_into_the_store(store: Store):
    seen: list[int] = []
    counts = make_claims_by_program(
        rows("cup", "maybe plate", "bowl", "jug"),
        store,
        claim_boxes,
        "boxes",
        MakingSettings(per_image=4),
        on_progress=lambda counts: seen.append(counts.done),
    )
    assert counts.by_status == {"full": 3} and seen == [1, 2, 3] and counts.exit_code == 0
    kept = read_claims(store, 1)
    allowed = {f"The {n} is {w} pixels wide." for n in ("cup", "bowl", "jug") for w in (8, 9)}
    assert {claim.claim.text for claim in kept} <= allowed and sum(claim.claim.is_true for claim in kept) == 2
    assert {claim.maker for claim in kept} == {"boxes"} and {claim.request for claim in kept} == {None}
    assert counts.rejected == {"hedge": 6, "surplus": 6}


def test_claims_are_drawn_at_random_and_their_kinds_in_turn(store: Store, tmp_path: Path):
    def program(row: dict[str, Any], images: Any) -> Iterator[Claim]:
        for number in range(40):
            for is_true in (True, False):
                yield Claim(f"The sign of shop {number} reads {'open' if is_true else 'closed'}.", is_true)
        for number in range(3):
            for is_true in (True, False):
                yield Claim(f"Tree {number} is {'left' if is_true else 'right'} of the river.", is_true)

    make(store, rows(count=20), program, per_image=8)
    kept = [read_claims(store, number) for number in range(1, 21)]
    for own in kept:
        assert sorted((one.kind, one.claim.is_true) for one in own) == sorted(
            [("inscription", True), ("inscription", False), ("place", True), ("place", False)] * 2
        )
    shops = [int(one.claim.text.split()[4]) for own in kept for one in own if one.kind == "inscription"]
    assert len(set(shops)) > 20 and 14 < sum(shops) / len(shops) < 25  # the first ones alone would be 0 and 1
    with Store(tmp_path / "again.db", create=True) as again:
        make(again, rows(count=20), program, per_image=8)
        assert [[one.claim for one in read_claims(again, n)] for n in range(1, 21)] == [
            [one.claim for one in own] for own in kept
        ]


def test_what_a_program_did_is_said_without_tries_and_tokens(store: Store):
    text = format_counts(make(store, rows("cup")))
    assert "3 of 3 rows have fewer claims than --per-image: the program returned no more that could be kept" in text
    assert "6 claims kept, 0 rejected" in text and "tries" not in text and "tokens" not in text


def test_it_is_asked_once_about_each_image(store: Store):
    asked: list[Any] = []

    def program(row: dict[str, Any], images: Any) -> list[Claim]:
        asked.append(row)
        return list(claim_boxes(row, images))

    make(store, rows("cup"), program)
    again = make(store, [*rows("cup"), *rows("cup", count=4)[3:]], program)
    assert len(asked) == 4 and again.by_status == {"short": 4} and again.why["short"][0] == "row-0: 2 of 4 claims"
    assert len(list_image_sets(store)) == 4


def test_filters_can_be_left_out(store: Store):
    counts = make(store, rows("maybe cup", "plate"), filters=FilterSettings(without=frozenset(["hedge"])))
    assert counts.by_status == {"full": 3} and counts.rejected == {}


def test_bad_rows_do_not_stop_the_others(store: Store):
    counts = make(store, [*rows("cup", "jug"), BoxedRow("bad", (), columns={"boxes": []})])
    assert counts.by_status == {"full": 3, "unreadable": 1} and counts.exit_code == 1


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (lambda row, images: 1 / 0, "painted, row-0: the program failed: ZeroDivisionError: division by zero"),
        (lambda row, images: ["A cat sits."], "the program returned 'A cat sits.'; it must return vapo.Claim"),
        (lambda row, images: None, "the program failed: TypeError"),
    ],
)
def test_a_program_that_fails_is_told_with_the_row(store: Store, program: Any, message: str):
    with pytest.raises(DataError, match=message):
        make(store, rows("cup"), program)
    assert list_image_sets(store) == []


def test_programs_are_found_by_file_or_module(tmp_path: Path):
    file = tmp_path / "my_claims.py"
    file.write_text(
        "from vapo import Claim\ndef look(row, images):\n    return [Claim('A cat sits.', True)]\nnothing = 3\n"
    )
    assert list(load_program(f"{file}:look")({}, ())) == [Claim("A cat sits.", True)]
    assert load_program("vapo.lab.exact_claims:claim_digits") is claim_digits
    for name, message in (
        (str(file), "name it as my_claims.py:my_function"),
        (f"{file}:see", "has no function 'see'"),
        (f"{file}:nothing", "has no function 'nothing'"),
        (f"{tmp_path}/gone.py:look", "there is no file"),
        ("vapo.gone:look", "cannot be loaded: No module named"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_program(name)
    file.write_text("def look(:\n")
    with pytest.raises(ConfigError, match="cannot be loaded: invalid syntax"):
        load_program(f"{file}:look")


def test_the_labs_claims_are_exact_and_pass_all_filters(store: Store):
    shown = load_shown(resolve_data("lab"), split="heldout", limit=40)
    counts = make_claims_by_program(shown, store, claim_digits, "lab")
    assert counts.by_status == {"full": 40} and counts.rejected == {}
    for number, row in enumerate(shown, 1):
        digits = {str(digit) for line in row.columns["digits"] for digit in line}
        claims = [stored.claim for stored in read_claims(store, number)]
        present = {claim.text[-2]: claim.is_true for claim in claims if claim.text.startswith("There is")}
        assert set(present.values()) == {True, False}
        assert all(is_true == (digit in digits) for digit, is_true in present.items())


def test_rows_of_others_are_none_of_the_labs():
    with pytest.raises(DataError, match="no column 'digits'"):
        claim_digits({"id": "x"}, ())
