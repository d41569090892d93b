from vapo.core.text_tables import align, list_facts


def test_cells_stand_in_their_columns():
    assert align(("mean", 12.5, "-"), (6, 6, 3)) == "mean    12.5  -"
    assert align(("", "a"), (3, 4, 9)) == "      a"
    assert align(("too wide", "wide too"), (3, 4)) == "too widewide too"


def test_facts():
    assert list_facts([("rows", 5), ("images", "none")], 8) == ["rows     5", "images   none"]
