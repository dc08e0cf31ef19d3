"""What both arms did, counted in one pass over the exposures: scores and latencies in bins, errors, decisions. No row is kept.

All counts are sums over requests by (revision, arm, segments), so the pass streams, and what is kept does not grow with traffic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from retrain_assets.drift import (
    ArmPair,
    ColumnSketch,
    chance_of_difference,
    column_drift,
    counted_quantile,
    mixed_mean,
    standardised,
)
from retrain_assets.drift.arms import WIDTH
from retrain_assets.experiment.estimation.statistics import SHADOW, Arm
from retrain_assets.experiment.plan import segment_label
from retrain_assets.gates.technical_side import ArmTechnical, PredictionShift

ARMS: tuple[Literal["champion"], Literal["challenger"]] = ("champion", "challenger")

SHORTEST_MS = 1e-6
"""Latencies below this are counted in the bin of this one."""

SEGMENTS_SHOWN = 50
"""Segments a view has at most, those with the most requests."""


@dataclass(frozen=True, slots=True)
class ArmCounts:
    """Counts of one row of the view, per revision and arm."""

    champion: ArmTechnical
    challenger: ArmTechnical
    prediction_shift: PredictionShift | None
    error_p_value: float | None


@dataclass(frozen=True, slots=True)
class Cubes:
    """The counted pass.

    Args:
        scores: by revision, arm, segment columns and bin of the score: ``n``, ``failed``, ``decided``, ``positive``, ``total``,
            ``squares``, ``least``, ``greatest``; bin null: no finite score.
        latencies: by revision, arm, segment columns and bin of the latency: ``n``; no shadow scoring.
        units: units by revision and arm.
        edges: of the score's bins.
        segments: the segment columns.
    """

    scores: pl.DataFrame
    latencies: pl.DataFrame
    units: Mapping[tuple[int, str], int]
    edges: tuple[float, ...]
    segments: tuple[str, ...]

    def names(self) -> dict[str, tuple[str, object]]:
        """The segments with the most requests: name to column and value."""
        found = [
            (n, column, value)
            for column in self.segments
            for value, n in self.scores.group_by(column).agg(pl.col("n").sum()).iter_rows()
        ]
        largest = sorted(found, key=lambda one: (-one[0], one[1], str(one[2])))[:SEGMENTS_SHOWN]
        return {segment_label(column, value): (column, value) for _, column, value in largest}


def count_arms(
    exposures: pl.LazyFrame,
    *,
    segments: Sequence[str],
    edges: tuple[float, ...],
    thresholds: Mapping[Arm, float] | None,
    units: Mapping[tuple[int, str], int],
) -> Cubes:
    """One streaming pass over the exposures of an experiment.

    In shadow the challenger scored every request of the champion beside it: such a request counts for both, with
    ``shadow_score`` as the challenger's; where that is null its model failed. A request the challenger failed on was answered by
    the champion, so its score and decision count for nobody. Latencies that are negative or not finite are in no bin.

    Args:
        exposures: exposure rows of the toggle's experiment.
        segments: the contract's segment columns that the rows have.
        edges: bins of the score.
        thresholds: each arm's decision threshold, for rows without a logged decision; None where there are no decisions.
        units: units by revision and arm, as the look counts them; a segment is taken to have as many requests per unit.
    """
    rows = _rows(exposures, segments, thresholds).with_columns(
        bin=pl.col("score").map_batches(lambda values: _bins(values, edges), return_dtype=pl.Int32, is_elementwise=True),
        tick=(pl.col("latency_ms").clip(SHORTEST_MS).log() / math.log(WIDTH)).floor().cast(pl.Int32, strict=False),
    )
    by = ["revision", "arm", *segments]
    scores = rows.group_by(*by, "bin").agg(
        n=pl.len(),
        failed=pl.col("failed").sum(),
        decided=pl.col("decision").count(),
        positive=pl.col("decision").sum(),
        total=pl.col("score").sum(),
        squares=(pl.col("score") ** 2).sum(),
        least=pl.col("score").min(),
        greatest=pl.col("score").max(),
    )
    timed = rows.filter(pl.col("latency_ms").is_finite() & (pl.col("latency_ms") >= 0))
    latencies = timed.group_by(*by, "tick").agg(n=pl.len())
    counted = pl.collect_all([scores, latencies], engine="streaming")
    return Cubes(counted[0], counted[1], dict(units), edges, tuple(segments))


def arms_of(cubes: Cubes, segment: tuple[str, object] | None = None) -> ArmCounts:
    """Both arms, in total or in one segment, standardised to the stages that both met.

    Args:
        cubes: the counted pass.
        segment: column and value; None: total.
    """
    held = pl.lit(True) if segment is None else pl.col(segment[0]).eq_missing(pl.lit(segment[1]))
    scores = cubes.scores.filter(held)
    by_bin = scores.group_by("revision", "arm", "bin").agg(
        pl.col("n", "failed", "decided", "positive", "total", "squares").sum(), pl.col("least").min(), pl.col("greatest").max()
    )
    ticks = cubes.latencies.filter(held).group_by("revision", "arm", "tick").agg(pl.col("n").sum())
    cells = {key: _Cell.of(part, cubes.edges) for key, part in _parts(by_bin)}
    latencies = {key: dict(part.select("tick", "n").iter_rows()) for key, part in _parts(ticks)}
    units = _units(cubes, cells)
    revisions = sorted({revision for revision, _ in cells})
    empty = _Cell.of(by_bin.clear(), cubes.edges)
    at = [tuple((cells.get((revision, arm), empty), units.get((revision, arm), 0)) for arm in ARMS) for revision in revisions]
    pairs = [ArmPair(mine.scores, theirs.scores, n_mine, n_theirs) for (mine, n_mine), (theirs, n_theirs) in at]
    weights = [_weight(*(min(cell.requests, n) for cell, n in both)) for both in at]
    timely = [
        weight if all(latencies.get((revision, arm)) for arm in ARMS) else 0.0
        for revision, weight in zip(revisions, weights, strict=True)
    ]
    alike = standardised(pairs)

    def arm(name: Arm) -> ArmTechnical:
        own = [cells.get((revision, name), empty) for revision in revisions]
        timed = [latencies.get((revision, name), {}) for revision in revisions]
        alone = [float(sum(counts.values())) for counts in timed]
        quantiles = [counted_quantile(timed, timely if any(timely) else alone, share) for share in (0.5, 0.95, 0.99)]
        return ArmTechnical(
            requests=sum(one.requests for one in own),
            units=sum(units.get((revision, name), 0) for revision in revisions),
            error_share=_share([one.failed for one in own], [one.requests for one in own], weights),
            latency_p50_ms=quantiles[0],
            latency_p95_ms=quantiles[1],
            latency_p99_ms=quantiles[2],
            positive_share=_share([one.positive for one in own], [one.decided for one in own], weights),
            score_mean=mixed_mean([one.scores.mean or 0.0 for one in own], _usable(weights, [one.scores.values for one in own])),
        )

    champion, challenger = arm("champion"), arm("challenger")
    return ArmCounts(
        champion,
        challenger,
        _prediction_shift(alike, pairs),
        _error_p_value(champion, challenger, weights, cells, revisions, units),
    )


@dataclass(frozen=True, slots=True)
class _Cell:
    """One arm in one revision."""

    requests: int
    failed: int
    decided: int
    positive: int
    scores: ColumnSketch

    @classmethod
    def of(cls, part: pl.DataFrame, edges: tuple[float, ...]) -> _Cell:
        known = part.filter(pl.col("bin").is_not_null())
        counts = [0] * (len(edges) - 1)
        for place, n in known.select("bin", "n").iter_rows():
            counts[place] += n
        n, values = int(part["n"].sum()), sum(counts)
        mean = float(known["total"].sum()) / values if values else None
        variance = max(0.0, float(known["squares"].sum()) / values - mean**2) if values and mean is not None else None
        sketch = ColumnSketch(
            kind="numeric",
            edges=edges,
            levels=(),
            counts=tuple(counts),
            other=0,
            missing=n - values,
            n=n,
            mean=mean,
            std=None if variance is None else math.sqrt(variance),
            minimum=_float(known["least"].min()),
            maximum=_float(known["greatest"].max()),
        )
        return cls(n, int(part["failed"].sum()), int(part["decided"].sum()), int(part["positive"].sum() or 0), sketch)


def _units(cubes: Cubes, cells: Mapping[tuple[int, str], _Cell]) -> dict[tuple[int, str], int]:
    """Units behind the requests of each cell, at least one and at most as many as requests."""
    requests = {(row[0], row[1]): row[2] for row in cubes.scores.group_by("revision", "arm").agg(pl.col("n").sum()).iter_rows()}
    found = {}
    for key, cell in cells.items():
        everywhere = requests.get(key, 0)
        rate = min(1.0, cubes.units.get(key, everywhere) / everywhere) if everywhere else 1.0
        found[key] = max(1, round(cell.requests * rate)) if cell.requests else 0
    return found


def _rows(exposures: pl.LazyFrame, segments: Sequence[str], thresholds: Mapping[Arm, float] | None) -> pl.LazyFrame:
    there = exposures.collect_schema()
    failed = pl.col("error").fill_null(True)
    mine = pl.col("arm") == "challenger"
    score = pl.when(~(mine & failed)).then(_finite("score"))
    decision = pl.lit(None, dtype=pl.Boolean)
    if thresholds is not None:
        by_score = score >= pl.when(mine).then(thresholds["challenger"]).otherwise(thresholds["champion"])
        logged = pl.col("decision") if "decision" in there else pl.lit(None, dtype=pl.Boolean)
        decision = pl.when(~(mine & failed)).then(pl.coalesce(logged, by_score))
    keep = ["revision", *segments]
    real = exposures.select(*keep, "arm", "latency_ms", failed=failed, score=score, decision=decision)
    beside = _finite("shadow_score")
    shadow = exposures.filter(pl.col("stage") == SHADOW).select(
        *keep,
        arm=pl.lit("challenger"),
        latency_ms=pl.lit(None, dtype=pl.Float64),
        failed=beside.is_null(),
        score=beside,
        decision=(beside >= thresholds["challenger"]) if thresholds is not None else pl.lit(None, dtype=pl.Boolean),
    )
    return pl.concat([real, shadow])


def _finite(column: str) -> pl.Expr:
    return pl.when(pl.col(column).is_finite()).then(pl.col(column))


def _bins(values: pl.Series, edges: tuple[float, ...]) -> pl.Series:
    places = np.searchsorted(edges[1:-1], values.fill_null(0.0).to_numpy(), side="right")
    return pl.Series(values.name, places, dtype=pl.Int32).set(values.is_null(), None)


def _parts(frame: pl.DataFrame) -> list[tuple[tuple[int, str], pl.DataFrame]]:
    return [((int(key[0]), str(key[1])), part) for key, part in frame.partition_by("revision", "arm", as_dict=True).items()]


def _weight(n_champion: int, n_challenger: int) -> float:
    return n_champion * n_challenger / (n_champion + n_challenger) if n_champion and n_challenger else 0.0


def _usable(weights: Sequence[float], rows: Sequence[int]) -> list[float]:
    """The weights of the stages with rows; where no stage has both arms, the arm's own rows."""
    held = [weight if n else 0.0 for weight, n in zip(weights, rows, strict=True)]
    return held if any(held) else [float(n) for n in rows]


