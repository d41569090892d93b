"""Serve a review to the browser of this machine, and to nobody else.

The server listens on 127.0.0.1. It answers only below a path that is a random token, so that other users and pages do
not find it, and only to requests that name this machine as their host, so that a foreign page cannot reach it under a
name of its own (DNS rebinding). The page stands under a policy that runs no script but its own, by a number used once,
and fetches nothing from elsewhere. All else is nothing that a browser would run or draw as a page: a store's images,
above all, may come from anybody.
"""

from __future__ import annotations

import json
import re
import secrets
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Literal, cast

from vapo.claims.review.connections import MAX_SECONDS, LimitedHandler, LimitedServer
from vapo.claims.review.session import ReviewSession, StaleError, describe_annotation
from vapo.claims.store.annotations import JUDGEMENTS, Annotation
from vapo.errors import ConfigError, DataError

ADDRESS = "127.0.0.1"
_NAMES = (ADDRESS, "localhost")
_PAGE = {"": "review.html", "review.css": "review.css", "review.js": "review.js"}
_MEDIA_TYPES = {"html": "text/html; charset=utf-8", "css": "text/css", "js": "text/javascript"}
_MAX_BYTES = 65_536
_NONCE = "{nonce}"
_PAGE_POLICY = "; ".join(
    [
        "default-src 'none'",
        *(f"{kind}-src 'nonce-{_NONCE}'" for kind in ("script", "style")),
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",  # no text is ever parsed as HTML
        "trusted-types 'none'",
    ]
)
_POLICY = "default-src 'none'; sandbox"


class ReviewServer(LimitedServer):
    """Serve one reviewer's session at `url` until `shutdown` is called.

    Args:
        session: what is served.
        port: to listen on; 0 takes a free one.
        max_seconds: that a request may take to arrive, and its reply to be taken.

    Raises:
        ConfigError: the port is in use, or none that this user may take.
    """

    allow_reuse_port = False  # two reviews at one port would each get some of the annotations

    def __init__(self, session: ReviewSession, port: int = 0, max_seconds: float = MAX_SECONDS) -> None:
        self.session = session
        self.token = secrets.token_urlsafe(16)
        try:
            super().__init__((ADDRESS, port), _Handler, max_seconds)
        except (OSError, OverflowError) as error:
            said = error.strerror if isinstance(error, OSError) else "a port is a number from 0 to 65535"
            raise ConfigError(
                f"port {port} cannot be listened on ({said}); name another one with --port, or 0 for any that is free"
            ) from error

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over a browser that has stopped waiting; anything else is a mistake of ours, and shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """Where the page is, with the token that opens it."""
        return f"http://{ADDRESS}:{self.server_port}/{self.token}/"


def serve_review(
    session: ReviewSession, port: int, tell: Callable[[str], None], open_page: Callable[[str], bool] | None
) -> None:
    """Serve a session until the user interrupts this process.

    Args:
        session: what is served.
        port: to listen on; 0 takes a free one.
        tell: told the address, and what else the user must know.
        open_page: opens it; None leaves that to the user.

    Raises:
        ConfigError: the port cannot be listened on.
    """
    with ReviewServer(session, port) as server:
        tell(f"{len(session.image_sets)} images to review as {session.reviewer}, until Ctrl-C, at {server.url}")
        if open_page is not None and not open_page(server.url):
            tell("no browser could be opened here; open the address above in one on this machine")
        with suppress(KeyboardInterrupt):
            server.serve_forever()


def open_browser(url: str) -> bool:
    """Open an address in the user's browser; return whether there is one."""
    import webbrowser

    try:
        return webbrowser.open(url)
    except (webbrowser.Error, OSError):
        return False


