"""What serving knows about one model right now, and what it answers for one unit. Values only; no hashing, no files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from retrain_assets.contract import RetrainError
from retrain_assets.routing.bucketing import TOTAL_WEIGHT, weight_of

Arm = Literal["champion", "challenger"]

ROUTED_STATES = frozenset({"registered", "armed", "shadow", "ramping", "held", "awaiting_approval"})
"""Toggle states in which the rule's stage and share count. A held toggle keeps its traffic; only its ramp stands still."""

SETTLED_STATES = frozenset({"promoted", "rolled_back", "rejected", "retired"})
"""Toggle states in which every unit gets the champion."""

NO_TOGGLE_STATE = "none"
"""State of a rule without a toggle."""

SHADOW = "shadow"


class Reason(StrEnum):
    """Why a unit got its arm."""

    RAMP = "ramp"
    """The unit is in the experiment and its bucket decided."""
    SHADOW = "shadow"
    """The unit is in the experiment; the champion answers, the challenger is scored beside it."""
    ARMED = "armed"
    """There is a challenger, but no stage has begun."""
    COHORT_EXCLUDED = "cohort_excluded"
    """The unit's attributes do not meet the cohort's conditions, or the unit is not in the share of them that takes part."""
    NO_UNIT = "no_unit"
    """The request names no unit, so nothing could keep it sticky."""
    EXPIRED = "expired"
    """The toggle is past its expiry."""
    ROLLED_BACK = "rolled_back"
    """The challenger was rolled back or rejected."""
    PROMOTED = "promoted"
    """The challenger has become the champion."""
    NO_TOGGLE = "no_toggle"
    """There is no challenger."""
    NO_CHAMPION = "no_champion"
    """The model has no champion yet; there is nothing to serve."""
    NOT_LOGGED = "not_logged"
    """Exposures cannot be written now and the contract says to serve all the same; no rule gives it, only the gateway."""

    @property
    def in_experiment(self) -> bool:
        """Whether the exposure belongs to the toggle's experiment."""
        return self in (Reason.RAMP, Reason.SHADOW)


@dataclass(frozen=True, slots=True)
class VersionRef:
    """One registered version and the digest of its bundle's manifest (``sha256:…``)."""

    version: str
    bundle: str


@dataclass(frozen=True, slots=True)
class RoutingRule:
    """How one model's traffic is divided now.

    Args:
        model: name of the model, also the flag key.
        champion: the version that answers by default; None before the first bootstrap.
        challenger: the version under test; None when there is none.
        toggle: name of the release control; None when there is none.
        revision: the toggle's revision; 0 without one.
        stage: ``shadow``, ``5``, … ``100`` as in the ramp; None before the first stage.
        salt: ASCII text hashed before the unit; a new one re-randomises, the same one keeps every unit where it was.
        share: part of the cohort routed to the challenger, 0..1, in steps of 0.0001; counts only in a numbered stage.
        cohort: condition per attribute, the JSON form of ``contract.Condition`` (``in``, ``not_in``, ``at_least``, ``below``,
            ``any_of``).
        expires_at: when the toggle rolls back by itself, aware; counted in whole seconds as flagd does.
        state: the toggle's state; ``none`` without one.
        cohort_share: part of the units meeting the cohort that takes part at all, 0.0001..1; drawn independently of the arm.

    Raises:
        RetrainError: for a share or cohort share outside 0..1 or finer than 0.01 %, a salt with non-ASCII characters, an expiry
            without a time zone, an unknown state, or an attribute name that flagd would take apart.
    """

    model: str
    champion: VersionRef | None
    challenger: VersionRef | None = None
    toggle: str | None = None
    revision: int = 0
    stage: str | None = None
    salt: str = ""
    share: float = 0.0
    cohort: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    expires_at: datetime | None = None
    state: str = NO_TOGGLE_STATE
    cohort_share: float = 1.0

    def __post_init__(self) -> None:
        where = f"routing rule of {self.model}"
        if not 0 <= self.share <= 1:
            raise RetrainError(f"share {self.share} is not between 0 and 1", where=where, remedy="write 0.05 for 5 %")
        if self.share > 0 and weight_of(self.share) == 0:
            raise RetrainError(
                f"share {self.share} is finer than the smallest step 0.0001",
                where=where,
                remedy="write a stage of at least 0.01 %",
            )
        if not 1 / TOTAL_WEIGHT <= self.cohort_share <= 1:
            raise RetrainError(
                f"cohort_share {self.cohort_share} is not between 0.0001 and 1", where=where, remedy="write 0.1 for a tenth"
            )
        if not self.salt.isascii():
            raise RetrainError(f"salt {self.salt!r} is not ASCII", where=where, remedy="use ASCII characters only")
        if self.expires_at is not None and self.expires_at.tzinfo is None:
            raise RetrainError("expires_at has no time zone", where=where, remedy="write an aware UTC time")
        if self.toggle is not None and self.state not in ROUTED_STATES | SETTLED_STATES:
            known = ", ".join(sorted(ROUTED_STATES | SETTLED_STATES))
            raise RetrainError(f"toggle state {self.state!r} is unknown", where=where, remedy=f"write one of {known}")
        for name in self.cohort:
            if not name or "." in name or name in ("targetingKey", "$flagd"):
                raise RetrainError(
                    f"cohort attribute {name!r} cannot be looked up by flagd",
                    where=where,
                    remedy="use a name without dots that is not targetingKey or $flagd",
                )

    @property
    def is_routed(self) -> bool:
        """Whether stage and share count: there is a champion, a challenger and a toggle in an active state."""
        return (
            self.champion is not None and self.challenger is not None and self.toggle is not None and self.state in ROUTED_STATES
        )

    @property
    def effective_share(self) -> float:
        """The share that routing uses: 0 before the first stage and in shadow."""
        return self.share if self.is_routed and self.stage not in (None, SHADOW) else 0.0


class Assignment(NamedTuple):
    """The answer for one unit. Units with the same answer get the same object: it is made when the rule is compiled.

    ``toggle``, ``revision`` and ``stage`` are set only where the exposure belongs to the experiment
    (``reason.in_experiment``); elsewhere they are None, 0 and None, so that no analysis counts it. ``version`` and ``bundle`` are
    empty where ``reason`` is ``no_champion``.
    """

    arm: Arm
    version: str
    bundle: str
    toggle: str | None
    revision: int
    stage: str | None
    reason: Reason
