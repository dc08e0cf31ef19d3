"""Windows drawn from the reference's own distribution, or from a shifted one, and what the report says of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl

from retrain_assets.drift import DriftReport, Sketch, drift_report, sketch_frame

START, END = datetime(2013, 6, 1, tzinfo=UTC), datetime(2013, 7, 1, tzinfo=UTC)
LIMIT = 0.1
LEVELS = np.array([f"level {place}" for place in range(60)], dtype=object)


@dataclass(frozen=True, slots=True)
class Shares:
    """Of simulated windows: the share with a drifted column, with a metric above its limit, and with a plain index above it."""

    drifted: float
    alarmed: float
    plain: float


def draw_frame(draw: np.random.Generator, columns: int, rows: int, shift: float = 0.0) -> pl.DataFrame:
    """Two numeric, a mostly zero, a whole-number and a text column in turn; ``shift`` is added to the first, in deviations."""
    values: dict[str, object] = {}
    for place in range(columns):
        kind = place % 5
        if kind <= 1:
            values[f"x{place}"] = draw.normal(shift if place == 0 else 0, 1, rows)
        elif kind == 2:
            values[f"x{place}"] = draw.exponential(size=rows) * (draw.random(rows) > 0.6)
        elif kind == 3:
            values[f"x{place}"] = draw.poisson(3, rows)
        else:
            values[f"x{place}"] = pl.Series(LEVELS[(60 * draw.random(rows) ** 3).astype(int)], dtype=pl.String)
    return pl.DataFrame(values)


def report_of(draw: np.random.Generator, reference: tuple[Sketch, Sketch], rows: int, shift: float = 0.0) -> DriftReport:
    """The report of one window of so many rows."""
    features, predictions = reference
    window = draw_frame(draw, len(features.columns), rows, shift)
    scores = pl.DataFrame({"score": draw.random(rows)})
    return drift_report(
        start=START,
        end=END,
        features=(features, sketch_frame(window, columns=window.columns, edges=features)),
        predictions=(predictions, sketch_frame(scores, columns=["score"], edges=predictions)),
        importance=dict.fromkeys(window.columns, 1.0),
    )


def reference_of(draw: np.random.Generator, columns: int, rows: int) -> tuple[Sketch, Sketch]:
    """Sketches of a training frame and of hold-out scores, a fifth of its rows."""
    frame = draw_frame(draw, columns, rows)
    scores = pl.DataFrame({"score": draw.random(max(rows // 5, 2000))})
    return sketch_frame(frame, columns=frame.columns), sketch_frame(scores, columns=["score"])


def null_shares(*, columns: int, rows: int, windows: int, seed: int, reference_rows: int = 20_000, references: int = 5) -> Shares:
    """How often nothing looks like something: windows of the reference's own distribution, default settings.

    Args:
        columns: feature columns.
        rows: rows of a window.
        windows: windows to simulate, spread over the references.
        seed: of the simulation.
        reference_rows: rows of a reference.
        references: how many references.
    """
    draw = np.random.default_rng(seed)
    drifted, alarmed, plain = [], [], []
    for _ in range(references):
        reference = reference_of(draw, columns, reference_rows)
        for _ in range(windows // references):
            report = report_of(draw, reference, rows)
            both = [*report.columns.values(), *report.predictions.values()]
            drifted.append(any(one.drifted for one in both))
            alarmed.append(max(report.metrics["feature_psi"], report.metrics["prediction_psi"]) > LIMIT)
            plain.append(max(one.psi for one in both) > LIMIT)
    return Shares(*(float(np.mean(one)) for one in (drifted, alarmed, plain)))


def detection_shares(
    *, shift: float, columns: int, rows: int, windows: int, seed: int, reference_rows: int = 20_000
) -> tuple[float, float]:
    """Share of windows with the first feature called drifted, and with ``feature_psi`` above its limit, after its mean moved.

    The detection delay in windows is that of the rule k of n over windows that are above the limit with this share.

    Args:
        shift: in standard deviations of the feature.
        columns: feature columns.
        rows: rows of a window.
        windows: windows to simulate.
        seed: of the simulation.
        reference_rows: rows of the reference.
    """
    draw = np.random.default_rng(seed)
    reference = reference_of(draw, columns, reference_rows)
    reports = [report_of(draw, reference, rows, shift) for _ in range(windows)]
    found = [(report.columns["x0"].drifted, report.metrics["feature_psi"] > LIMIT) for report in reports]
    drifted, above = np.mean(found, axis=0)
    return float(drifted), float(above)
