from vapo.core.text_tables import align, list_facts


def test_cells_stand_in_their_columns():
    assert align(("mean", 12.5, "-"), (6, 6, 3)) == "mean    12.5  -"
    assert align(("", "a"), (3, 4, 9)) == "      a"
    assert align(("too wide", "wide too", "x"), (3, 4, 2)) == "too wide wide too x"
    assert align(("a", "1234", "1234"), (2, 4, 4)) == "a 1234 1234"


def test_facts():
    assert list_facts([("rows", 5), ("images", "none")], 8) == ["rows     5", "images   none"]
