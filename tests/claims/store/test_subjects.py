from __future__ import annotations

from vapo.claims.store.store import Store
from vapo.claims.store.subjects import (
    SourceRow,
    StoredImage,
    add_row,
    add_subject,
    find_row,
    find_subject,
    list_subjects,
    name_subject,
    read_images,
    read_rows,
)

A, B = (StoredImage(name, 4, 3, "image/png", name.encode()) for name in "ab")


def test_the_same_pictures_are_one_subject_and_another_order_is_another(store: Store):
    with store.writing():
        first = [add_subject(store, images) for images in ([A], [A, B], [B, A], [A], [A, B])]
    assert first[:3] == list_subjects(store) and first[3:] == first[:2]
    assert read_images(store, first[2]) == (B, A)
    assert store.read("SELECT count(*) FROM images") == [(2,)]
    assert name_subject(["a"]) == "a" and find_subject(store, name_subject(["b", "a"])) == first[2]
    assert find_subject(store, "c") is None


def test_rows_say_where_a_subject_came_from(store: Store):
    with store.writing():
        one, other = add_subject(store, [A]), add_subject(store, [B])
        add_row(store, "folder", "cat.png", "v1", one)
        add_row(store, "folder", "copy of cat.png", "v1", one)
        add_row(store, "folder", "cat.png", "v2", other)
    assert find_row(store, "folder", "cat.png") == SourceRow("folder", "cat.png", "v2", other)
    assert find_row(store, "elsewhere", "cat.png") is None
    assert [(row.name, row.subject) for row in read_rows(store)] == [("cat.png", other), ("copy of cat.png", one)]