def _share(parts: Sequence[int], wholes: Sequence[int], weights: Sequence[float]) -> float | None:
    shares = [part / whole if whole else 0.0 for part, whole in zip(parts, wholes, strict=True)]
    return mixed_mean(shares, _usable(weights, wholes))


def _prediction_shift(alike: tuple[ColumnSketch, ColumnSketch] | None, pairs: Sequence[ArmPair]) -> PredictionShift | None:
    if alike is None:
        return None
    drift = column_drift(*alike, importance=None, weight=1.0)
    stages = sum(pair.weight > 0 for pair in pairs)
    return PredictionShift(drift.psi, drift.corrected_psi, drift.p_value, drift.wasserstein, stages)


def _error_p_value(
    champion: ArmTechnical,
    challenger: ArmTechnical,
    weights: Sequence[float],
    cells: Mapping[tuple[int, str], _Cell],
    revisions: Sequence[int],
    units: Mapping[tuple[int, str], int],
) -> float | None:
    """Chance of error shares at least as different between alike arms, on as many rows as units give."""
    total = math.fsum(weights)
    if not total or champion.error_share is None or challenger.error_share is None:
        return None
    tables = []
    for name, share in zip(ARMS, (champion.error_share, challenger.error_share), strict=True):
        spread = math.fsum(
            (weight / total) ** 2 / min(cells[revision, name].requests, units[revision, name])
            for revision, weight in zip(revisions, weights, strict=True)
            if weight
        )
        rows = max(1, round(1 / spread))
        failed = round(share * rows)
        tables.append([failed, rows - failed])
    return chance_of_difference(*tables)


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
