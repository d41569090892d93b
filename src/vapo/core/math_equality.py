"""Whether two answers are the same mathematics, asked of math-verify in a process that can be stopped.

math-verify leads to computer algebra, and computer algebra on what a model wrote can run for ever (`9**9**9**9`)
or take all memory. Its own time limit is a signal: that works in the main thread only and not inside a long
operation of the C code. So one worker process per process does the comparing, and is killed and replaced when an
answer takes too long. A killed worker means "not the same".

This file is both sides: imported, it asks; run as a script, it is the worker.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
from typing import Any

MAX_CHARACTERS = 1000
"""Longer expressions are not compared as mathematics."""

_START_SECONDS = 180.0  # the first import of computer algebra on a busy machine
_MEMORY_BYTES = 4 << 30


def is_same_mathematics(answer: str, reference: str, time_limit_s: float = 5.0) -> bool:
    r"""Tell whether an answer and a reference are the same mathematical object.

    Safe to call from any thread; calls from several threads wait for each other.

    Args:
        answer: LaTeX or plain mathematics without `$` and `\boxed`.
        reference: the same.
        time_limit_s: when to give up on this pair, in seconds, more than 0; giving up means False.

    Raises:
        RuntimeError: the worker cannot be started, for example because math-verify is not installed.
    """
    if max(len(answer), len(reference)) > MAX_CHARACTERS:
        return False
    return _worker.ask(answer, reference, time_limit_s)


class _Worker:
    """The asking side of the worker process; starts it when first needed and again after it was killed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def ask(self, answer: str, reference: str, time_limit_s: float) -> bool:
        with self._lock:
            try:
                if self._process is None or self._process.poll() is not None:
                    self._start()
                return self._exchange(json.dumps([answer, reference, time_limit_s]), time_limit_s) == "true"
            except BaseException:
                # Interrupted between question and reply: the reply must not be taken for that of the next question.
                self._stop()
                raise

    def stop(self) -> None:
        with self._lock:
            self._stop()

    # A fork waits for the question being asked, and leaves the worker to the parent: two processes on one pipe
    # would take each other's replies.
    def before_fork(self) -> None:
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        self._lock = threading.Lock()
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process.returncode = 0  # it is not this process's child; do not wait for it
            self._process = None

    def _start(self) -> None:
        self._stop()
        self._process = subprocess.Popen(
            # -P: the folder of this file must not be searched for modules.
            [sys.executable, "-P", "-W", "ignore", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="ascii",
        )
        greeting = self._exchange(None, _START_SECONDS)
        if greeting != "ready":
            self._stop()
            raise RuntimeError(
                f"answers cannot be compared as mathematics: {greeting or 'the worker process did not start'}; "
                f'check that `{sys.executable} -c "import math_verify"` works'
            )

    def _exchange(self, line: str | None, limit_s: float) -> str:
        """Send a line and return the reply, or "" if the worker died or had to be killed."""
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        timer = threading.Timer(limit_s, process.kill)
        timer.daemon = True
        timer.start()
        try:
            if line is not None:
                process.stdin.write(line + "\n")
                process.stdin.flush()
            reply = process.stdout.readline()
        except BrokenPipeError:
            reply = ""
        finally:
            timer.cancel()
            timer.join()
        if not reply.endswith("\n"):
            self._stop()
            return ""
        return reply[:-1]

    def _stop(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # the unsent question of a worker that is gone
                    pipe.close()
        process.wait()


_worker = _Worker()
atexit.register(_worker.stop)
if sys.platform != "win32":
    os.register_at_fork(
        before=_worker.before_fork,
        after_in_parent=_worker.after_fork_in_parent,
        after_in_child=_worker.after_fork_in_child,
    )


def _serve() -> None:
    """Answer one JSON line [answer, reference, seconds] after the other, until the asking process is gone."""
    import logging
    import signal

    replies, sys.stdout = sys.stdout, sys.stderr  # nothing that a library prints may look like a reply
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    try:
        import math_verify  # pyright: ignore[reportMissingTypeStubs]
    except ImportError as error:
        print(json.dumps(str(error)), file=replies, flush=True)
        return
    logging.disable(logging.CRITICAL)
    # Untyped, and its annotations forbid the None that turns its own time limit off.
    parse: Any = math_verify.parse
    verify: Any = math_verify.verify
    print("ready", file=replies, flush=True)
    for line in sys.stdin:
        answer, reference, limit_s = json.loads(line)
        if sys.platform != "win32":
            # If the asking process dies meanwhile, nobody kills this one: the system does, in any code.
            signal.alarm(int(limit_s) + 2)
        same = False
        try:
            # What cannot be parsed comes back as text, and equal text was compared before.
            gold, given = (
                [side for side in parse(rf"\boxed{{{text}}}", parsing_timeout=None) if not isinstance(side, str)]
                for text in (reference, answer)
            )
            same = bool(gold and given) and verify(gold, given, timeout_seconds=None)
        except Exception:
            pass  # odd text is a wrong answer
        if sys.platform != "win32":
            signal.alarm(0)
        print(json.dumps(same), file=replies, flush=True)


if __name__ == "__main__":
    _serve()
