"""The commands that check and move claims, as a user types them, with mistakes too."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import datasets
import pytest
from openai_stub import CHAT, refuse, run_stub, say
from PIL import Image

from vapo.claims.store.annotations import Annotation, add_annotation
from vapo.claims.store.store import Store
from vapo.cli import main
from vapo.data.samples import load_samples

CSV = "image,claim,label\n" + "".join(
    f"{n}.png,It is image {n}.,TRUE\n{n}.png,It is image {n + 1}.,FALSE\n" for n in range(3)
)


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    datasets.disable_progress_bars()


@pytest.fixture
def store() -> Path:
    """A store of three images with two claims each, imported by the command."""
    for number in range(3):
        Image.new("RGB", (20, 20), (50 * number, 0, 0)).save(f"{number}.png")
    Path("claims.csv").write_text(CSV)
    assert main(["claims", "import", "claims.csv", "--out", "claims.db"]) == 0
    return Path("claims.db")


def run(capsys, *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = main(list(words))
    shown = capsys.readouterr()
    return status, shown.out, shown.err


def test_import_and_export(store, capsys):
    status, out, _ = run(capsys, "claims", "export", "claims.db", "--to", "jsonl", "--out", "out.jsonl")
    assert status == 0 and out == "6 claims of 3 rows are in out.jsonl\n"
    lines = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [line["claims"] for line in lines] == [
        [{"text": f"It is image {n}.", "is_true": True}, {"text": f"It is image {n + 1}.", "is_true": False}]
        for n in range(3)
    ]
    status, out, _ = run(capsys, "claims", "import", "out.jsonl", "--out", "other.db")
    assert status == 0 and out.startswith("6 claims of 3 rows, 6 of them new\n")
    _, out, _ = run(capsys, "claims", "import", "out.jsonl", "--out", "other.db")
    assert out.startswith("6 claims of 3 rows, 0 of them new\n")


def test_a_training_set_from_a_store(store, capsys):
    rows = [{"problem": f"Which, {n}?", "answer": n, "images": f"{n}.png", "level": n} for n in (2, 0, 0)]
    Path("asked.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with Store(store) as opened:
        add_annotation(opened, Annotation(1, "ann", "wrong", text="It is dark."))
    status, out, _ = run(capsys, "data", "attach", "claims.db", "asked.jsonl")
    assert status == 0 and out == "3 rows with 6 claims are in asked_claims.parquet\n"
    samples = load_samples("asked_claims.parquet", require_claims=True)
    assert [sample.question for sample in samples] == ["Which, 2?", "Which, 0?", "Which, 0?"]
    assert [claim.text for claim in samples[1].claims] == ["It is dark.", "It is image 1."]
    run(capsys, "data", "attach", "claims.db", "asked.jsonl", "--as-made", "--out", "as_made.parquet")
    assert load_samples("as_made.parquet")[1].claims[0].text == "It is image 0."
    Path("asked.jsonl").write_text(json.dumps({**rows[0], "images": "3.png"}))
    Image.new("RGB", (20, 20), "white").save("3.png")
    status, _, err = run(capsys, "data", "attach", "claims.db", "asked.jsonl")
    assert status == 1 and "row 0 (asked.jsonl, line 1): no claims are known about its" in err


def test_an_audit_says_what_it_found_and_goes_on(store, capsys):
    with run_stub() as stub:
        stub.script[CHAT] = [say("yes"), refuse(400, "not this one"), say("yes")]
        words = ["claims", "audit", "claims.db", "--base-url", stub.url, "--questions", "label", "--concurrency", "1"]
        status, out, _ = run(capsys, *words)
        assert status == 1 and "5 of 6 questions about 6 claims answered; 1 without an answer" in out
        status, out, _ = run(capsys, *words)
        assert status == 0 and "1 of 6 questions about 6 claims answered; 5 answered before" in out
        assert "  agrees with the label      50.0%" in out
        _, out, _ = run(capsys, "claims", "stats", "claims.db")
        assert "audited by                   tiny" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["claims", "audit", "claims.db", "--base-url", "URL", "--questions", "truth"], "'truth' is no question"),
        (["claims", "audit", "claims.db", "--base-url", "URL", "--model", "gpt"], "has no model 'gpt'; it has tiny"),
        (["claims", "audit", "claims.db", "--base-url", "claims.db"], "is no URL of a server"),
        (["claims", "audit", "claims.db", "--base-url", "http://127.0.0.1:9"], "cannot be reached"),
        (["claims", "audit", "none.db", "--base-url", "URL"], "there is no store none.db"),
        (["claims", "export", "claims.csv", "--to", "jsonl", "--out", "o.jsonl"], "claims.csv is no store of claims"),
        (["claims", "export", "none.db", "--to", "jsonl", "--out", "o.jsonl"], "there is no store none.db"),
        (["claims", "export", "claims.db", "--to", "jsonl", "--out", "no/o.jsonl"], "No such file or directory"),
        (["claims", "export", "claims.db", "--to", "hub-folder", "--out", "."], "holds other files"),
        (["claims", "import", "0.png", "--out", "o.db"], "has the unknown extension '.png'"),
        (["claims", "import", "gone.csv", "--out", "o.db"], "there is no file or folder gone.csv"),
        (["claims", "import", "claims.csv", "--out", "claims.csv"], "claims.csv is no store of claims"),
        (["claims", "import", "claims.csv", "--out", "o.db", "--images-column", "x"], "one with --images-column"),
        (["claims", "review", "none.db"], "there is no store none.db"),
        (["claims", "review", "claims.db", "--reviewer", ""], "--reviewer"),
        (["claims", "review", "claims.db", "--no-browser", "--port", "99999"], "name another one with --port"),
        (["data", "attach", "claims.db", "claims.db"], "has the unknown extension '.db'"),
        (["data", "attach", "claims.db", "claims.csv", "--out", "o.csv"], "call it o.parquet"),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, list) else None,
)
def test_mistakes_are_told_in_one_sentence(store, capsys, words, message):
    before = store.read_bytes(), Path("claims.csv").read_text()
    with run_stub() as stub:
        status, _, err = run(capsys, *[stub.url if word == "URL" else word for word in words])
    assert status == 1 and err.startswith("vapo: ") and message in err and err.count("\n") == 1
    assert (store.read_bytes(), Path("claims.csv").read_text()) == before


def test_a_store_of_a_newer_version_is_left_alone(store, capsys):
    with sqlite3.connect(store) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    before = store.read_bytes()
    commands = (
        ["claims", "audit", "claims.db", "--base-url", "http://127.0.0.1:9"],
        ["claims", "review", "claims.db"],
        ["claims", "export", "claims.db", "--to", "parquet", "--out", "out.parquet"],
        ["claims", "import", "claims.csv", "--out", "claims.db"],
        ["data", "attach", "claims.db", "claims.csv"],
    )
    for words in commands:
        status, _, err = run(capsys, *words)
        assert status == 1 and "was written by a newer vapo" in err and "upgrade vapo" in err
    assert store.read_bytes() == before


def test_a_bad_row_is_refused_or_passed_over(store, capsys):
    Path("bad.csv").write_text("image,claim,label\n0.png,It is dark.,TRUE\n1.png,It is light.,PERHAPS\n")
    status, _, err = run(capsys, "claims", "import", "bad.csv", "--out", "bad.db")
    assert status == 1 and "row 1 (bad.csv, line 3): label 'PERHAPS' is neither" in err
    with Store("bad.db") as opened:
        assert opened.find_damage() is None and opened.read("SELECT * FROM claims") == []
    status, out, _ = run(capsys, "claims", "import", "bad.csv", "--out", "bad.db", "--on-bad-row", "skip")
    assert status == 0 and "1 claims of 1 rows, 1 of them new" in out and "left out: row 1 (bad.csv, line 3)" in out


def test_a_review_serves_until_it_is_interrupted(store):
    command = [sys.executable, "-c", "from vapo.cli import main; raise SystemExit(main())"]
    words = ["claims", "review", "claims.db", "--reviewer", "ann", "--images", "2", "--no-browser"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "HOME": str(Path.cwd())}
    process = subprocess.Popen([*command, *words], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    parts = process.stdout.readline()
    found = re.fullmatch(r"2 images to review as ann, until Ctrl-C, at (http://127\.0\.0\.1:\d+/[\w-]{22}/)\n", parts)
    assert found, parts
    with urlopen(found[1]) as reply:
        assert b"Review claims" in reply.read()
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "reviewed" in rest and found[1] not in rest


def test_without_a_browser_the_address_is_enough(store, monkeypatch):
    from vapo.claims.review import server
    from vapo.claims.review.session import ReviewSession

    monkeypatch.setattr("webbrowser.open", lambda url: False)
    monkeypatch.setattr(server.ReviewServer, "serve_forever", lambda self: None)
    parts: list[str] = []
    server.serve_review(ReviewSession(store, "ann"), 0, parts.append, server.open_browser)
    assert "http://127.0.0.1:" in parts[0] and "no browser could be opened" in parts[1]


def test_the_key_is_in_nothing_that_is_written(store, capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-this-is-secret")
    with run_stub() as stub:
        stub.script[CHAT] = [say("yes"), refuse(500, "oh no, sk-this-is-secret"), say("no")]
        _, out, err = run(capsys, "claims", "audit", "claims.db", "--base-url", stub.url, "--questions", "label,blind")
        stub.script[CHAT] = [refuse(401, "the key sk-this-is-secret is wrong")]
        status, again, refused = run(capsys, "claims", "audit", "claims.db", "--base-url", stub.url)
        assert status == 1 and "refuses the key (401); check OPENAI_API_KEY" in refused
        assert stub.requests[0][1]["authorization"] == "Bearer sk-this-is-secret"
    for form in ("jsonl", "parquet", "hub-folder"):
        run(capsys, "claims", "export", "claims.db", "--to", form, "--out", f"out-{form}")
    written = [path for path in Path().rglob("*") if path.is_file()]
    assert len(written) > 6
    assert not [path for path in written if b"sk-this" in path.read_bytes()]
    assert "sk-this" not in out + err + again + refused


@pytest.mark.parametrize("form", ["jsonl", "parquet", "hub-folder"])
def test_an_export_is_replaced_only_when_asked(store, capsys, form):
    command = ("claims", "export", "claims.db", "--to", form, "--out", "out")
    assert run(capsys, *command)[0] == 0
    status, _, err = run(capsys, *command)
    assert status == 1 and "out is there already; name another place, or replace it with --overwrite" in err
    assert run(capsys, *command, "--overwrite")[0] == 0
