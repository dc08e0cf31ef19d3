"""What a reproduction says: one result a step, and the causes of a difference. The values only."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Depth(StrEnum):
    """How much is recomputed."""

    FAST = "fast"
    """Nothing is fitted."""
    USUAL = "usual"
    """Everything that is stored here."""
    FULL = "full"
    """The snapshot is taken from the source again, too."""


class Status(StrEnum):
    """What a step found."""

    EQUAL = "equal"
    DIFFERENT = "DIFFERENT"
    NOT_RECOMPUTED = "not recomputed"


class CauseKind(StrEnum):
    """Why something recomputed is not what was recorded."""

    FEATURE_CODE = "feature code changed"
    PACKAGES = "package versions differ"
    PLATFORM = "another platform, Python or number of threads"
    PRODUCT = "other code of the product"
    CONTRACT = "contract differs"
    SOURCE = "source rows changed"
    STAGE_OUTPUT = "stage output on disk changed"
    TRAFFIC = "traffic files removed or changed"
    LATE_TRAFFIC = "traffic arrived later"
    RETENTION = "traffic deleted by retention"
    NOT_DETERMINISTIC = "the estimator is not deterministic"
    EVIDENCE = "evidence missing or changed"
    MEASURED = "measured time or memory is over its limit here"
    ROUNDING = "sums were added in another order"
    UNKNOWN = "no recorded input differs"


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause, in words with what was recorded and what is here."""

    kind: CauseKind
    text: str

    @property
    def sentence(self) -> str:
        """Kind and details."""
        return f"{self.kind}: {self.text}"


@dataclass(frozen=True, slots=True)
class Result:
    """What one step found.

    Args:
        step: number and name of the step, ``3 candidate``.
        what: what was recomputed.
        status: the finding.
        recorded: digest on record; None where there is none.
        recomputed: digest of what was recomputed; None where nothing was.
        why: why it was not recomputed, or a remark.
        causes: causes of a difference.
        missing: whether something that should be stored is not, so that nothing could be recomputed.
        measured: facts of the clock, which cannot be equal: ``{"what", "recorded", "here", "outcomes"}``; outcomes are compared.
        seconds: how long it took.
    """

    step: str
    what: str
    status: Status
    recorded: str | None = None
    recomputed: str | None = None
    why: str = ""
    causes: tuple[Cause, ...] = ()
    missing: bool = False
    measured: tuple[dict[str, Any], ...] = ()
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """JSON-able values."""
        causes = [{"kind": one.kind.name.lower(), "cause": one.kind.value, "text": one.text} for one in self.causes]
        return {**asdict(self), "status": str(self.status), "causes": causes}


def compared(step: str, what: str, recorded: str, recomputed: str, causes: tuple[Cause, ...] = (), **more: Any) -> Result:
    """Equal when the digests are; a difference names its causes."""
    same = recorded == recomputed
    return Result(
        step, what, Status.EQUAL if same else Status.DIFFERENT, recorded, recomputed, causes=() if same else causes, **more
    )


def skipped(step: str, what: str, why: str, recorded: str | None = None, **more: Any) -> Result:
    """Not recomputed, and why."""
    return Result(step, what, Status.NOT_RECOMPUTED, recorded, why=why, **more)
