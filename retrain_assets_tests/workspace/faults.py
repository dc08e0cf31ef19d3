"""What the workspace does wrong when it is asked to, and when: faults of an answer and faults of compute.

``workspace.misbehave(fault, on="GET /api/2.2/jobs/runs/get", times=2, after=1)`` lets one matching request pass and spoils
the next two. ``on`` has wildcards; ``*`` matches all. Faults of an answer match ``METHOD path``, those of a task and of its
output the task key, those of a cluster's start the job cluster key or the cluster's name.
"""

from __future__ import annotations

import fnmatch
import threading
from dataclasses import dataclass, field
from typing import TypeVar


@dataclass(frozen=True)
class Fault:
    """Anything that can go wrong."""


@dataclass(frozen=True)
class TooManyRequests(Fault):
    """429; ``retry_after`` in seconds is the header, None leaves it out."""

    retry_after: int | None = 1


@dataclass(frozen=True)
class ServerError(Fault):
    """500, 503 or 504; ``done`` says that what was asked for happened all the same."""

    status: int = 500
    done: bool = False
    retry_after: int | None = None


@dataclass(frozen=True)
class Refused(Fault):
    """Any other refusal, a missing permission unless told otherwise."""

    status: int = 403
    error_code: str = "PERMISSION_DENIED"
    message: str = "User does not have permission for this operation."


@dataclass(frozen=True)
class SlowAnswer(Fault):
    """What was asked for happens, and the answer comes this many seconds later."""

    seconds: float = 1.0


@dataclass(frozen=True)
class ConnectionDropped(Fault):
    """The connection ends without an answer; ``done`` says that what was asked for happened all the same."""

    done: bool = False


@dataclass(frozen=True)
class TokenExpired(Fault):
    """The token is not taken any more: 403 as personal access tokens are refused, or 401."""

    status: int = 403


@dataclass(frozen=True)
class NotYetVisible(Fault):
    """What was made a moment ago is answered as if it did not exist."""


@dataclass(frozen=True)
class TruncatedDownload(Fault):
    """A download ends after this share of its bytes, with (``announced``) or without the whole length in its header."""

    share: float = 0.5
    announced: bool = True


@dataclass(frozen=True)
class TruncatedOutput(Fault):
    """get-output gives only the last characters of the logs and says so."""

    keep: int = 0


@dataclass(frozen=True)
class SlowStart(Fault):
    """A cluster takes this many seconds to start."""

    seconds: float = 1.0


@dataclass(frozen=True)
class NeverStarts(Fault):
    """A cluster stays PENDING until its run is cancelled; with ``refused`` the cloud refuses it at once."""

    refused: bool = False


@dataclass(frozen=True)
class DuringTask(Fault):
    """Something that ends a task: at once, after ``seconds``, when it has ``printed`` a text, or when a file is ``written``.

    ``written`` is a wildcard over paths on volumes, such as ``/Volumes/main/retrain/state/stages/*/model.json``.
    """

    seconds: float = 0.0
    printed: str | None = None
    written: str | None = None


@dataclass(frozen=True)
class SpotLoss(DuringTask):
    """The cloud takes back the machine of the driver."""


@dataclass(frozen=True)
class DriverLost(DuringTask):
    """The driver of the cluster dies, of memory say; the cluster goes with it."""


@dataclass(frozen=True)
class Killed(DuringTask):
    """The process of the task is killed; the cluster stays."""


@dataclass(frozen=True)
class Cancelled(DuringTask):
    """Somebody cancels the whole run in the workspace's pages."""

    by: str = "somebody@example.com"


Kind = TypeVar("Kind", bound=Fault)


@dataclass
class Asked:
    """A fault that was asked for; ``happened`` counts how often it came."""

    fault: Fault
    on: str
    times: int
    after: int
    happened: int = 0
    passed: int = field(default=0)


class Faults:
    """All that was asked for, in order; the first that matches is taken."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._lock = threading.Lock()

    def ask(self, fault: Fault, *, on: str, times: int, after: int) -> Asked:
        """Note a fault that is to come."""
        if not isinstance(fault, Fault):
            raise TypeError(f"{fault!r} is no Fault of this workspace; import it from retrain_assets_tests.workspace")
        asked = Asked(fault, on, times, after)
        with self._lock:
            self.asked.append(asked)
        return asked

    def take(self, kinds: type[Kind] | tuple[type[Kind], ...], *names: str) -> Kind | None:
        """The fault of these kinds that comes now for something with these names; it counts as happened."""
        with self._lock:
            for asked in self.asked:
                if not isinstance(asked.fault, kinds) or not any(fnmatch.fnmatchcase(name, asked.on) for name in names):
                    continue
                if asked.passed < asked.after:
                    asked.passed += 1
                    continue
                if asked.happened < asked.times:
                    asked.happened += 1
                    return asked.fault
        return None
