"""The bounds of a response: bytes, once unpacked, and seconds."""

from __future__ import annotations

import time
import zlib

from vapo.api.server_errors import ServerError

MAX_RESPONSE_BYTES = 32 * 2**20
"""Of a list of models, a chat completion or embeddings: ten times as much as the longest answers have."""
MAX_FEATURES_BYTES = 512 * 2**20
"""Of vLLM's own endpoints, which turn images into numbers."""
DEADLINE_SHARE = 4
"""A response must be whole within so many times the longest silence."""

_UNPACKED_BY_ZLIB = ("gzip", "x-gzip", "deflate")
ACCEPTED_ENCODINGS = "gzip, deflate"


class ResponseTooLargeError(ServerError):
    """A response has more bytes than any needs. The same request would fail again; others may succeed."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"the server's response has more than {max_bytes // 2**20} MiB; check what the URL leads to")


class BoundedBody:
    """The body of a response, collected as it comes.

    Args:
        max_bytes: the most that are taken, packed and unpacked.
        seconds: from now, in which they must be there.
    """

    def __init__(self, max_bytes: int, seconds: float) -> None:
        self._max_bytes = max_bytes
        self._until = time.monotonic() + seconds
        self._chunks: list[bytes] = []
        self._size = 0

    def add(self, chunk: bytes) -> None:
        """Take some more.

        Raises:
            ResponseTooLargeError: they are too many.
            TimeoutError: they are late.
        """
        self._size += len(chunk)
        if self._size > self._max_bytes:
            raise ResponseTooLargeError(self._max_bytes)
        if time.monotonic() > self._until:
            raise TimeoutError
        self._chunks.append(chunk)

    def unpack(self, encoding: str) -> bytes:
        """Return all that came, unpacked.

        Args:
            encoding: the header `Content-Encoding`, or "".

        Raises:
            ServerError: it is packed in another way than was asked for, or broken.
        """
        content = b"".join(self._chunks)
        for name in reversed([part.strip().lower() for part in encoding.split(",")]):
            if name in _UNPACKED_BY_ZLIB:
                content = self._inflate(content)
            elif name not in ("", "identity"):
                raise ServerError(f"the server compresses its response as {name[:40]!r}, which was not asked for")
        return content

    def _inflate(self, content: bytes) -> bytes:
        for window in (32 + zlib.MAX_WBITS, -zlib.MAX_WBITS):  # gzip or zlib, by its header; or neither, as some send
            unpacking = zlib.decompressobj(window)
            try:
                unpacked = unpacking.decompress(content, self._max_bytes + 1)
            except zlib.error:
                continue
            if len(unpacked) > self._max_bytes:
                raise ResponseTooLargeError(self._max_bytes)
            return unpacked
        raise ServerError("the server's response cannot be decompressed; ask again")
