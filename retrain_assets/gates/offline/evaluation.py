"""The numbers gate OFFLINE judges: how a candidate does on the hold-out, next to the champion. They are made in holdout.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from retrain_assets.contract import finite
from retrain_assets.gates.offline.calibration import Calibration
from retrain_assets.gates.offline.fairness import GroupRates
from retrain_assets.gates.offline.intervals import UNDEFINED, Improvement


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric on one set of rows; ``improvement`` is positive where the candidate is better."""

    metric: str
    rows: int
    candidate: float | None
    champion: float | None
    improvement: Improvement = UNDEFINED
    method: str | None = None
    """How the bounds were made, in words."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The slice metric on the rows with one value of one column; without enough rows it is listed and not judged."""

    column: str
    value: str
    judged: bool
    comparison: Comparison
    adjusted_p_value: float | None = None
    """Of "not worse than the champion at all", one-sided, corrected for the number of judged slices (Holm); None where it was not
    judged."""


@dataclass(frozen=True, slots=True)
class SliceCalibration:
    """Calibration of the candidate in one slice; ``bias`` is mean prediction minus share of positives."""

    column: str
    value: str
    rows: int
    judged: bool
    bias: float
    ece: float
    adjusted_p_value: float | None = None
    """Of "not beyond the contract's limit of bias", corrected for the number of judged slices (Holm)."""


@dataclass(frozen=True, slots=True)
class Flips:
    """How many decisions differ from the champion's, on all rows (column and value empty) or in one slice."""

    column: str
    value: str
    rows: int
    judged: bool
    share: float
    to_positive: float | None = None
    """Share of rows that only the candidate decides positively (binary)."""
    adjusted_p_value: float | None = None
    """Of "not beyond the contract's limit of flips", corrected for the number of judged slices (Holm)."""


@dataclass(frozen=True, slots=True)
class Stability:
    """The candidate's predictions against the champion's on the same rows.

    ``flips`` begins with all rows (classification). ``mean_change`` is the mean absolute change of a prediction and ``shift`` the
    same in standard deviations of the label (regression) or of probability (classification).
    """

    flips: tuple[Flips, ...]
    mean_change: float
    shift: float | None


@dataclass(frozen=True, slots=True)
class Backtest:
    """One rolling-origin back-test: the model was fitted on rows before ``start`` and judged up to ``end`` (ISO times)."""

    start: str
    end: str
    rows: int
    value: float | None
    fitted_rows: int = 0
    """Rows before ``start`` whose label was known then; 0 in records of earlier releases."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The contract's decision threshold, and the one the hold-out would choose for the costs it implies.

    Costs are per row, in units of one false alarm plus one miss.
    """

    threshold: float
    cost: float
    holdout_threshold: float
    holdout_cost: float
    trivial_cost: float | None = None
    """Of deciding alike for every row, the cheaper way."""
    champion_cost: float | None = None
    champion_holdout_threshold: float | None = None
    champion_holdout_cost: float | None = None


@dataclass(frozen=True, slots=True)
class OfflineEvaluation:
    """Everything gate OFFLINE judges; JSON-able by :meth:`to_json`.

    Args:
        task: as in the contract.
        rows: labelled hold-out rows that were scored.
        rows_without_label: hold-out rows left out because their label is not known yet.
        bootstrap: true only when the caller said that this is a first champion with nothing to compare with.
        compared: whether a champion was scored on the same rows.
        confidence: of every bound, one-sided.
        seed: of the resampling.
        resamples: number of bootstrap samples.
        metrics: one comparison per metric of the contract.
        slices: per declared slice column (and pair of columns), the 50 largest slices.
        slices_left_out: number of the slices beyond these.
        groups_left_out: column of fairness to the number of groups beyond the 50 largest, where there are any.
        fairness: column to rates of its groups (binary classification).
        calibration: of the candidate's probabilities (for multiclass: of the decided class).
        decision: costs of candidate and champion at the contract's threshold and at the cheapest one (binary classification).
        backtests: as the caller gave them.
        latency_ms: median milliseconds for one row, as the caller measured it.
        latency_p95_ms: 95th percentile of the same.
        size_mb: size of the bundle in MiB, as the caller measured it.
        slice_calibration: of the candidate, per declared slice (classification).
        stability: the candidate's predictions against the champion's; None without one.
        problems: what could not be computed and why; key ``scores`` concerns everything, ``slices``, ``backtests``,
            ``metric_NAME`` and ``fairness_COLUMN`` one part.
    """

    task: str
    rows: int
    rows_without_label: int
    bootstrap: bool
    compared: bool
    confidence: float
    seed: int
    resamples: int
    metrics: tuple[Comparison, ...] = ()
    slices: tuple[Slice, ...] = ()
    fairness: Mapping[str, tuple[GroupRates, ...]] = field(default_factory=dict)
    calibration: Calibration | None = None
    decision: Decision | None = None
    backtests: tuple[Backtest, ...] = ()
    latency_ms: float | None = None
    latency_p95_ms: float | None = None
    size_mb: float | None = None
    slice_calibration: tuple[SliceCalibration, ...] = ()
    stability: Stability | None = None
    problems: Mapping[str, str] = field(default_factory=dict)
    slices_left_out: int = 0
    groups_left_out: Mapping[str, int] = field(default_factory=dict)

    def metric(self, name: str) -> Comparison | None:
        """The comparison of one metric; None when it was not evaluated."""
        return next((comparison for comparison in self.metrics if comparison.metric == name), None)

    def to_json(self) -> dict[str, Any]:
        """JSON-able values; non-finite numbers become None."""
        return dict(finite(asdict(self)))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> OfflineEvaluation:
        """The inverse of :meth:`to_json`.

        Raises:
            pydantic.ValidationError: when fields are missing or of another type.
        """
        from pydantic import TypeAdapter

        return TypeAdapter(cls).validate_python(value)


def problem_of(metric: str) -> str:
    """The key of :attr:`OfflineEvaluation.problems` that concerns one metric."""
    return f"metric_{metric}"
