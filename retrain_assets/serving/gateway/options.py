"""How a gateway runs: what ``retrain serve`` is told and hands on to its workers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

MAX_BODY_BYTES = 1024 * 1024
BODY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Options:
    """What each worker of a gateway is told.

    Args:
        max_body_bytes: largest body of a request.
        body_seconds: time a body has to arrive.
        rotate_after_seconds: how often what was journalled is brought into Parquet files.
        rotate_rows: rows after which that happens earlier.
        require_tokens: whether programs on this machine need a token too.
        require_tokens_for_metrics: whether ``/metrics`` needs one.
        drain_seconds: how long requests under way may take when the gateway ends.
        open_to_others: whether other machines can reach it, so that most callers need a token.
        switch_interval_ms: longest time one thread keeps the interpreter while another waits for it.
    """

    max_body_bytes: int = MAX_BODY_BYTES
    body_seconds: float = BODY_SECONDS
    rotate_after_seconds: float = 300.0
    rotate_rows: int = 50_000
    require_tokens: bool = False
    require_tokens_for_metrics: bool = False
    drain_seconds: int = 10
    open_to_others: bool = False
    switch_interval_ms: float = 0.5

    def to_text(self) -> str:
        """For the environment of a worker."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Options:
        """The inverse of :meth:`to_text`."""
        return cls(**json.loads(text))