class _Handler(LimitedHandler):
    server: ReviewServer  # pyright: ignore[reportIncompatibleVariableOverride]
    server_version, sys_version = "vapo", ""

    def do_GET(self) -> None:
        path = self._find_path()
        if path is None:
            return
        if path in _PAGE:
            self._show_part(_PAGE[path])
        elif path == "start":
            self._answer(self._start)
        elif found := re.fullmatch(r"places/(\d{1,9})", path):
            self._answer(lambda: self.server.session.show(int(found[1])))
        elif found := re.fullmatch(r"images/(\d{1,9})/(\d{1,4})", path):
            self._show_image(int(found[1]), int(found[2]))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    def do_POST(self) -> None:
        path = self._find_path()
        if path is None:
            return
        if self.headers.get("Origin") not in {f"http://{host}" for host in self._list_hosts()}:
            self._refuse(HTTPStatus.FORBIDDEN, "only the review's own page may write")
        elif path == "annotations":
            self._answer(self._annotate)
        elif path == "undo":
            self._answer(self._undo)
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    def _show_part(self, name: str) -> None:
        content = files("vapo.claims.review.page").joinpath(name).read_text(encoding="utf-8")
        media_type, nonce, policy = _MEDIA_TYPES[name.rpartition(".")[2]], secrets.token_urlsafe(16), _POLICY
        if name.endswith(".html"):
            content, policy = (text.replace(_NONCE, nonce) for text in (content, _PAGE_POLICY))
        self._send(HTTPStatus.OK, media_type, content.encode(), policy)

    def _start(self) -> dict[str, Any]:
        session = self.server.session
        place = session.find_unannotated()
        return {"reviewer": session.reviewer, "places": len(session.image_sets), "place": place, **self._measure()}

    def _show_image(self, place: int, position: int) -> None:
        try:
            image = self.server.session.read_image(place, position)
        except DataError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        else:
            self._send(HTTPStatus.OK, image.media_type, image.content)

    def _annotate(self) -> dict[str, Any]:
        body = self._read_body()
        claim, judgement, text, is_true = (body.get(name) for name in ("claim", "judgement", "text", "is_true"))
        if type(claim) is not int or not isinstance(judgement, str):
            raise DataError("an annotation needs a claim's number and a judgement")
        if not isinstance(text, str | None) or not isinstance(is_true, bool | None):
            raise DataError("a claim's new text must be text, and its new label true or false")
        before = _read_before(claim, self.server.session.reviewer, body.get("before", "any"))
        annotation = self.server.session.annotate(claim, judgement, text, is_true, before=before)
        return {"annotation": describe_annotation(annotation), **self._measure()}

    def _undo(self) -> dict[str, Any]:
        undone = self.server.session.undo()
        return {"undone": list(undone) if undone is not None else None, **self._measure()}

    def _measure(self) -> dict[str, Any]:
        progress = self.server.session.measure()
        figures, rate = progress.figures, progress.figures.rate
        return {
            "total": progress.total,
            "right": figures.right,
            "wrong": figures.wrong,
            "unclear": figures.unclear,
            "rate": None if rate is None else [rate.value, rate.low, rate.high],
        }

    def _read_body(self) -> Mapping[str, Any]:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > _MAX_BYTES:
            raise DataError(f"an annotation is at most {_MAX_BYTES} bytes of JSON")
        try:
            body: object = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise DataError(f"an annotation is a JSON object: {error}") from error
        if not isinstance(body, dict):
            raise DataError("an annotation is a JSON object")
        return cast("dict[str, Any]", body)

    def _find_path(self) -> str | None:
        """Return the path below the token; answer and return None where the request is none of the page's."""
        if self.headers.get("Host") not in self._list_hosts():
            self._refuse(HTTPStatus.FORBIDDEN, f"this page is served at {ADDRESS} only")
            return None
        token, slash, path = self.path.removeprefix("/").partition("/")
        if not slash or not secrets.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page; open the whole address that vapo printed")
            return None
        return path

    def _list_hosts(self) -> set[str]:
        return {f"{name}:{self.server.server_port}" for name in _NAMES}

    def _answer(self, make: Any) -> None:
        try:
            made = make()
        except StaleError as error:
            self._refuse(HTTPStatus.CONFLICT, str(error))
        except DataError as error:  # a StoreError too: the page says what went wrong, and the annotation is not shown
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        else:
            self._send(HTTPStatus.OK, "application/json", json.dumps(made).encode())

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self._send(status, "application/json", json.dumps({"error": reason}).encode())

    def _send(self, status: HTTPStatus, media_type: str, content: bytes, policy: str = _POLICY) -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Type", media_type),
            ("Content-Length", str(len(content))),
            ("Content-Security-Policy", policy),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cache-Control", "no-store"),
        ):
            self.send_header(name, value)
        self.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the address holds the token."""


def _read_before(claim: int, reviewer: str, value: object) -> Annotation | Literal["any"] | None:
    if value is None:
        return None
    if value == "any":
        return "any"
    fields = cast("Mapping[str, Any]", value if isinstance(value, dict) else {})
    judgement, text, is_true = (fields.get(name) for name in ("judgement", "text", "is_true"))
    if judgement not in JUDGEMENTS or not isinstance(text, str | None) or not isinstance(is_true, bool | None):
        raise DataError("what a claim was judged before is a judgement with a text and a label, or null")
    return Annotation(claim, reviewer, judgement, text, is_true)
