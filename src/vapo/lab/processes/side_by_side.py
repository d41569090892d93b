"""Several jobs at a time, each in a process and on a thread of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any, Protocol, TypeAlias

from vapo.errors import VapoError

Report = Callable[[str, int, int], None]
"""Called by what works on a job with a stage, how much of it is done, and how much there is."""

Progress = Callable[[str], Callable[[int, int], None]]
"""Makes, for the name of a stage, the callback that takes (done, in all)."""

_COMMAND = ("-m", "vapo.lab.processes.worker")
_Mail: TypeAlias = "Queue[tuple[Worker, dict[str, Any] | None]]"


class Job(Protocol):
    """What a process of its own does."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def log(self) -> Path:
        """File for what libraries print."""
        ...

    @property
    def work(self) -> str:
        """The function that does it, as `module:function`; it is called with `to_json()` and a `Report`."""
        ...

    def to_json(self) -> str:
        """Return the job as text."""
        ...


class Worker:
    """A process that does one job, and the thread that passes on what it says.

    Args:
        job: what to do.
        mail: gets (worker, message) for each message, and (worker, None) when the process has closed its output.
    """

    def __init__(self, job: Job, mail: _Mail) -> None:
        self.job = job
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [sys.executable, *_COMMAND, job.work, job.to_json()],
                stdin=subprocess.PIPE,  # closed when this process ends in any way; the worker watches it
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
                start_new_session=True,  # Ctrl-C is for this process, which ends the others
            )
        self._reader = Thread(target=self._read, args=(mail,), daemon=True)
        self._reader.start()

    def wait(self) -> int:
        """Return the status that the process ends with."""
        return self._process.wait()

    def end(self) -> None:
        """End the process if it has not ended; what is on the disk by then is whole."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _read(self, mail: _Mail) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            mail.put((self, json.loads(line)))
        mail.put((self, None))


def run_side_by_side(jobs: Sequence[Job], on_progress: Progress, at_once: int | None = None) -> None:
    """Do jobs, or go on with them, until all are done. Their processes share the cores and end with this one.

    Args:
        jobs: what to do, taken up in this order.
        on_progress: told each stage of each job.
        at_once: how many work at a time; None for all of them.

    Raises:
        VapoError: a job was refused, or its process ended without a word. The others are ended.
    """
    mail: _Mail = Queue()
    stages: dict[tuple[str, str], Callable[[int, int], None]] = {}
    waiting = list(jobs)
    workers: list[Worker] = []
    try:
        while waiting or workers:
            while waiting and (at_once is None or len(workers) < at_once):
                workers.append(Worker(waiting.pop(0), mail))
            worker, message = mail.get()
            name = worker.job.name
            if message is None:
                _check_status(worker.job, worker.wait())
                worker.end()
                workers.remove(worker)
            elif "error" in message:
                raise VapoError(f"{name}: {message['error']}")
            else:
                stage = (name, message["stage"])
                if stage not in stages:
                    stages[stage] = on_progress(f"{name}, {message['stage']}")
                stages[stage](message["done"], message["total"])
    finally:
        for worker in workers:
            worker.end()


def _check_status(job: Job, status: int) -> None:
    if status != 0:
        raise VapoError(
            f"{job.name}: its process ended with status {status}; the end of {job.log} says why, and the same command "
            "goes on where it stopped"
        )
