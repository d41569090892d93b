"""A server that speaks as much of OpenAI's API as the making of claims needs, and answers after a fixed time.

    python -m benchmarks.claims_server SECONDS

Prints its port. In a process of its own it takes nothing from the client that is timed. Its answer, twenty good
claims, is the same for every image.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import closing, suppress

_CLAIMS = [
    {"text": f"The {thing} with {dots} dots lies {place} the wall.", "is_true": dots % 2 == 0}
    for dots, (thing, place) in enumerate(
        (thing, place)
        for thing in ("cup", "book", "lamp", "plate", "clock")
        for place in ("near", "below", "beside", "behind")
    )
]
_CHOICE = {
    "index": 0,
    "finish_reason": "stop",
    "message": {"role": "assistant", "content": json.dumps({"claims": _CLAIMS})},
}
_ANSWER = {
    "id": "chatcmpl-0",
    "object": "chat.completion",
    "created": 0,
    "model": "stub",
    "choices": [_CHOICE],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 400, "total_tokens": 1400},
}


def write_reply(content: object) -> bytes:
    """Return an HTTP reply with a JSON body."""
    body = json.dumps(content).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def serve(latency_s: float) -> None:
    """Serve for ever."""
    models, answer = write_reply({"object": "list", "data": [{"id": "stub", "object": "model"}]}), write_reply(_ANSWER)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError), closing(writer):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = next((line for line in head.split(b"\r\n") if line.startswith(b"content-length:")), b":0")
                await reader.readexactly(int(length.partition(b":")[2]))
                if head.startswith(b"post"):
                    await asyncio.sleep(latency_s)
                writer.write(answer if head.startswith(b"post") else models)
                await writer.drain()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, limit=2**24, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
