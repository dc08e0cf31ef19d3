"""What the generator is asked to do: where to, which requests, how many at once, how fast and how long."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

REQUEST_ID = "@REQUEST_ID@"
"""Stands in a body where the request's own id goes."""

ID_DIGITS = 10


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """Requests to send.

    Args:
        port: TCP port on 127.0.0.1.
        path: path of the request.
        bodies: JSON bodies, sent in turn; each may hold ``@REQUEST_ID@`` once.
        seconds: how long requests are sent, unless SIGTERM ends it sooner; those under way are then still waited for.
        connections: kept-alive connections, each with one request under way at most.
        rate: requests a second, whether they are answered or not (open loop); None: each connection sends its next request when
            the last one is answered (closed loop).
        prefix: begin of request ids; ids are ``{prefix}{number:010d}``.
    """

    port: int
    path: str
    bodies: Sequence[str]
    seconds: float
    connections: int = 16
    rate: float | None = None
    prefix: str = "load-"

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> LoadPlan:
        """The inverse of :meth:`write`."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def requests(self) -> list[tuple[bytes, bytes | None]]:
        """Each body as the bytes of an HTTP request: before the id, and after it; None after where there is no id."""
        id_length = len(self.request_id(0))
        made: list[tuple[bytes, bytes | None]] = []
        for body in self.bodies:
            before, found, after = (part.encode() for part in body.partition(REQUEST_ID))
            length = len(before) + len(after) + (id_length if found else 0)
            head = f"POST {self.path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\ncontent-type: application/json\r\n"
            made.append((f"{head}content-length: {length}\r\n\r\n".encode() + before, after if found else None))
        return made

    def request_id(self, number: int) -> str:
        """The id of the n-th request."""
        return f"{self.prefix}{number:0{ID_DIGITS}d}"
