"""A verdict: the outcome of one check of one gate, with the value, the threshold and the words to show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Gate(StrEnum):
    """The five gates, in the order of the road."""

    DATA = "data"
    TRAINING = "training"
    OFFLINE = "offline"
    CANARY = "canary"
    PROMOTION = "promotion"


class Outcome(StrEnum):
    """What a check found. Only ``pass`` opens a gate."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NO_DATA = "no_data"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One check's outcome.

    Args:
        gate: the gate the check belongs to.
        check: the rule it holds, snake case, unique in the gate (``beats_champion``).
        outcome: one of five; see :class:`Outcome`.
        message: one sentence a person can act on, with the value and the threshold in it.
        observed: the measured value, in the unit of the threshold; None when there is none.
        threshold: the limit as the contract states it (number or short text); None when there is none.
        evidence: JSON-able details: tables as lists of flat dicts under a name, further numbers.
    """

    gate: Gate
    check: str
    outcome: Outcome
    message: str
    observed: float | str | None = None
    threshold: float | str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """True for ``pass`` and for nothing else."""
        return self.outcome is Outcome.PASS

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict; non-finite numbers become None so that canonical JSON can hold them."""
        return {
            "gate": self.gate.value,
            "check": self.check,
            "outcome": self.outcome.value,
            "message": self.message,
            "observed": finite(self.observed),
            "threshold": finite(self.threshold),
            "evidence": finite(dict(self.evidence)),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Verdict:
        """The inverse of :meth:`to_json`."""
        return cls(
            gate=Gate(value["gate"]),
            check=value["check"],
            outcome=Outcome(value["outcome"]),
            message=value["message"],
            observed=value["observed"],
            threshold=value["threshold"],
            evidence=value["evidence"],
        )


def overall(verdicts: Iterable[Verdict]) -> Outcome:
    """The outcome of a whole gate: the worst of its checks; a gate without verdicts is ``no_data``."""
    outcomes = {verdict.outcome for verdict in verdicts}
    for outcome in (Outcome.ERROR, Outcome.FAIL, Outcome.NO_DATA, Outcome.INCONCLUSIVE):
        if outcome in outcomes:
            return outcome
    return Outcome.PASS if outcomes else Outcome.NO_DATA


def finite(value: Any) -> Any:
    """The value with every NaN and infinity in it replaced by None, mappings as dicts, tuples as lists."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value
