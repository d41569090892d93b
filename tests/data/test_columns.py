from __future__ import annotations

from vapo.data.columns import Columns, match_columns

PLAIN = ["problem", "answer", "images"]


def test_published_names_are_the_defaults() -> None:
    numbered = [f"{kind}_{number}" for kind in ("claim", "label") for number in range(1, 21)]
    layout = match_columns(Columns(), [*PLAIN, *numbered], require_claims=True)
    assert layout.problems == ()
    assert layout.claim_pairs == tuple((f"claim_{number}", f"label_{number}") for number in range(1, 21))


def test_pairs_are_matched_by_number_whatever_the_order_of_columns() -> None:
    layout = match_columns(Columns(), [*PLAIN, "label_10", "claim_2", "claim_10", "label_2"])
    assert layout.claim_pairs == (("claim_2", "label_2"), ("claim_10", "label_10"))


def test_a_claim_without_its_label_is_a_problem() -> None:
    layout = match_columns(Columns(), [*PLAIN, "claim_1", "label_1", "claim_2", "label_3"])
    assert layout.problems == (
        "column 'claim_2' has no partner 'label_2'; add it or drop 'claim_2'",
        "column 'label_3' has no partner 'claim_3'; add it or drop 'label_3'",
    )


def test_a_missing_column_names_the_nearest() -> None:
    (problem,) = match_columns(Columns(), ["problems", "answer", "images"]).problems
    assert "no column 'problem'; the nearest is 'problems'; the columns are 'problems', 'answer', 'images'" in problem
    assert "Columns(question=...)" in problem


def test_every_missing_column_is_named() -> None:
    problems = match_columns(Columns(id="key", claims="facts"), ["x"]).problems
    assert [problem.split("'")[1] for problem in problems] == ["problem", "answer", "images", "key", "facts"]


def test_one_image_column_is_found_under_its_usual_names() -> None:
    for name in ("image", "images", "file_name"):
        assert match_columns(Columns(), ["problem", "answer", name]).images == name
    assert match_columns(Columns(), [*PLAIN, "image"]).images == "images"


def test_a_named_image_column_is_not_replaced_by_another() -> None:
    layout = match_columns(Columns(images="photo"), PLAIN)
    assert layout.images is None
    assert "no image to look at" in layout.problems[0]


def test_answers_are_found_under_their_usual_names() -> None:
    for name in ("answer", "solution"):
        layout = match_columns(Columns(), ["problem", "images", name])
        assert (layout.answer, layout.problems) == (name, ())
    assert match_columns(Columns(), ["solution", *PLAIN]).answer == "answer"
    assert match_columns(Columns(answer="key"), ["solution", *PLAIN]).answer is None


def test_no_claims_come_first_among_the_problems() -> None:
    problems = match_columns(Columns(), ["answer", "images"], require_claims=True).problems
    assert problems[0].startswith("there are no claims")
    assert "'problem'" in problems[1]


def test_claims_in_both_forms_are_ambiguous() -> None:
    (problem,) = match_columns(Columns(), [*PLAIN, "claims", "claim_1", "label_1"]).problems
    assert "claims stand twice" in problem


def test_used_columns_leave_out_the_others() -> None:
    layout = match_columns(Columns(), [*PLAIN, "notes", "id", "claim_1", "label_1"])
    assert set(layout.used) == {*PLAIN, "id", "claim_1", "label_1"}


def test_id_none_ignores_a_column_called_id() -> None:
    assert match_columns(Columns(id=None), [*PLAIN, "id"]).id is None
    assert match_columns(Columns(), [*PLAIN, "id"]).id == "id"
