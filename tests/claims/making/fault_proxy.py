"""A proxy between a client and a server of OpenAI's API that spoils some answers, and remembers what it handed over.

Whether a request is spoilt follows from a seed, the request and how often it came before, not from their order.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

Fault = Literal[
    "429 with a wait", "429", "500", "reset", "stall", "half a body", "no JSON",
    "cut off", "malformed", "refusal", "too few", "too many", "doubled", "unbalanced", "special tokens",
]  # fmt: skip
LINE_FAULTS: tuple[Fault, ...] = ("429 with a wait", "429", "500", "reset", "stall", "half a body", "no JSON")
"""No answer comes."""
ANSWER_FAULTS: tuple[Fault, ...] = (
    "cut off", "malformed", "refusal", "too few", "too many", "doubled", "unbalanced", "special tokens",
)  # fmt: skip
"""An answer comes, and is no good."""

STALL_S = 8.0
"""Longer than the client waits for an answer."""
_LINGER = struct.pack("ii", 1, 0)  # makes the end of a connection a reset


@dataclass
class FaultProxy:
    """What has gone through.

    Attributes:
        url: where the proxy is.
        answers: the bodies of all chat completions that were handed to the client whole, spoilt in content or not.
        spoilt: how many requests met with the fault.
        requests: how many came.
    """

    url: str
    answers: list[bytes] = field(default_factory=list)
    spoilt: int = 0
    requests: int = 0


@contextmanager
def run_proxy(upstream: str, fault: Fault, rate: float, seed: int = 0) -> Iterator[FaultProxy]:
    """Stand before a server until the context ends.

    Args:
        upstream: the server's URL.
        fault: what goes wrong.
        rate: with which share of the requests.
        seed: of the draws.
    """
    proxy = FaultProxy("")
    seen: Counter[str] = Counter()
    target = urlsplit(upstream)

    def is_spoilt(body: bytes) -> bool:
        digest = hashlib.sha256(body).hexdigest()
        seen[digest] += 1
        return random.Random(f"{seed} {digest} {seen[digest]}").random() < rate

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError), closing(writer):
            while True:
                head, body = await _read_message(reader)
                if not body:
                    writer.write(await _fetch(target.hostname, target.port, head, body))
                    await writer.drain()
                    continue
                proxy.requests += 1
                spoil = is_spoilt(body)
                proxy.spoilt += spoil
                if not await _answer(writer, head, body, fault if spoil else None):
                    break

    async def _answer(writer: asyncio.StreamWriter, head: bytes, body: bytes, spoil: Fault | None) -> bool:
        """Answer one request; return whether the connection goes on."""
        if spoil in ("429 with a wait", "429", "500"):
            wait = b"Retry-After: 0.02\r\n" if spoil == "429 with a wait" else b""
            status = 500 if spoil == "500" else 429
            writer.write(_write_reply(status, b'{"error": {"message": "not now"}}', wait))
            await writer.drain()
            return True
        reply = await _fetch(target.hostname, target.port, head, body)
        content = reply.partition(b"\r\n\r\n")[2]
        if spoil in ("reset", "stall"):
            if spoil == "stall":
                await asyncio.sleep(STALL_S)
            writer.write(reply[: len(reply) // 2])
            with suppress(ConnectionError):
                await writer.drain()
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
            return False
        if spoil in ("half a body", "no JSON"):
            content = content[: len(content) // 2] if spoil == "half a body" else b"<html>Bad gateway</html>"
        else:
            content = _spoil_answer(content, spoil) if spoil is not None else content
            proxy.answers.append(content)
        writer.write(_write_reply(200, content))
        await writer.drain()
        return True

    with _run_in_thread(serve) as port:
        proxy.url = f"http://127.0.0.1:{port}"
        yield proxy


def _spoil_answer(content: bytes, fault: Fault) -> bytes:
    reply = json.loads(content)
    choice = reply["choices"][0]
    claims = json.loads(choice["message"]["content"])["claims"]
    changes: dict[Fault, Callable[[list[Any]], Any]] = {
        "too few": lambda c: c[: len(c) // 2],
        "too many": lambda c: [*c, *({**claim, "text": f"Far away, {claim['text'].lower()}"} for claim in c)],
        "doubled": lambda c: [claim for claim in c[: len(c) // 2] for _ in range(2)],
        "unbalanced": lambda c: [{**claim, "is_true": True} for claim in c],
        "special tokens": lambda c: [{**claim, "text": f"{claim['text']}<|im_end|>"} for claim in c],
    }
    if fault in changes:
        choice["message"]["content"] = json.dumps({"claims": changes[fault](claims)})
    elif fault == "cut off":
        text = choice["message"]["content"]
        choice["message"]["content"], choice["finish_reason"] = text[: len(text) * 2 // 3], "length"
    elif fault == "malformed":
        choice["message"]["content"] = choice["message"]["content"].replace('"', "")
    else:
        choice["message"]["content"] = "I'm sorry, but I can't help with that."
    return json.dumps(reply).encode()


def _write_reply(status: int, content: bytes, headers: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %d Told\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % (status, len(content))
    return head + headers + b"\r\n" + content


async def _fetch(host: Any, port: Any, head: bytes, body: bytes) -> bytes:
    """Return a server's whole reply."""
    reader, writer = await asyncio.open_connection(host, port)
    with closing(writer):
        first, *lines = head.split(b"\r\n")
        kept = [line for line in lines if line and not line.lower().startswith((b"connection:", b"accept-encoding:"))]
        writer.write(b"\r\n".join([first, *kept, b"Connection: close", b"", body]))
        await writer.drain()
        reply_head, content = await _read_message(reader)
        return reply_head + content


async def _read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head, await reader.readexactly(int(lengths[0].partition(b":")[2])) if lengths else b""


@contextmanager
def _run_in_thread(serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]) -> Iterator[int]:
    """Serve from a thread of its own, and yield the port."""
    begun: Future[tuple[int, Callable[[], object]]] = Future()

    async def run() -> None:
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=2**24)
        begun.set_result((server.sockets[0].getsockname()[1], lambda: loop.call_soon_threadsafe(ended.set)))
        await ended.wait()
        server.close()
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await asyncio.sleep(0.05)  # connections that were closed take note of it

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    port, end = begun.result()
    try:
        yield port
    finally:
        end()
        thread.join()
