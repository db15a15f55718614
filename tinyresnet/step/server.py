"""The page for networks whose traces are too large for one file: it opens at once and asks for a tensor when somebody looks at it.

It listens on this machine alone. Whoever asks must know the token in the address, or have the cookie that the first page set; and must ask
for this very host by name, so that a foreign site which resolves its own name to this machine gets nothing (DNS rebinding).
"""

from __future__ import annotations

import hmac
import json
import math
import secrets
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ..errors import InputError
from .page import page_source
from .payload import Numbered, payload
from .session import NUDGE, Session

LOOPBACK = "127.0.0.1"
LONGEST = 10_000  # bytes of a request's body
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def serve(session: Session, *, port: int = 0, language: str = "en", opened: Callable[[str], None]) -> None:
    """Serve the session's page until Ctrl-C; `opened` is given the address. Port 0: any that is free. Raises InputError."""
    with Server(session, port=port, language=language) as server:
        opened(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("\nclosed: the page can load no more numbers", file=sys.stderr)


class Server(ThreadingHTTPServer):
    """Listens, and holds what the requests need."""

    daemon_threads = True

    def __init__(self, session: Session, *, port: int = 0, language: str = "en") -> None:
        if not 0 <= port <= 65535:
            raise InputError(f"the port is {port}: 0 to 65535 is wanted")
        self.session, self.tensors = session, Numbered(session.trace)
        data = payload(session, lazy=True) | {"server": "."}  # what the page asks for is beside it
        self.page = page_source(session, language=language, data=data).encode()
        self.token, self.nudging = secrets.token_urlsafe(), threading.Lock()
        try:
            super().__init__((LOOPBACK, port), Request)
        except OSError as error:
            raise InputError(f"cannot listen on port {port}: {error.strerror or error}; 0 finds a free one") from error
        self.hosts = {f"{LOOPBACK}:{self.server_port}", f"localhost:{self.server_port}"}
        self.cookie = f"tinyresnet-{self.server_port}"  # browsers share cookies among the ports of a host

    @property
    def address(self) -> str:
        """Where to go, the token in it."""
        return f"http://{LOOPBACK}:{self.server_port}/?token={self.token}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing to say of a browser that left; of anything else, what http.server says."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Request(BaseHTTPRequestHandler):
    """Answers `/`, `/tensor/NUMBER` (its little-endian bytes) and POST `/nudge` ({"param", "at", "by"} -> {"loss"})."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """The page, or a tensor."""
        path = urlsplit(self.path).path
        if not self._allowed():
            return
        if path == "/":
            cookie = f"{self.server.cookie}={self.server.token}; HttpOnly; SameSite=Strict; Path=/"
            self._send(HTTPStatus.OK, self.server.page, "text/html; charset=utf-8", {"Set-Cookie": cookie})
        elif path.startswith("/tensor/"):
            self._tensor(path.removeprefix("/tensor/"))
        elif path == "/nudge":
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED)
        else:
            self._refuse(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """A nudge."""
        if not self._allowed():
            return
        if urlsplit(self.path).path != "/nudge":
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED)
            return
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > LONGEST:
            self._refuse(HTTPStatus.BAD_REQUEST)
            return
        try:
            name, at, by = _nudge(self.rfile.read(int(length)))
            with self.server.nudging:  # one network at a time: it takes as much memory as the first
                loss = self.server.session.nudged(name, at, by).loss
        except InputError as error:
            self._json(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        else:
            self._json(HTTPStatus.OK, {"loss": loss if math.isfinite(loss) else None})

    def _allowed(self) -> bool:
        """Whether this comes from somebody who knows the token, for this host, from no foreign page; else the refusal is sent."""
        origin = self.headers.get("Origin")
        at_home = self.headers.get("Host") in self.server.hosts
        at_home = at_home and (origin is None or origin.removeprefix("http://") in self.server.hosts)
        if at_home and any(hmac.compare_digest(key.encode(), self.server.token.encode()) for key in self._keys()):
            return True
        self._refuse(HTTPStatus.FORBIDDEN)
        return False

    def _keys(self) -> list[str]:
        """The tokens that came: in the address, in the cookie."""
        found = parse_qs(urlsplit(self.path).query).get("token", [])
        try:
            cookie = SimpleCookie(self.headers.get("Cookie", "")).get(self.server.cookie)
        except CookieError:
            cookie = None
        return found + ([cookie.value] if cookie else [])

    def _tensor(self, text: str) -> None:
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
        try:
            array = self.server.tensors[number]
        except IndexError:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        self._send(HTTPStatus.OK, little.tobytes(), "application/octet-stream")

    def _json(self, status: HTTPStatus, value: Any) -> None:
        self._send(status, json.dumps(value).encode(), "application/json")

    def _refuse(self, status: HTTPStatus) -> None:
        self.close_connection = True  # a body may follow that nobody reads
        self._send(status, f"{status.value} {status.phrase}\n".encode(), "text/plain; charset=utf-8")

    def _send(self, status: HTTPStatus, body: bytes, kind: str, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        own = {"Content-Type": kind, "Content-Length": str(len(body))}
        if self.close_connection:
            own["Connection"] = "close"
        for name, value in {**HEADERS, **own, **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        """What the header `Server` says: no versions."""
        return "tinyresnet"

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the terminal belongs to the reader."""


def _nudge(body: bytes) -> tuple[str, tuple[int, ...], float]:
    """What a request to nudge asks for. Raises InputError."""
    try:
        asked = json.loads(body)
        name, at, by = asked["param"], tuple(asked["at"]), float(asked.get("by", NUDGE))
        if isinstance(name, str) and all(type(i) is int for i in at) and math.isfinite(by):
            return name, at, by
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        pass
    raise InputError('this is no nudge: {"param": "fc.weight", "at": [0, 1], "by": 0.01} is wanted')
