"""A vLLM server of this machine, started for as long as it is needed."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from vapo.errors import ConfigError, ModelError

_START_TIMEOUT_S = 1800.0  # large models on slow disks
_MOST_TELLING = 400  # characters of the log that an error repeats


def check_vllm_is_here() -> None:
    """Raise ConfigError if no server can be started, as vLLM is not installed beside vapo."""
    if find_spec("vllm") is None:
        raise ConfigError(
            "vLLM is not installed here, so no server can be started; pip install 'vapo[vllm]', or name the URL of "
            "one that serves the export"
        )


@contextmanager
def serving(folder: Path, log: Path, *, dtype: str, max_model_len: int) -> Generator[str]:
    """Serve a model for as long as the block runs, and give the server's URL.

    Args:
        folder: of the model.
        log: where the server writes.
        dtype: precision to compute in.
        max_model_len: tokens of prompt and completion together, at most.

    Raises:
        ModelError: the server ends before it answers.
    """
    # The module, not `vllm serve`: some builds come without the command.
    words = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    words += ["--host", "127.0.0.1", "--port", str(_find_port()), "--dtype", dtype, "--enforce-eager"]
    words += ["--max-model-len", str(max_model_len), "--enable-scale-out"]
    with log.open("wb") as stream:
        process = subprocess.Popen(words, stdout=stream, stderr=stream)
    try:
        url = f"http://127.0.0.1:{words[words.index('--port') + 1]}"
        _wait(process, url, folder, log)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _find_reason(log: Path) -> str:
    said = [line.strip() for line in log.read_text(errors="replace").splitlines() if "Error: " in line]
    causes = [line for line in said if "initialization failed" not in line]  # this one follows from another
    return (causes or said or ["it ended without a word"])[-1][:_MOST_TELLING]


def _find_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], url: str, folder: Path, log: Path) -> None:
    until = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise ModelError(f"vLLM cannot serve {folder}: {_find_reason(log)}")
        try:
            urlopen(f"{url}/health", timeout=5).close()
            return
        except (URLError, TimeoutError, ConnectionError):
            time.sleep(0.5)
    raise ModelError(f"vLLM did not answer within {_START_TIMEOUT_S / 60:.0f} minutes")
