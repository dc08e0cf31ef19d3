"""What a service that scores by itself tells of a request: which arm the unit is in, how the arm's model did, where that goes."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from retrain_assets.contract import RetrainError
from retrain_assets.routing import Arm, Assignment, Reason

MILLISECONDS = 1000


@dataclass(frozen=True, slots=True)
class RoutedUnit:
    """The arm of one unit, and what its exposure will need.

    Args:
        model: the model.
        unit: its plain id; None where the request names none.
        assignment: arm, version, bundle, toggle, revision, stage and reason.
        attributes: what was known of the unit, as it was given.
        at: when it was asked.
    """

    model: str
    unit: str | None
    assignment: Assignment
    attributes: Mapping[str, Any]
    at: datetime

    @property
    def arm(self) -> Arm:
        """Whose model is to answer."""
        return self.assignment.arm

    @property
    def version(self) -> str:
        """Registry version of that model; empty where there is no champion yet."""
        return self.assignment.version

    @property
    def bundle(self) -> str:
        """Digest of that version's bundle."""
        return self.assignment.bundle

    @property
    def reason(self) -> Reason:
        """Why this arm."""
        return self.assignment.reason


@dataclass(frozen=True, slots=True)
class Exposure:
    """One answered request.

    Args:
        routed: the unit's arm, as it was asked before the request was answered.
        request_id: identifies the request; its outcomes will name it.
        latency_ms: time of the arm's scoring call; of a failed challenger together with the champion's.
        score: what the application was given; None where nobody answered.
        decision: the decision the application was given.
        error: whether the arm's model failed, also where the champion answered for it.
    """

    routed: RoutedUnit
    request_id: str
    latency_ms: float
    score: float | None = None
    decision: bool | None = None
    error: bool = False


@dataclass(slots=True)
class Scoring:
    """A request that is being answered; what is set here is logged at its end."""

    score: float | None = None
    decision: bool | None = None
    error: bool = False


class Exposures(ABC):
    """Where exposures go: a gateway, or the journal of the home on this host."""

    @abstractmethod
    def record(self, exposures: Sequence[Exposure]) -> None:
        """Record exposures of one model; on return they survive what the contract's ``serving.durability`` says.

        Raises:
            RetrainError: where they cannot be recorded; recording them again is safe, a request counts once.
        """

    def log_exposure(
        self,
        routed: RoutedUnit,
        *,
        request_id: str,
        latency_ms: float,
        score: float | None = None,
        decision: bool | None = None,
        error: bool = False,
    ) -> None:
        """Record one exposure; the arguments are :class:`Exposure`'s.

        Raises:
            RetrainError: where it cannot be recorded, or nothing was served because there is no champion.
        """
        self.record([Exposure(routed, request_id, latency_ms, score, decision, error)])

    @contextmanager
    def scoring(self, routed: RoutedUnit, *, request_id: str) -> Iterator[Scoring]:
        """Time the scoring of a request and record its exposure at the end of the block.

        An exception of the block counts as the model's error, is recorded as such, and goes on its way. Where the challenger
        failed and the champion is asked instead, set ``error`` and the champion's ``score``.

        Raises:
            RetrainError: where the exposure cannot be recorded and the block itself has not failed.
        """
        scoring, begun = Scoring(), time.perf_counter()
        try:
            yield scoring
        except BaseException as fault:
            try:
                self.log_exposure(routed, request_id=request_id, latency_ms=_since(begun), error=True)
            except RetrainError as lost:
                fault.add_note(f"its exposure could not be recorded: {lost.line}")
            raise
        self.record([Exposure(routed, request_id, _since(begun), scoring.score, scoring.decision, scoring.error)])


def require_served(routed: RoutedUnit) -> None:
    """Refuse what cannot be an exposure.

    Raises:
        RetrainError: where nobody served.
    """
    if routed.reason is Reason.NO_CHAMPION:
        raise RetrainError(
            "there is no champion, so nothing was served", where=routed.model, remedy="log requests a model answered"
        )


def _since(begun: float) -> float:
    return (time.perf_counter() - begun) * MILLISECONDS
