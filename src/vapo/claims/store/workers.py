"""Which process works on what, in a store, so that no work is done twice.

A process that makes claims is a worker. It takes an image set before it works on it and gives it back afterwards.
What a dead worker held is free again: at once if it ran on this machine, else after some minutes without a heartbeat.
"""

from __future__ import annotations

import os
import platform
import time
from functools import cache
from pathlib import Path

from vapo.claims.store.store import Store

SILENCE_S = 180.0
"""A worker elsewhere that has said nothing for so long counts as dead."""
HEARTBEAT_S = 20.0
"""How often a worker says that it is alive."""


def register_worker(store: Store) -> int:
    """Return the number of a new worker, this process, and free what dead ones held."""
    with store.writing():
        free_dead_workers(store)
        return store.insert(
            "INSERT INTO workers (machine, process, beat) VALUES (?, ?, ?)",
            (name_machine(), name_process(os.getpid()), time.time()),
        )


def remove_worker(store: Store, worker: int) -> None:
    """Remove a worker; what it held is free."""
    with store.writing():
        store.execute("DELETE FROM workers WHERE id = ?", (worker,))


def send_heartbeat(store: Store, worker: int) -> None:
    """Say that a worker is alive."""
    store.execute("UPDATE workers SET beat = ? WHERE id = ?", (time.time(), worker))


def take_image_set(store: Store, worker: int, image_set: int) -> bool:
    """Take an image set for a worker, unless another one that is alive holds it; call it while writing."""
    (holder,) = store.read_one("SELECT worker FROM subjects WHERE id = ?", (image_set,)) or (None,)
    if holder not in (None, worker):
        free_dead_workers(store)
        (holder,) = store.read_one("SELECT worker FROM subjects WHERE id = ?", (image_set,)) or (None,)
        if holder is not None:
            return False
    store.execute("UPDATE subjects SET worker = ? WHERE id = ?", (worker, image_set))
    return True


def holds_image_set(store: Store, worker: int, image_set: int) -> bool:
    """Return whether a worker still holds an image set, which one that slept too long may not."""
    return store.read_one("SELECT 1 FROM subjects WHERE id = ? AND worker = ?", (image_set, worker)) is not None


def release_image_set(store: Store, worker: int, image_set: int) -> None:
    """Give an image set back."""
    store.execute("UPDATE subjects SET worker = NULL WHERE id = ? AND worker = ?", (image_set, worker))


def free_dead_workers(store: Store) -> None:
    """Remove workers that are dead; call it while writing."""
    for number, machine, process, last in store.read("SELECT id, machine, process, beat FROM workers"):
        if machine == name_machine():
            number_of_process = process.partition(" ")[0]
            known = number_of_process.isdecimal() and len(number_of_process) < 10
            dead = not known or process != name_process(int(number_of_process))
        else:
            dead = abs(time.time() - last) > SILENCE_S  # no machine that is alive beats in the future
        if dead:
            store.execute("DELETE FROM workers WHERE id = ?", (number,))


@cache
def name_machine() -> str:
    """Return what distinguishes this machine, since it was started, and its numbering of processes."""
    parts = [platform.node()]
    boot, space = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if boot.is_file():
        parts += [boot.read_text().strip(), os.readlink(space)]
    return " ".join(parts)


def name_process(pid: int) -> str:
    """Return a process's number and, where the system tells, when it began; "" if there is no such process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:  # there is one, of another user
        pass
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return str(pid)
    return "" if fields[0] == "Z" else f"{pid} {fields[19]}"
