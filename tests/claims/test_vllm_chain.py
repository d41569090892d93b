"""docs/claims_chain.md, run line by line against a real server: from images to a trained policy."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from vllm_world import run_server

from vapo.claims.store.annotations import read_annotations
from vapo.claims.store.claims import list_claims
from vapo.claims.store.images import read_rows
from vapo.claims.store.store import Store
from vapo.lab.claim_truth import judge_claim
from vapo.lab.judge import read_grids
from vapo.lab.shipped import shipped_data

pytestmark = [pytest.mark.vllm, pytest.mark.xdist_group("vllm")]

PAGE = Path(__file__).parents[2] / "docs" / "claims_chain.md"
SERVED_AT = "http://localhost:"
VAPO = (sys.executable, "-m", "vapo")


def read_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def run(words: list[str], urls: dict[str, str]) -> str:
    """Run a command of vapo, with real addresses, and return what it printed; it must do what it is for."""
    command = [*VAPO, *(urls.get(word, word) for word in words)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def judge_as_a_person(words: list[str]) -> str:
    """Open the review, annotate every claim as somebody would who knows what the images show, and end the command."""
    command = [*VAPO, *words, "--no-browser"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    assert process.stdout is not None
    address = re.search(r"http://\S+", process.stdout.readline())
    assert address is not None
    url = address[0]

    def ask(path: str, body: object = None) -> dict:
        content = None if body is None else json.dumps(body).encode()
        headers = {"Origin": url.rsplit("/", 2)[0], "Content-Type": "application/json"}
        with urlopen(Request(url + path, content, headers)) as reply:
            return json.load(reply)

    truth = read_truth()
    for place in range(ask("start")["places"]):
        for claim in ask(f"places/{place}")["claims"]:
            is_true = truth[claim["id"]]
            judgement = "unclear" if is_true is None else "right" if is_true == claim["is_true"] else "wrong"
            ask("annotations", {"claim": claim["id"], "judgement": judgement})
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return rest


def read_truth() -> dict[int, bool | None]:
    """Return whether each claim in claims.db is true; None where that cannot be told."""
    grids = read_grids(shipped_data("train"))
    with Store("claims.db") as store:
        shown = {row.image_set: grids[row.name] for row in read_rows(store)}
        return {stored.id: judge_claim(stored.claim.text, shown[stored.image_set]) for stored in list_claims(store)}


@pytest.fixture(scope="module")
def printed(tmp_path_factory) -> Iterator[dict[str, str]]:
    """What each command of the page printed, by the command."""
    folder = tmp_path_factory.mktemp("response")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in read_blocks("yaml"):
            Path(re.match(r"# (\S+)\n", block)[1]).write_text(block)
        lines = [line.removeprefix("$ ") for block in read_blocks("console") for line in block.splitlines()]
        parts: dict[str, str] = {}
        urls: dict[str, str] = {}
        with ExitStack() as servers:
            for line in lines:
                program, *words = shlex.split(line)
                if program == "vllm":
                    _, model, *options, _, port = words
                    urls[SERVED_AT + port] = servers.enter_context(
                        run_server(folder / model, folder / f"{port}.log", *options)
                    )
                    continue
                parts[line] = judge_as_a_person(words) if words[1] == "review" else run(words, urls)
                print(f"$ {line}\n{parts[line]}")
        yield parts


def find(printed: dict[str, str], beginning: str) -> str:
    return next(shown for line, shown in printed.items() if line.startswith(beginning))


def test_claims_are_made_most_of_whose_labels_are_right(printed):
    found = re.search(r"labels right\s+([\d.]+)% \[([\d.]+), [\d.]+\] of (\d+)", find(printed, "vapo lab score"))
    assert found, printed
    assert int(found[3]) >= 150, "nearly all are in the lab's words"
    assert float(found[2]) > 75


def test_the_audit_sees_more_with_the_image_than_without(printed):
    shown = find(printed, "vapo claims audit")
    seen = re.search(r"agrees with the label\s+[\d.]+% \[([\d.]+),", shown)
    blind = re.search(r"told without the image\s+[\d.]+% \[([\d.]+), ([\d.]+)\]", shown)
    assert seen and blind
    assert float(seen[1]) > 75 and float(blind[1]) < 60 and float(seen[1]) > float(blind[2])


def test_what_the_reviewer_said_is_in_the_store_and_fixes_what_is_trained_on(printed, tmp_path_factory):
    assert "reviewed" in find(printed, "vapo claims review")
    folder = next(tmp_path_factory.getbasetemp().glob("response*"))
    with Store(folder / "claims.db") as store:
        assert len(read_annotations(store, reviewer="ann")) >= 10
        assert store.find_damage() is None


def test_the_policy_was_trained_on_these_claims_and_answers(printed):
    assert "2 steps done" in find(printed, "vapo train")
    assert "claims judged right" in find(printed, "vapo evaluate")
    assert re.search(r"claims\s+\d+: \d+ CORRECT", find(printed, "vapo data inspect"))
