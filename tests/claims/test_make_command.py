"""`vapo claims make` and `vapo claims stats`, as they are typed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from claims.making.claim_writer import answer
from openai_stub import CHAT, Reply, Stub, refuse, run_stub
from PIL import Image

from vapo.claims.store.claims import read_claims
from vapo.claims.store.images import list_image_sets, read_images, read_rows
from vapo.claims.store.store import Store
from vapo.cli import main

KEY = "sk-this-is-secret"


@pytest.fixture(autouse=True)
def own_key(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def stub() -> Iterator[Stub]:
    with run_stub() as opened:
        opened.script[CHAT] = [answer]
        yield opened


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "trip").mkdir(parents=True)
    Image.new("RGB", (20, 10), "red").save(folder / "a.png")
    Image.new("RGB", (20, 10), "blue").save(folder / "trip" / "b.jpg")
    (folder / "notes.txt").write_text("hello")
    return folder


def make(folder: Path, out: Path, *more: str) -> int:
    return main(["claims", "make", "--data", str(folder), "--out", str(out), *more])


def test_a_folder_of_images(photos: Path, tmp_path: Path, stub: Stub, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "claims.db"
    options = ["--base-url", stub.url, "--prices", "2.5", "10", "--budget", "1usd"]
    assert make(photos, out, *options) == 0
    shown = capsys.readouterr().out
    assert "2 of 2 rows have their claims" in shown and "40 claims kept, 0 rejected" in shown
    assert "2 answers, 3000 tokens, 0.0120 US dollars" in shown  # 2 x (1,200 x 2.5 + 300 x 10) / 10^6
    assert main(["claims", "stats", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "2, which show 2 images" in shown and "40: 40 tiny" in shown and "2400 + 600 tokens" in shown
    with Store(out) as store:
        assert sorted(row.name for row in read_rows(store)) == ["a.png", "trip/b.jpg"]
        assert store.find_damage() is None
    assert make(photos, out, *options) == 0 and len(stub.asked()) == 2


def test_odd_images_are_sent_and_bad_ones_are_named(tmp_path: Path, stub: Stub, capsys: pytest.CaptureFixture[str]):
    photos = tmp_path / "photos"
    photos.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # a camera held upright
    Image.new("RGB", (60, 40), "red").save(photos / "rotated.jpg", exif=exif)
    Image.new("CMYK", (60, 40)).save(photos / "cmyk.jpg")
    Image.fromarray(np.full((40, 60), 40_000, np.uint16)).save(photos / "deep.png")
    frame = Image.new("P", (60, 40), 3)
    frame.save(photos / "animated.gif", save_all=True, append_images=[Image.new("P", (60, 40), 5)])
    Image.new("L", (60, 40), 9).convert("P").save(photos / "palette.png")
    Image.new("RGB", (3000, 2000), "teal").save(photos / "large.png")
    Image.new("1", (9000, 9000)).save(photos / "huge.png")
    (photos / "empty.png").write_bytes(b"")
    whole = (photos / "large.png").read_bytes()
    (photos / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (photos / "text.jpg").write_text("I am no image")
    out = tmp_path / "claims.db"
    assert make(photos, out, "--base-url", stub.url, "--max-pixels", "600000") == 1
    shown = capsys.readouterr().out
    assert "6 of 10 rows have their claims" in shown and "4 of 10 rows cannot be read" in shown
    for name, why in (
        ("huge", "81000000 pixels"),
        ("empty", "not an image"),
        ("truncated", "truncated"),
        ("text", "not an image"),
    ):
        (line,) = [line for line in shown.splitlines() if f"{name}." in line]
        assert why in line
    with Store(out) as store:
        sizes = {
            row.name: [(i.width, i.height) for i in read_images(store, row.image_set)] for row in read_rows(store)
        }
        assert store.find_damage() is None
    assert sizes.pop("large.png") == [(3000, 2000)]
    assert sizes.pop("rotated.jpg") == [(40, 60)] and set(map(tuple, sizes.values())) == {((60, 40),)}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "name who makes the claims: a server (--base-url), a checkpoint"),
        (["--base-url", "localhost"], "'localhost' is no URL of a server"),
        (["--base-url", "URL", "--model", "huge"], "has no model 'huge'; it has tiny"),
        (["--base-url", "URL", "--budget", "25"], "the budget '25' cannot be read"),
        (["--base-url", "URL", "--budget", "25usd"], "--prices READ WRITTEN"),
        (["--base-url", "URL", "--without", "hegde"], "there is no filter 'hegde'"),
        (["--base-url", "URL", "--per-request", "3"], "per_request is 3; it must be even"),
        (["--base-url", "URL", "--concurrency", "0"], "concurrency is 0"),
        (["--base-url", "URL", "--limit", "0"], "limit is 0"),
        (["--program", "nowhere.py:f"], "there is no file nowhere.py"),
        (["--base-url", "URL", "--program", "a.py:f"], "name who makes the claims"),
        (["--base-url", "URL", "--local-embeddings", "x"], "pip install 'vapo[claims]'"),
    ],
)
def test_refusals_are_one_sentence_with_the_remedy(
    photos: Path, tmp_path: Path, stub: Stub, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
):
    assert make(photos, tmp_path / "c.db", *(stub.url if word == "URL" else word for word in options)) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("vapo: ") and said in shown and len(shown.strip().splitlines()) == 1
    assert stub.asked() == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("photos/trip/nothing", "there is no file or folder"),
        ("texts", "holds neither "),
        ("empty", "there are no files"),
    ],
)
def test_data_that_shows_nothing(
    photos: Path, tmp_path: Path, data: str, said: str, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("a")
    (tmp_path / "empty").mkdir()
    assert make(tmp_path / data, tmp_path / "c.db", "--base-url", "http://localhost:1") == 1
    assert said in capsys.readouterr().err and not (tmp_path / "c.db").exists()


def test_no_network(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    assert make(photos, tmp_path / "c.db", "--base-url", url) == 1
    shown = capsys.readouterr().err
    assert f"{url} cannot be reached" in shown and "check the URL" in shown and KEY not in shown


def test_a_wrong_key(photos: Path, tmp_path: Path, stub: Stub, capsys: pytest.CaptureFixture[str]):
    stub.script["/v1/models"] = [refuse(401, f"Incorrect API key provided: {KEY}")]
    assert make(photos, tmp_path / "c.db", "--base-url", stub.url) == 1
    shown = capsys.readouterr().err
    assert "refuses the key (401); check OPENAI_API_KEY" in shown and KEY not in shown
    assert len(shown.strip().splitlines()) == 1 and len(stub.requests) == 1


def test_a_store_of_a_newer_version(photos: Path, tmp_path: Path, stub: Stub, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "c.db"
    with Store(out, create=True) as store:
        store.execute("PRAGMA user_version = 99")
    assert make(photos, out, "--base-url", stub.url) == 1
    assert "written by a newer vapo" in capsys.readouterr().err and stub.asked() == []
    assert main(["claims", "stats", str(out)]) == 1
    assert main(["claims", "stats", str(photos / "a.png")]) == 1
    assert "is no store of claims" in capsys.readouterr().err


def test_the_key_is_in_no_file_and_no_output(
    photos: Path, tmp_path: Path, stub: Stub, capfd: pytest.CaptureFixture[str]
):
    out = tmp_path / "claims.db"
    stub.script[CHAT] = [refuse(500, f"bad key {KEY}"), answer]
    assert make(photos, out, "--base-url", stub.url) == 0
    assert stub.requests[-1][1]["authorization"] == f"Bearer {KEY}"
    more = photos.parent / "more"
    more.mkdir()
    Image.new("RGB", (9, 9), "green").save(more / "c.png")
    assert make(more, out, "--base-url", stub.url.replace("http://", "http://me:password-in-url@")) == 0
    written = b"".join(path.read_bytes() for path in tmp_path.glob("claims.db*"))
    shown = "".join(capfd.readouterr())
    for secret in (KEY, "password-in-url"):
        assert secret.encode() not in written and secret not in shown


def test_an_interrupted_command_says_how_to_go_on(photos: Path, tmp_path: Path, stub: Stub):
    noticed = threading.Event()

    def wait(body: Any) -> Reply:
        noticed.wait()
        return answer(body)

    stub.script[CHAT] = [wait]
    out = tmp_path / "claims.db"
    words = ["claims", "make", "--data", str(photos), "--out", str(out), "--base-url", stub.url, "--concurrency", "1"]
    command = [sys.executable, "-m", "vapo", *words]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as child:
        assert child.stdout is not None
        while not stub.asked():
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        notice = child.stdout.readline()
        noticed.set()
        shown, errors = child.communicate()
    assert child.returncode == 130 and "Traceback" not in errors
    assert "waiting for the answers under way; interrupt again" in notice
    assert "it was interrupted; the same command goes on" in shown and "1 of 2 rows are left" in shown
    with Store(out) as store:
        assert len(read_claims(store, 1)) == 20 and store.find_damage() is None
    stub.script[CHAT] = [answer]
    assert make(photos, out, "--base-url", stub.url) == 0 and len(stub.asked()) == 2


def test_help_shows_how_to_name_a_program(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["claims", "make", "--help"])
    assert "--program FILE.py:NAME" in capsys.readouterr().out


def test_a_program_of_the_users(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    program = tmp_path / "own.py"
    program.write_text(
        "from vapo import Claim\n"
        "def colours(row, images):\n"
        "    red = images[0].getpixel((0, 0))[0] > 128\n"
        "    yield Claim('The image is red.', red)\n"
        "    yield Claim('The image is blue.', not red)\n"
    )
    out = tmp_path / "c.db"
    assert make(photos, out, "--program", f"{program}:colours", "--per-image", "2", "--max-colour", "1") == 0
    with Store(out) as store:
        found = [
            {c.claim.text: c.claim.is_true for c in read_claims(store, image_set)}
            for image_set in list_image_sets(store)
        ]
    red, blue = "The image is red.", "The image is blue."
    assert found == [{red: True, blue: False}, {red: False, blue: True}]
