from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vapo.claims.store.store import Store
from vapo.claims.store.subjects import StoredImage, add_subject
from vapo.claims.store.workers import (
    SILENCE_S,
    beat,
    dismiss_worker,
    holds_subject,
    name_process,
    register_worker,
    release_subject,
    take_subject,
)

TAKE_AND_DIE = (
    "import os, sys\n"
    "from vapo.claims.store.store import Store\n"
    "from vapo.claims.store.workers import register_worker, take_subject\n"
    "store = Store(sys.argv[1])\n"
    "worker = register_worker(store)\n"
    "with store.writing():\n"
    "    assert take_subject(store, worker, 1)\n"
    "os.kill(os.getpid(), 9)\n"
)


@pytest.fixture
def subject(store: Store) -> int:
    with store.writing():
        return add_subject(store, [StoredImage("a", 1, 1, "image/png", b"a")])


def take(store: Store, worker: int, subject: int) -> bool:
    with store.writing():
        return take_subject(store, worker, subject)


def test_a_subject_is_held_by_one_worker_at_a_time(store: Store, subject: int):
    one, other = register_worker(store), register_worker(store)
    assert take(store, one, subject) and take(store, one, subject) and not take(store, other, subject)
    release_subject(store, other, subject)  # not its own: nothing happens
    assert holds_subject(store, one, subject) and not take(store, other, subject)
    release_subject(store, one, subject)
    assert take(store, other, subject) and not holds_subject(store, one, subject)
    dismiss_worker(store, other)
    assert take(store, one, subject)


def test_what_a_killed_process_held_is_free_at_once(store: Store, subject: int, tmp_path: Path):
    subprocess.run([sys.executable, "-c", TAKE_AND_DIE, str(store.path)])
    assert store.read("SELECT count(*) FROM workers") == [(1,)]
    worker = register_worker(store)
    assert store.read("SELECT id FROM workers") == [(worker,)] and take(store, worker, subject)


def test_a_worker_on_another_machine_is_dead_when_it_is_silent(store: Store, subject: int):
    far = register_worker(store)
    assert take(store, far, subject)
    store.execute("UPDATE workers SET machine = 'elsewhere' WHERE id = ?", (far,))
    here = register_worker(store)
    assert not take(store, here, subject)
    store.execute("UPDATE workers SET beat = ? WHERE id = ?", (time.time() - SILENCE_S - 1, far))
    beat(store, far)
    assert not take(store, here, subject)
    store.execute("UPDATE workers SET beat = ? WHERE id = ?", (time.time() - SILENCE_S - 1, far))
    assert take(store, here, subject)


def test_a_process_is_told_by_more_than_its_number():
    own = name_process(os.getpid())
    assert own.split()[0] == str(os.getpid()) and own == name_process(os.getpid())
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert name_process(ended.pid) == ""
