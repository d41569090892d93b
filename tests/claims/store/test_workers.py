from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vapo.claims.store.images import StoredImage, add_image_set
from vapo.claims.store.store import Store
from vapo.claims.store.workers import (
    SILENCE_S,
    holds_image_set,
    name_process,
    register_worker,
    release_image_set,
    remove_worker,
    send_heartbeat,
    take_image_set,
)

TAKE_AND_DIE = (
    "import os, sys\n"
    "from vapo.claims.store.store import Store\n"
    "from vapo.claims.store.workers import register_worker, take_image_set\n"
    "store = Store(sys.argv[1])\n"
    "worker = register_worker(store)\n"
    "with store.writing():\n"
    "    assert take_image_set(store, worker, 1)\n"
    "os.kill(os.getpid(), 9)\n"
)


@pytest.fixture
def image_set(store: Store) -> int:
    with store.writing():
        return add_image_set(store, [StoredImage("a", 1, 1, "image/png", b"a")])


def take(store: Store, worker: int, image_set: int) -> bool:
    with store.writing():
        return take_image_set(store, worker, image_set)


def test_an_image_set_is_held_by_one_worker_at_a_time(store: Store, image_set: int):
    one, other = register_worker(store), register_worker(store)
    assert take(store, one, image_set) and take(store, one, image_set) and not take(store, other, image_set)
    release_image_set(store, other, image_set)  # not its own: nothing happens
    assert holds_image_set(store, one, image_set) and not take(store, other, image_set)
    release_image_set(store, one, image_set)
    assert take(store, other, image_set) and not holds_image_set(store, one, image_set)
    remove_worker(store, other)
    assert take(store, one, image_set)


def test_what_a_killed_process_held_is_free_at_once(store: Store, image_set: int, tmp_path: Path):
    subprocess.run([sys.executable, "-c", TAKE_AND_DIE, str(store.path)])
    assert store.read("SELECT count(*) FROM workers") == [(1,)]
    worker = register_worker(store)
    assert store.read("SELECT id FROM workers") == [(worker,)] and take(store, worker, image_set)


def test_a_worker_on_another_machine_is_dead_when_it_is_silent(store: Store, image_set: int):
    far = register_worker(store)
    assert take(store, far, image_set)
    store.execute("UPDATE workers SET machine = 'elsewhere' WHERE id = ?", (far,))
    here = register_worker(store)
    assert not take(store, here, image_set)
    store.execute("UPDATE workers SET beat = ? WHERE id = ?", (time.time() - SILENCE_S - 1, far))
    send_heartbeat(store, far)
    assert not take(store, here, image_set)
    store.execute("UPDATE workers SET beat = ? WHERE id = ?", (time.time() - SILENCE_S - 1, far))
    assert take(store, here, image_set)


def test_a_process_is_told_by_more_than_its_number():
    own = name_process(os.getpid())
    assert own.split()[0] == str(os.getpid()) and own == name_process(os.getpid())
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert name_process(ended.pid) == ""
