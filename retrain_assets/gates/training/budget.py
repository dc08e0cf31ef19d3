"""Did the fit stay within the time, memory and money the contract gives it?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.contract.thresholds import TrainingThresholds
from retrain_assets.gates.limits import number
from retrain_assets.gates.training.evidence import TrainingEvidence

CHECK = "within_budget"

FIT_TIME = "time of the fit"
"""What the evidence calls the seconds of the fit."""


def within_budget(evidence: TrainingEvidence, limits: TrainingThresholds) -> Verdict:
    """``pass`` when every limit that is set holds; otherwise the verdict is about the first that does not.

    Time is that of the fit with its calibration; memory the peak of the process that trains; cost is that time at
    ``cost_per_hour``. What is limited and was not measured is ``no_data``, unless another limit is broken.
    """
    seconds = evidence.duration_s
    cost = None if seconds is None or limits.cost_per_hour is None else seconds / 3600 * limits.cost_per_hour
    uses = [
        _Use(FIT_TIME, "s", seconds, limits.max_duration.total_seconds()),
        _Use(_memory_name(evidence), "MiB", evidence.memory_mb, limits.max_memory_mb),
        _Use("cost of the fit", "", cost, limits.max_cost),
    ]
    details = {"budget": [use.to_json() for use in uses]}
    limited = [use for use in uses if use.limit is not None]
    for outcome in (Outcome.FAIL, Outcome.ERROR, Outcome.NO_DATA):
        if found := next((use for use in limited if use.outcome is outcome), None):
            return Verdict(Gate.TRAINING, CHECK, outcome, found.sentence, found.used, found.limit, details)
    tightest = max(limited, key=lambda use: (use.used or 0.0) / (use.limit or math.inf))
    message = "; ".join(use.sentence for use in limited)
    return Verdict(Gate.TRAINING, CHECK, Outcome.PASS, message, tightest.used, tightest.limit, details)


@dataclass(frozen=True, slots=True)
class _Use:
    name: str
    unit: str
    used: float | None
    limit: float | None

    @property
    def outcome(self) -> Outcome:
        if self.used is None:
            return Outcome.NO_DATA
        if not math.isfinite(self.used):
            return Outcome.ERROR
        return Outcome.PASS if self.limit is None or self.used <= self.limit else Outcome.FAIL

    @property
    def sentence(self) -> str:
        allowed = f"allowed is at most {self._amount(self.limit)}"
        if self.outcome is Outcome.NO_DATA:
            return f"{self.name} could not be measured; {allowed}"
        return f"{self.name} is {self._amount(self.used)}; {allowed}"

    def to_json(self) -> dict[str, Any]:
        return {"budget": self.name, "unit": self.unit, "outcome": self.outcome.value, "used": self.used, "limit": self.limit}

    def _amount(self, value: float | None) -> str:
        return f"{number(value) if value is None or math.isfinite(value) else value} {self.unit}".rstrip()


def _memory_name(evidence: TrainingEvidence) -> str:
    return "peak memory of the process since its start" if evidence.memory_of == "process" else "peak memory during the fit"
