"""The HTTP side: reads requests, checks tokens, brings in the faults that were asked for, writes answers."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from .faults import (
    ConnectionDropped,
    Fault,
    NotYetVisible,
    Refused,
    ServerError,
    SlowAnswer,
    TokenExpired,
    TooManyRequests,
    TruncatedDownload,
)
from .routes import ApiError, Payload, Request, Route

if TYPE_CHECKING:
    from .workspace import Workspace

JSON = {"Content-Type": "application/json"}
UNEXPECTED = b'{"error_code": "INTERNAL_ERROR", "message": "The emulated workspace failed; see Workspace.errors."}'
OF_AN_ANSWER = (
    TooManyRequests,
    Refused,
    ServerError,
    SlowAnswer,
    SlowAnswer,
    ConnectionDropped,
    TokenExpired,
    NotYetVisible,
    TruncatedDownload,
)


class Served:
    """A server that runs until it is closed."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        self._thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; every connection ends."""
        self._server.shutdown()
        self._thread.join()
        self._server.close_connections()
        self._server.server_close()


def serve(workspace: Workspace) -> Served:
    """Answer for a workspace on a free port of this machine."""
    return Served(_Server(workspace))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.workspace = workspace
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """End the connections that clients keep open."""
        with self._lock:
            still = list(self._open)
        for connection in still:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nobody's error; anything else is one of the workspace, told when it closes."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, (ConnectionError, TimeoutError)):
            self.workspace.errors.append(error)


class _Dropped(Exception):
    """The connection is to end without an answer."""


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed; ``workspace.requests`` is the log."""

    def _answer(self) -> None:
        address = urlsplit(self.path)
        content = self._content()
        request = Request(
            self.command,
            address.path,
            dict(parse_qsl(address.query, keep_blank_values=True)),
            {name.lower(): value for name, value in self.headers.items()},
            content,
        )
        self.server.workspace.requests.append((request.method, request.path))
        payload: Payload | None = Payload(UNEXPECTED, 500, JSON)
        try:
            payload = self._payload(request)
        except ApiError as error:
            payload = Payload(
                json.dumps(error.body).encode(), error.status, {"Content-Type": "application/json", **error.headers}
            )
        except _Dropped:
            payload = None
        finally:
            if payload is not None:
                self._send(payload)
        if payload is None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _answer  # noqa: N815

    def _content(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            chunks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _payload(self, request: Request) -> Payload:
        workspace = self.server.workspace
        route, parts = workspace.routes.find(request.method, request.path)
        fault = workspace.faults.take(OF_AN_ANSWER, f"{request.method} {request.path}")
        if fault is not None:
            _before(fault, route, request)
        if not route.public:
            request = Request(request.method, request.path, request.query, request.headers, request.content, self._user(request))
        answer = route.answer(request, parts)
        if fault is not None:
            _after(fault, workspace.closing)
        if not isinstance(answer, Payload):
            sent = {} if answer is None else answer.as_dict()
            workspace.answers[route.method, route.pattern] = (type(answer), sent)
            answer = Payload(json.dumps(sent).encode(), headers={"Content-Type": "application/json"})
        return _truncated(answer, fault) if isinstance(fault, TruncatedDownload) else answer

    def _user(self, request: Request) -> str:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise ApiError(401, "401", "Credential was not sent or was of an unsupported type for this API.")
        if token not in self.server.workspace.tokens:
            raise ApiError(403, "403", "Invalid access token.")
        return self.server.workspace.tokens[token]

    def _send(self, payload: Payload) -> None:
        self.send_response(payload.status)
        headers = {"Content-Length": str(len(payload.content)), **payload.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        if int(headers["Content-Length"]) > len(payload.content) and self.command != "HEAD":
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload.content)


def _before(fault: Fault, route: Route, request: Request) -> None:
    """Faults that come instead of what was asked for."""
    match fault:
        case TooManyRequests(retry_after):
            wait = {} if retry_after is None else {"Retry-After": str(retry_after)}
            raise ApiError(
                429, "REQUEST_LIMIT_EXCEEDED", "Current request rate is above the rate limit. Please retry later.", wait
            )
        case Refused(status, error_code, message):
            raise ApiError(status, error_code, message)
        case TokenExpired(401):
            raise ApiError(401, "401", "Token is expired.")
        case TokenExpired():
            raise ApiError(403, "403", "Invalid access token.")
        case NotYetVisible():
            gone: Callable[[Request], ApiError] = route.absent or (lambda request: ApiError(404, "NOT_FOUND", "Not found."))
            raise gone(request)
        case ServerError(done=False):
            raise _server_error(fault)
        case ConnectionDropped(done=False):
            raise _Dropped


def _after(fault: Fault, closing: threading.Event) -> None:
    """Faults that come when what was asked for has happened."""
    if isinstance(fault, SlowAnswer):
        closing.wait(fault.seconds)
    if isinstance(fault, ServerError):
        raise _server_error(fault)
    if isinstance(fault, ConnectionDropped):
        raise _Dropped


def _server_error(fault: ServerError) -> ApiError:
    code, message = {
        503: ("TEMPORARILY_UNAVAILABLE", "The service at this path is taking too long to process your request. Try again later."),
        504: ("DEADLINE_EXCEEDED", "The request took too long."),
    }.get(fault.status, ("INTERNAL_ERROR", "An internal error occurred."))
    wait = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return ApiError(fault.status, code, message, wait)


def _truncated(payload: Payload, fault: TruncatedDownload) -> Payload:
    kept = payload.content[: int(len(payload.content) * fault.share)]
    whole = {"Content-Length": str(len(payload.content))} if fault.announced else {}
    named = {name: value for name, value in payload.headers.items() if name.lower() != "content-length"}
    return Payload(kept, payload.status, {**named, **whole})
