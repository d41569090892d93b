"""The comparing process: it survives what it is fed, wherever it is asked from."""

import os
import subprocess
import sys
import threading

import pytest

from vapo.core import math_equality
from vapo.core.math_equality import is_same_mathematics


@pytest.mark.parametrize(
    "answer", ["9^{9^{9^{9}}}", "((10^{9})!)!", "(" * 400 + "1" + ")" * 400, "\\sum_{n=1}^{10^{12}} n^{n}"]
)
def test_endless_answers_are_wrong_and_the_next_one_is_graded(answer):
    assert is_same_mathematics(answer, "5", 1.0) is False
    assert is_same_mathematics("\\frac{2}{4}", "0.5", 60.0) is True


def test_long_answers_are_not_compared():
    assert is_same_mathematics("1+" * 600 + "1", "601") is False


def test_from_threads():
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda k=k: results.append(is_same_mathematics(f"{k}/2", f"{k}/2+0", 60.0)))
        for k in range(1, 9)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 8


def test_after_the_worker_was_killed():
    assert is_same_mathematics("x+1", "1+x", 60.0)
    process = math_equality._worker._process
    assert process is not None
    process.kill()
    process.wait()
    assert is_same_mathematics("x+1", "1+x", 60.0)


def test_an_interrupted_question_does_not_shift_the_replies(monkeypatch):
    assert is_same_mathematics("x+1", "1+x", 60.0)
    process = math_equality._worker._process
    assert process is not None and process.stdout is not None

    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(process.stdout, "readline", interrupted, raising=False)
    with pytest.raises(KeyboardInterrupt):
        is_same_mathematics("x+1", "1+x", 60.0)
    assert is_same_mathematics("x+1", "2+x", 60.0) is False
    assert is_same_mathematics("x+1", "1+x", 60.0) is True


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_a_forked_process_asks_a_worker_of_its_own():
    # In a process of its own, because forking one that runs threads is itself doubtful.
    code = """
import os
from vapo.core import math_equality
assert math_equality.is_same_mathematics("x+1", "1+x", 60.0)
before = math_equality._worker._process.pid
child = os.fork()
if child == 0:
    assert math_equality._worker._process is None
    assert math_equality.is_same_mathematics("x+1", "1+x", 60.0)
    math_equality._worker.stop()
    os._exit(0 if not math_equality.is_same_mathematics("x+1", "2+x", 60.0) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert math_equality.is_same_mathematics("x+2", "2+x", 60.0)
assert math_equality._worker._process.pid == before
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_without_math_verify_it_says_so(monkeypatch, tmp_path):
    (tmp_path / "math_verify.py").write_text("raise ImportError('math_verify is broken here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    math_equality._worker.stop()
    with pytest.raises(RuntimeError, match="math_verify is broken here"):
        is_same_mathematics("x+1", "1+x", 60.0)
    monkeypatch.delenv("PYTHONPATH")
    assert is_same_mathematics("x+1", "1+x", 60.0)


def test_importing_the_core_is_light():
    code = (
        "import sys, vapo.core.grading, vapo.core.anchors, vapo.core.rewards, vapo.core.advantages;"
        "print(*{'sympy', 'math_verify', 'torch', 'transformers', 'trl'} & set(sys.modules))"
    )
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment).stdout == "\n"
