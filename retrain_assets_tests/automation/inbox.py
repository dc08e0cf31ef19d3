"""A messaging service on loopback that keeps what it is sent, and can fail in the ways such services do."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Inbox:
    """What arrived, in order.

    ``status`` is what it answers with. While ``answers`` is not set it keeps everybody waiting.
    """

    address: str = ""
    status: int = 200
    messages: list[dict[str, Any]] = field(default_factory=list)
    attempts: int = 0
    answers: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.answers.set()

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.messages]

    def url(self, path: str = "hook") -> str:
        """The Apprise URL of one of its paths."""
        return f"json://{self.address}/{path}"


@contextmanager
def inbox() -> Iterator[Inbox]:
    """A running one."""
    box = Inbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            box.attempts += 1
            box.answers.wait()
            if box.status < 300:
                box.messages.append({**message, "path": self.path})
            self.send_response(box.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    box.address = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield box
    finally:
        box.answers.set()
        server.shutdown()
        server.server_close()
        thread.join()


def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
