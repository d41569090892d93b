"""A run killed with SIGKILL at random moments, again and again, comes to the same claims as one that is left alone."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from claims.making.claim_writer import describe_claims, write_claims
from openai_stub import CHAT, Reply, Stub, run_stub
from PIL import Image

from vapo.claims.store.claims import read_claims
from vapo.claims.store.images import list_image_sets, read_rows
from vapo.claims.store.store import Store

CONCURRENCY = 4
CHILD = Path(__file__).with_name("slow_make.py")


def hesitate(body: dict[str, Any]) -> Reply:
    """Answer after a while, in a third of the requests with claims that must be asked for again."""
    claims = write_claims(body)
    if body["seed"] % 3 == 0:
        claims[0] = {**claims[0], "text": f"Perhaps {claims[0]['text'].lower()}"}
    reply = describe_claims(claims, tokens=(1200, 300))
    return Reply(reply.body, fault="stall", seconds=0.05)


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-this-is-secret")
    with run_stub() as opened:
        opened.script[CHAT] = [hesitate]
        yield opened


class Runs:
    """Runs of one command on one store.

    Args:
        stub: the server.
        folder: where the store and digests of the answers are written.
        photos: the images.
    """

    def __init__(self, stub: Stub, folder: Path, photos: Path) -> None:
        self.store = folder / "claims.db"
        self._answers = folder / "answers"
        self._answers.touch()
        # So many tries that even of hundreds of images none is answered amiss each time.
        options = ["--data", str(photos), "--out", str(self.store), "--base-url", stub.url, "--tries", "12"]
        self._command = [sys.executable, str(CHILD), str(self._answers), *options, "--concurrency", str(CONCURRENCY)]
        self._stub = stub

    def finish(self) -> None:
        subprocess.run(self._command, check=True, capture_output=True)

    def kill_after(self, requests: int, seconds: float) -> bool:
        """Kill a run a while after it has asked so often; return whether it was still at work."""
        until = len(self._stub.asked()) + requests
        with subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
            while len(self._stub.asked()) < until and child.poll() is None:
                time.sleep(0.002)
            time.sleep(seconds)
            child.send_signal(signal.SIGKILL)
        return child.returncode == -signal.SIGKILL

    def received(self) -> Counter[str]:
        """The answers that were there, by their digests."""
        return Counter(self._answers.read_text().splitlines())

    def stored(self) -> Counter[str]:
        with Store(self.store) as store:
            assert store.find_damage() is None
            bodies = store.read("SELECT body FROM answers")
        return Counter(hashlib.sha256(body).hexdigest() for (body,) in bodies)

    def contents(self) -> dict[str, list[tuple[str, bool]]]:
        with Store(self.store) as store:
            kept = {
                s: [(c.claim.text, c.claim.is_true) for c in read_claims(store, s)] for s in list_image_sets(store)
            }
            return {row.name: kept[row.image_set] for row in read_rows(store)}


def check(stub: Stub, folder: Path, kills: int, images: int) -> int:
    """Return how many answers were there and not yet stored when a kill came."""
    photos = folder / "photos"
    photos.mkdir()
    for number in range(images):
        Image.new("RGB", (8, 8), (number % 256, number // 256, 7)).save(photos / f"{number:04}.png")
    places = {name: folder / name for name in ("killed", "alone")}
    for place in places.values():
        place.mkdir()
    killed, alone = (Runs(stub, place, photos) for place in places.values())
    noise = random.Random(0)
    lost = 0
    for _ in range(kills):
        before = (killed.received(), killed.stored()) if killed.store.exists() else (Counter[str](), Counter[str]())
        assert killed.kill_after(noise.randrange(1, 16), noise.random() * 0.06), "the run ended before it was killed"
        received, stored = killed.received() - before[0], killed.stored()
        assert not before[1] - stored, "an answer that was stored is gone"
        # Between an answer and its commit nothing else happens: at most one can be caught there by a kill.
        missing = received - stored
        assert missing.total() <= 1
        lost += missing.total()
    killed.finish()
    asked = len(stub.asked())
    # What was asked and never stored was under way at a kill, and was asked again.
    assert killed.stored().total() <= asked <= killed.stored().total() + kills * CONCURRENCY
    alone.finish()
    assert killed.contents() == alone.contents() and len(alone.contents()) == images
    assert all(len(claims) == 20 for claims in alone.contents().values())
    assert killed.stored() == alone.stored() and set(killed.stored().values()) == {1}
    assert killed.stored().total() == len(stub.asked()) - asked > images
    return lost


def test_a_run_killed_now_and_then(stub: Stub, tmp_path: Path):
    check(stub, tmp_path, kills=4, images=48)


@pytest.mark.slow
def test_a_run_killed_fifty_times(stub: Stub, tmp_path: Path):
    print(check(stub, tmp_path, kills=50, images=500), "answers of those received were not stored yet")


def test_an_answer_that_was_stored_and_not_read_is_read_by_the_next_run(stub: Stub, tmp_path: Path):
    """As when a kill comes between the two: the answer is paid for, and is not asked for again."""
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (8, 8)).save(photos / "a.png")
    runs = Runs(stub, tmp_path, photos)
    runs.finish()
    before, asked = runs.contents(), len(stub.asked())
    with Store(runs.store) as store, store.writing():
        store.execute("DELETE FROM claims")
        store.execute("UPDATE requests SET state = 'answered'")
    runs.finish()
    assert runs.contents() == before and len(stub.asked()) == asked
