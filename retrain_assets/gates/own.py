"""What a team's own check is given, gate by gate, and what it answers with. Import from here in the code of a check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import narwhals as nw
import numpy as np
import polars as pl

from retrain_assets.contract import Contract, Gate, Outcome, Verdict
from retrain_assets.contract.unit_names import UNLINKABLE, UnitNames
from retrain_assets.experiment import Look, MeasureResult
from retrain_assets.gates.limits import at_least, at_most, within
from retrain_assets.gates.offline.evaluation import Comparison
from retrain_assets.gates.training.evidence import TrainingEvidence

__all__ = [
    "CanaryLook",
    "DataRows",
    "Evidence",
    "Gate",
    "Outcome",
    "ScoredHoldout",
    "TrainedCandidate",
    "Verdict",
]

Frame = nw.DataFrame[pl.DataFrame]


class Bundle(Protocol):
    """The candidate, ready to score."""

    @property
    def digest(self) -> str:
        """Digest of its manifest."""

    @property
    def manifest(self) -> Any:
        """Everything the bundle says of itself: features, window, parameters, classes (docs/data-formats.md)."""

    def score(self, features: pl.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
        """(n,) scores of (n,) rows of features, or (n, classes)."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What every own check is given, and the verdicts it can give.

    Args:
        gate: the gate the check stands in.
        check: its name in the contract.
        contract: the release contract the retrain is judged by.
        retrain: key of the retrain.
        names: what units are called in evidence, where raw ids must not stand.
    """

    gate: Gate
    check: str
    contract: Contract
    retrain: str
    names: UnitNames = field(default=UNLINKABLE, repr=False)

    def passes(self, message: str, **further: Any) -> Verdict:
        """The check holds. Further: ``observed`` and ``threshold`` (numbers or texts), ``evidence`` (a dict of JSON values)."""
        return self._verdict(Outcome.PASS, message, **further)

    def fails(self, message: str, **further: Any) -> Verdict:
        """The check does not hold; arguments as :meth:`passes`."""
        return self._verdict(Outcome.FAIL, message, **further)

    def is_inconclusive(self, message: str, **further: Any) -> Verdict:
        """What there is tells neither; arguments as :meth:`passes`. Nothing goes on."""
        return self._verdict(Outcome.INCONCLUSIVE, message, **further)

    def has_no_data(self, message: str, **further: Any) -> Verdict:
        """There is nothing to judge; arguments as :meth:`passes`. Nothing goes on."""
        return self._verdict(Outcome.NO_DATA, message, **further)

    def at_least(self, observed: float | None, limit: float, *, what: str, evidence: Mapping[str, Any] | None = None) -> Verdict:
        """``pass`` when a number is at or above a limit.

        Args:
            observed: the number; None gives ``no_data``, NaN and infinities give ``error``.
            limit: in the same unit.
            what: the number in words, e.g. ``"days with flights"``.
            evidence: JSON values shown with the verdict.
        """
        return at_least(self.gate, self.check, _plain(observed), limit, what=what, evidence=evidence)

    def at_most(self, observed: float | None, limit: float, *, what: str, evidence: Mapping[str, Any] | None = None) -> Verdict:
        """``pass`` when a number is at or below a limit; arguments as :meth:`at_least`."""
        return at_most(self.gate, self.check, _plain(observed), limit, what=what, evidence=evidence)

    def within(
        self, observed: float | None, lower: float, upper: float, *, what: str, evidence: Mapping[str, Any] | None = None
    ) -> Verdict:
        """``pass`` when a number is between two limits; arguments as :meth:`at_least`."""
        number = _plain(observed)
        return within(self.gate, self.check, number, lower=lower, upper=upper, what=what, evidence=evidence)

    def _verdict(
        self,
        outcome: Outcome,
        message: str,
        *,
        observed: float | str | None = None,
        threshold: float | str | None = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> Verdict:
        return Verdict(self.gate, self.check, outcome, message, _plain(observed), _plain(threshold), evidence or {})


@dataclass(frozen=True, kw_only=True)
class DataRows(Evidence):
    """Gate data: the snapshot, before features are built.

    Args:
        training: rows of the training window, with every column of the schema, sorted by event time and unit.
        holdout: rows of the hold-out window after it, the same.
        cutoff: end of the hold-out window, UTC.
    """

    training: Frame
    holdout: Frame
    cutoff: datetime


@dataclass(frozen=True, kw_only=True)
class TrainedCandidate(Evidence):
    """Gate training: the candidate as it was stored.

    Args:
        bundle: the candidate; ``bundle.score(frame.to_native())`` scores rows of features.
        holdout: unit, event time, label and features of the hold-out.
        record: what the stage measured: metrics, losses, differences of a second fit. What a clock measured (time, memory) is
            left out: limits of it are ``gates.training``, and a check has to give the same again when it is reproduced.
    """

    bundle: Bundle
    holdout: Frame
    record: TrainingEvidence


@dataclass(frozen=True, kw_only=True)
class ScoredHoldout(Evidence):
    """Gate offline: the labelled hold-out with what both models say of it.

    Args:
        rows: every column of the data set and every feature, and besides ``candidate_score`` and ``champion_score`` (multiclass:
            one ``…_score_CLASS`` for each class) and ``candidate_decision`` and ``champion_decision`` (binary: true at or above
            the decision threshold; multiclass: the class; regression: none). Without a champion its columns are absent.
        metrics: each metric of the contract, with both values and the paired interval of the difference.
        slice_columns: columns of ``gates.offline.slices``.
        has_champion: whether there is one; not in a bootstrap.
    """

    rows: Frame
    metrics: Mapping[str, Comparison]
    slice_columns: Sequence[str]
    has_champion: bool


@dataclass(frozen=True, kw_only=True)
class CanaryLook(Evidence):
    """Gate canary: one look at live traffic, without its rows.

    Args:
        look: all of the look: stage, counts by stage, health, results by segment, net value, and per measure the sums by stratum
            (``look.statistics``) that its interval rests on.
        results: the look's result of each measure: means of both arms, estimate, bounds, state.
        measures: the same as a table: ``measure``, ``role``, ``state``, ``champion``, ``challenger``, ``estimate``, ``lower``,
            ``upper``, ``relative_estimate``.
    """

    look: Look
    results: Mapping[str, MeasureResult]
    measures: Frame

    @classmethod
    def of(cls, look: Look, contract: Contract, retrain: str) -> CanaryLook:
        """The evidence of a look, for a check yet to be named."""
        rows = [
            {
                "measure": one.spec.name,
                "role": one.spec.role,
                "state": one.state.value,
                "champion": one.champion_mean,
                "challenger": one.challenger_mean,
                "estimate": one.estimate,
                "lower": one.lower,
                "upper": one.upper,
                "relative_estimate": one.relative_estimate,
            }
            for one in look.results
        ]
        texts = ("measure", "role", "state")
        schema = {name: pl.String() if name in texts else pl.Float64() for name in (*texts, *_NUMBERS)}
        return cls(
            gate=Gate.CANARY,
            check="",
            contract=contract,
            retrain=retrain,
            look=look,
            results={one.spec.name: one for one in look.results},
            measures=nw.from_native(pl.DataFrame(rows, schema=schema), eager_only=True),
        )


_NUMBERS = ("champion", "challenger", "estimate", "lower", "upper", "relative_estimate")


def _plain(value: Any) -> Any:
    """A number of numpy or of a frame as a plain one."""
    return value.item() if isinstance(value, np.generic) else value
