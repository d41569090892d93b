"""Signals, other runs on the same store and full disks: no answer is lost, and none is asked for twice."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from claims.making.claim_writer import answer
from claims.making.making_run import contents, make
from claims.making.painted_rows import paint_rows
from openai_stub import CHAT, Reply, Stub

from vapo.claims.making.counts import RunCounts
from vapo.claims.making.stop_signal import INTERRUPTED
from vapo.claims.store.store import Store, StoreError
from vapo.claims.store.workers import register_worker, take_image_set


def test_an_interrupt_waits_for_what_is_under_way_and_keeps_it(store: Store, stub: Stub):
    notices: list[str] = []
    turns = itertools.count(1)  # each request has a turn of its own, whichever of the server's threads it comes to

    def interrupt(body: Any) -> Reply:
        if next(turns) == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return answer(body)

    stub.script[CHAT] = [interrupt]
    counts = make(store, stub, paint_rows(100), on_notice=notices.append)
    assert counts.ended == INTERRUPTED and "interrupt again" in notices[0]
    assert counts.by_status["full"] == len(stub.asked()) == counts.requests < 20
    assert sum(counts.by_status.values()) == 100
    assert make(store, stub, paint_rows(100)).by_status == {"full": 100} and len(stub.asked()) == 100


def test_a_second_interrupt_ends_at_once(store: Store, stub: Stub):
    # Two signals that are sent before the first one is noticed may arrive as one: the second waits for the notice.
    turns, ended = itertools.count(1), threading.Event()

    def interrupt(body: Any) -> Reply:
        if next(turns) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        ended.wait()
        return answer(body)

    stub.script[CHAT] = [interrupt]
    try:
        with pytest.raises(KeyboardInterrupt):
            make(store, stub, paint_rows(100), on_notice=lambda _: os.kill(os.getpid(), signal.SIGINT))
    finally:
        ended.set()
    assert store.read("SELECT count(*) FROM answers") == [(0,)]
    stub.script[CHAT] = [answer]
    assert make(store, stub, paint_rows(10)).by_status == {"full": 10}


def test_two_runs_on_one_store_share_the_work(tmp_path: Path, stub: Stub):
    runs: list[RunCounts] = []

    def run() -> None:
        with Store(tmp_path / "claims.db", create=True) as own:
            runs.append(make(own, stub, paint_rows(60)))

    stub.script[CHAT] = [lambda body: Reply(answer(body).body, fault="stall", seconds=0.01)]
    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stub.asked()) == 60 and [counts.by_status for counts in runs] == [{"full": 60}] * 3
    assert sum(counts.requests for counts in runs) == 60


def test_what_another_process_works_on_is_waited_for(store: Store, stub: Stub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("vapo.claims.making.make._POLL_S", 0.01)
    make(store, stub, paint_rows(1), per_image=2)
    other = register_worker(store)
    with store.writing():
        assert take_image_set(store, other, 1)
    waited: list[int] = []

    def progress(counts: RunCounts) -> None:
        waited.append(counts.done)
        store.execute("UPDATE subjects SET worker = NULL WHERE id = 1")

    counts = make(store, stub, paint_rows(3), on_progress=progress)
    assert counts.by_status == {"full": 3} and waited == [1, 2, 3]


def test_a_disk_that_is_nearly_full_stops_before_an_answer_is_lost(
    store: Store, stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    free = itertools.chain([10**12] * 20, itertools.repeat(1000))
    usage: Callable[[Any], Any] = lambda folder: type("Usage", (), {"free": next(free)})  # noqa: E731
    monkeypatch.setattr("shutil.disk_usage", usage)
    with pytest.raises(StoreError, match=r"less than 64 MiB are free .* No answer was lost: free some space"):
        make(store, stub, paint_rows(100))
    asked = len(stub.asked())
    assert store.read("SELECT count(*) FROM answers") == [(asked,)] and 0 < asked < 30
    monkeypatch.undo()
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    assert make(store, stub, paint_rows(100)).by_status == {"full": 100} and len(stub.asked()) == 100


def test_a_disk_that_is_full_all_the_same_leaves_the_store_whole(store: Store, stub: Stub):
    make(store, stub, paint_rows(3))
    before = contents(store)
    (pages,) = store.read_one("PRAGMA page_count") or (0,)
    store.execute(f"PRAGMA max_page_count = {pages + 3}")
    with pytest.raises(StoreError, match=r"is full.*intact"):
        make(store, stub, paint_rows(50))
    assert store.find_damage() is None
    store.execute("PRAGMA max_page_count = 1000000")
    assert make(store, stub, paint_rows(50)).by_status == {"full": 50}
    assert all(contents(store)[name] == claims for name, claims in before.items())
