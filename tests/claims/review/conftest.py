from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from vapo.claims.review.server import ReviewServer
from vapo.claims.review.session import ReviewSession
from vapo.claims.store.claims import NewClaim, add_claims
from vapo.claims.store.images import StoredImage, add_image_set
from vapo.claims.store.store import Store
from vapo.core.image_names import name_image
from vapo.types import Claim

HOSTILE = "<img src=x onerror='window.hacked=1'></script><script>window.hacked=1</script> \" & é 猫"


def draw(colour: str) -> StoredImage:
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(stream, "PNG")
    return StoredImage(name_image(Image.new("RGB", (40, 30), colour)), 40, 30, "image/png", stream.getvalue())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of three image sets with three claims each, one of two images, and one without claims to review."""
    made = tmp_path / "claims.db"
    with Store(made, create=True) as store, store.writing():
        for colours in (("red",), ("green",), ("blue", "white")):
            image_set = add_image_set(store, [draw(colour) for colour in colours])
            texts = [f"It is {colours[0]}.", "It is black.", HOSTILE]
            news = [NewClaim(Claim(text, number == 0), "other") for number, text in enumerate(texts)]
            add_claims(store, image_set, "me", [*news, NewClaim(Claim("No.", False), "other", "too short")])
        add_image_set(store, [draw("yellow")])
    return made


@contextmanager
def serve(session: ReviewSession, port: int = 0, **limits: float) -> Iterator[ReviewServer]:
    server = ReviewServer(session, port, **limits)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
