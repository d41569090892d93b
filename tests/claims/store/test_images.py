from __future__ import annotations

from typing import Any

import pytest

from vapo.claims.store.images import (
    SourceRow,
    StoredImage,
    add_image_set,
    add_row,
    find_image_set,
    find_row,
    list_image_sets,
    name_image_set,
    read_images,
    read_rows,
)
from vapo.claims.store.store import Store, StoreError

A, B = (StoredImage(name * 64, 4, 3, "image/png", name.encode()) for name in "ab")


def test_the_same_images_are_one_image_set_and_another_order_is_another(store: Store):
    with store.writing():
        first = [add_image_set(store, images) for images in ([A], [A, B], [B, A], [A], [A, B])]
    assert first[:3] == list_image_sets(store) and first[3:] == first[:2]
    assert read_images(store, first[2]) == (B, A)
    assert store.read("SELECT count(*) FROM images") == [(2,)]
    assert name_image_set([A.name]) == A.name and find_image_set(store, name_image_set([B.name, A.name])) == first[2]
    assert find_image_set(store, "c") is None


def test_rows_say_where_an_image_set_came_from(store: Store):
    with store.writing():
        one, other = add_image_set(store, [A]), add_image_set(store, [B])
        add_row(store, "folder", "cat.png", "v1", one)
        add_row(store, "folder", "copy of cat.png", "v1", one)
        add_row(store, "folder", "cat.png", "v2", other)
    assert find_row(store, "folder", "cat.png") == SourceRow("folder", "cat.png", "v2", other)
    assert find_row(store, "elsewhere", "cat.png") is None
    assert [(row.name, row.image_set) for row in read_rows(store)] == [("cat.png", other), ("copy of cat.png", one)]


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../../x"},
        {"name": "/etc/cron.d/x"},
        {"name": "A" * 64},
        {"name": "a" * 64 + "\n"},
        {"name": b"a" * 64},
        {"media_type": "text/html"},
        {"media_type": "image/svg+xml"},
        {"media_type": "image/png\r\nSet-Cookie: x=1"},
        {"width": 0},
        {"height": "tall"},
        {"content": 10**10},  # as many zeros, if it were taken for a length
        {"content": "text"},
    ],
)
def test_an_image_that_vapo_would_not_have_written_is_refused(store: Store, change: dict[str, Any]):
    kept = {"name": A.name, "width": 4, "height": 3, "media_type": "image/png", "content": b"a", **change}
    with store.writing():
        image_set = add_image_set(store, [StoredImage(**kept)])
    with pytest.raises(StoreError, match=r"claims\.db: its image .* is not as vapo writes them"):
        read_images(store, image_set)
