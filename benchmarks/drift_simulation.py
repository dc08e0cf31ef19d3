"""Windows drawn from the reference's own distribution, or from a shifted one, and what reports and alarms say of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from retrain_assets.contract import DriftRule
from retrain_assets.drift import DriftReport, Sketch, drift_report, drift_verdicts, sketch_frame

START = datetime(2013, 6, 1, tzinfo=UTC)
DAYS = timedelta(days=7)
LIMIT = 0.1
REFERENCE_ROWS = 20_000
LEVELS = np.array([f"level {place}" for place in range(60)], dtype=object)
RULE = DriftRule(window=DAYS, limits={"feature_psi": LIMIT, "prediction_psi": LIMIT}, min_rows=1)
"""The default rule, two of the last three windows, but for the rows below which it gives no verdict."""


@dataclass(frozen=True, slots=True)
class Shift:
    """What changes in the windows.

    Args:
        mean: what is added to the first feature, in its standard deviations.
        missing: share of the first feature's values that go missing.
        vanished: which level of the first text feature no longer occurs; about 25.5 % of the rows have level 0, 6.6 % level 1,
            4.6 % level 2, 1 % level 20.
    """

    mean: float = 0.0
    missing: float = 0.0
    vanished: int | None = None

    @property
    def column(self) -> str:
        """The feature that changes."""
        return "x0" if self.vanished is None else "x4"


UNCHANGED = Shift()


@dataclass(frozen=True, slots=True)
class Shares:
    """Of simulated windows, shares 0..1.

    Args:
        drifted: with a column that is called drifted.
        above: with a metric above its limit.
        alarmed: with an alarm by the rule k of n, windows of one reference following each other.
        plain: with a plain population stability index above the limit, as it would be without test and correction.
        error: standard error of ``drifted``: windows that share a reference count as one observation.
        windows: how many were simulated.
    """

    drifted: float
    above: float
    alarmed: float
    plain: float
    error: float
    windows: int


def draw_frame(draw: np.random.Generator, columns: int, rows: int, shift: Shift = UNCHANGED) -> pl.DataFrame:
    """Two numeric, a mostly zero, a whole-number and a text column in turn."""
    values: dict[str, object] = {}
    for place in range(columns):
        kind = place % 5
        if kind <= 1:
            values[f"x{place}"] = draw.normal(shift.mean if place == 0 else 0, 1, rows)
        elif kind == 2:
            values[f"x{place}"] = draw.exponential(size=rows) * (draw.random(rows) > 0.6)
        elif kind == 3:
            values[f"x{place}"] = draw.poisson(3, rows)
        else:
            values[f"x{place}"] = _text(draw, rows, shift.vanished if place == 4 else None)
    frame = pl.DataFrame(values)
    if shift.missing:
        gone = pl.Series(draw.random(rows) < shift.missing)
        frame = frame.with_columns(pl.when(~gone).then(pl.col("x0")).alias("x0"))
    return frame


def report_of(
    draw: np.random.Generator, reference: tuple[Sketch, Sketch], rows: int, shift: Shift = UNCHANGED, week: int = 0
) -> DriftReport:
    """The report of one window of so many rows."""
    features, predictions = reference
    window = draw_frame(draw, len(features.columns), rows, shift)
    scores = pl.DataFrame({"score": draw.random(rows)})
    return drift_report(
        start=START + week * DAYS,
        end=START + (week + 1) * DAYS,
        features=(features, sketch_frame(window, columns=window.columns, edges=features)),
        predictions=(predictions, sketch_frame(scores, columns=["score"], edges=predictions)),
        importance=dict.fromkeys(window.columns, 1.0),
    )


def reference_of(draw: np.random.Generator, columns: int, rows: int = REFERENCE_ROWS) -> tuple[Sketch, Sketch]:
    """Sketches of a training frame and of hold-out scores, a fifth of its rows."""
    frame = draw_frame(draw, columns, rows)
    scores = pl.DataFrame({"score": draw.random(max(rows // 5, 2000))})
    return sketch_frame(frame, columns=frame.columns), sketch_frame(scores, columns=["score"])


def null_shares(*, columns: int, rows: int, references: int, windows: int, seed: int | Sequence[int]) -> Shares:
    """How often nothing looks like something: windows of the reference's own distribution, default settings.

    Args:
        columns: feature columns; a prediction column comes to them.
        rows: rows of a window.
        references: references of :data:`REFERENCE_ROWS` rows, each drawn anew.
        windows: windows after each of them.
        seed: of the simulation.
    """
    draw = np.random.default_rng(seed)
    found = np.array([list(_null_windows(draw, columns, rows, windows)) for _ in range(references)], dtype=np.float64)
    drifted, above, alarmed, plain = found.mean(axis=(0, 1)).tolist()
    error = float(found[:, :, 0].mean(axis=1).std(ddof=1)) / math.sqrt(references) if references > 1 else math.nan
    return Shares(drifted, above, alarmed, plain, error, references * windows)


def _null_windows(draw: np.random.Generator, columns: int, rows: int, windows: int) -> Iterable[tuple[bool, bool, bool, bool]]:
    reference = reference_of(draw, columns)
    history: list[DriftReport] = []
    for week in range(windows):
        history = [*history, report_of(draw, reference, rows, week=week)][-RULE.of_last :]
        both = [*history[-1].columns.values(), *history[-1].predictions.values()]
        drifted = any(one.drifted for one in both)
        alarmed = bool(drift_verdicts(history, RULE))
        yield drifted, above_limit(history[-1]), alarmed, max(one.psi or 0.0 for one in both) > LIMIT


def above_limit(report: DriftReport) -> bool:
    """Whether a metric is above its limit."""
    return max(report.metrics["feature_psi"] or 0.0, report.metrics["prediction_psi"] or 0.0) > LIMIT


@dataclass(frozen=True, slots=True)
class Detection:
    """What was seen of a shift.

    Args:
        drifted: share of windows with the shifted feature called drifted.
        above: share of windows with ``feature_psi`` above its limit.
        delays: per sequence of windows after the shift the number of the first one with an alarm, from 1; None where there was
            none in as many windows as were looked at.
    """

    drifted: float
    above: float
    delays: tuple[int | None, ...]


def detection(*, shift: Shift, columns: int, rows: int, sequences: int, windows: int, seed: int | Sequence[int]) -> Detection:
    """How soon a change is seen: sequences of windows that all come after it, each with a reference of its own.

    Args:
        shift: what changed.
        columns: feature columns; one of them changed.
        rows: rows of a window.
        sequences: how many are simulated.
        windows: most windows of a sequence; it ends with the first alarm.
        seed: of the simulation.
    """
    draw = np.random.default_rng(seed)
    seen: list[tuple[bool, bool]] = []
    delays: list[int | None] = []
    for _ in range(sequences):
        reference, history = reference_of(draw, columns), list[DriftReport]()
        for week in range(windows):
            history.append(report_of(draw, reference, rows, shift, week))
            seen.append((history[-1].columns[shift.column].drifted, above_limit(history[-1])))
            if drift_verdicts(history, RULE):
                delays.append(week + 1)
                break
        else:
            delays.append(None)
    drifted, above = np.mean(seen, axis=0).tolist()
    return Detection(drifted, above, tuple(delays))


def _text(draw: np.random.Generator, rows: int, vanished: int | None) -> pl.Series:
    places = (60 * draw.random(rows) ** 3).astype(np.int64)
    while vanished is not None and (again := places == vanished).any():
        places[again] = (60 * draw.random(int(again.sum())) ** 3).astype(np.int64)
    return pl.Series(LEVELS[places], dtype=pl.String)
