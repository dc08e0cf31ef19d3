"""Batch scoring of a group of units: routed, scored by the routed arm's bundle, written as exposures and as scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.bundle import Bundle
from retrain_assets.compute.attempt import HasDecision, ScoringBundle
from retrain_assets.compute.code import import_path
from retrain_assets.compute.frames import frame_digest
from retrain_assets.compute.logged_attributes import attribute_kinds
from retrain_assets.compute.scorer import Scorer
from retrain_assets.compute.stages.building import build_features
from retrain_assets.compute.traffic_schema import check_exposures, conform_exposures
from retrain_assets.contract import Contract, StageError
from retrain_assets.routing import RoutingRule

ROWS_PER_PART = 250_000
"""Rows that are scored and written together."""

HEX_DIGITS = 3
MOST_PARTS = 16**HEX_DIGITS
SCORES = ("request_id", "unit_id", "arm", "version", "exposed_at", "score", "decision", "error")
"""Columns of the scores, in the order of the exposures."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What is scored, and by whom.

    Args:
        contract: roles of columns, attributes, feature function.
        rule: the model's rule; the same that serving goes by.
        now: the moment of all requests, UTC.
        name: the batch's own; files and, without ``request_id``, requests are named by it.
        request_id: column that names the scored request, as outcomes do; None: batch, unit and event time name it.
        champion: the champion's bundle.
        challenger: the challenger's bundle, where the rule routes to one.
    """

    contract: Contract
    rule: RoutingRule
    now: datetime
    name: str
    request_id: str | None
    champion: Bundle
    challenger: Bundle | None

    def exposures(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Exposures of rows as documented, ordered by request: the arm by the rule, the score of that arm's bundle.

        Where the challenger fails, the champion answers and ``error`` is true, as in serving. Feature functions see all rows of a
        unit together, not all rows.

        Args:
            rows: every row of some units, in the columns of the source.

        Raises:
            StageError: for a missing column, a feature function that fails, or features of another kind than in training.
            SourceError: for a request that stands there twice.
            CustodyError: where a bundle is not the one the rule names.
        """
        where, source = f"rows of {self.contract.model}", self.contract.source
        asked = [source.unit, source.event_time, *([self.request_id] if self.request_id else [])]
        if missing := [name for name in asked if name not in rows.columns]:
            raise StageError(f"column {', '.join(missing)} is missing", where=where, remedy="give the columns of the source")
        unit, moment = pl.col(source.unit).cast(pl.String), pl.col(source.event_time)
        named = pl.format("{}-{}-{}", pl.lit(self.name), unit.fill_null(""), moment.dt.epoch("us"))
        ids = pl.col(self.request_id).cast(pl.String) if self.request_id else named
        ordered = rows.with_columns(ids.alias("_request")).sort("_request", unit, nulls_last=True)
        attributes = [name for name in attribute_kinds(self.contract.experiment) if name in rows.columns]
        requests = ordered.select(
            pl.col("_request").alias("request_id"),
            unit.alias("unit_id"),
            pl.lit(self.now).dt.cast_time_unit("us").dt.convert_time_zone("UTC").alias("exposed_at"),
            *(pl.col(name).cast(pl.String) if rows.schema[name] == pl.Null else pl.col(name) for name in attributes),
        )
        ordered = ordered.drop("_request")
        arms = {"champion": self.champion, **({"challenger": self.challenger} if self.challenger else {})}
        built: dict[str, pl.DataFrame] = {}
        for bundle in arms.values():
            function = bundle.manifest.feature_function
            if function not in built:
                built[function] = build_features(import_path(function, "features"), ordered, source, function)
        features = [
            built[bundle.manifest.feature_function].select(pl.all().name.prefix(_column(arm, ""))) for arm, bundle in arms.items()
        ]
        scorers: dict[str, ScoringBundle] = {arm: _OwnFeatures(bundle, arm) for arm, bundle in arms.items()}
        adjustment = self.contract.experiment.adjust_for
        scorer = Scorer(
            self.rule,
            scorers["champion"],
            scorers.get("challenger"),
            batch_rows=ROWS_PER_PART,
            champion_scores_all=adjustment is not None and adjustment.champion_score,
        )
        found = conform_exposures(scorer.score(requests, pl.concat(features, how="horizontal")).lazy(), where).collect()
        check_exposures(found, self.contract.model, where)
        return found


@dataclass(frozen=True, slots=True)
class _OwnFeatures:
    """A bundle that is asked for rows with the features of both arms."""

    bundle: Bundle
    arm: str

    @property
    def digest(self) -> str:
        return self.bundle.digest

    @property
    def manifest(self) -> HasDecision:
        return self.bundle.manifest

    def score(self, features: pl.DataFrame) -> npt.NDArray[np.float64]:
        names = self.bundle.manifest.feature_names
        if missing := [name for name in names if _column(self.arm, name) not in features.columns]:
            raise StageError(f"feature {missing[0]!r} is missing", where=f"bundle {self.digest}")
        return self.bundle.score(features.select(pl.col(_column(self.arm, name)).alias(name) for name in names))

    def decide(self, scores: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        return self.bundle.decide(scores)


@dataclass(frozen=True, slots=True)
class PartFacts:
    """What was written of one part.

    Args:
        rows: scored rows.
        challenger: of these routed to the challenger.
        champion_errors: rows that the champion was to answer and failed on.
        challenger_errors: rows that the challenger failed on.
        scoring_ms: time of the scoring calls.
        content: digest of the exposures without ``latency_ms``, which is measured.
    """

    rows: int
    challenger: int
    champion_errors: int
    challenger_errors: int
    scoring_ms: float
    content: str


def parts_for(rows: int) -> int:
    """Into how many parts so many rows are split; a power of 2, the same on both engines."""
    parts = 1
    while parts * ROWS_PER_PART < rows and parts < MOST_PARTS:
        parts *= 2
    return parts


def part_number(units: pl.Series, parts: int) -> pl.Series:
    """The part of each unit, by the first 12 bits of the SHA-256 of its text; rows without a unit are in part 0."""
    import polars_hash

    texts = units.cast(pl.String).alias("unit").to_frame()
    bits = polars_hash.col("unit").chash.sha2_256().str.slice(0, HEX_DIGITS).str.to_integer(base=16)
    return texts.select((bits // (MOST_PARTS // parts)).fill_null(0).cast(pl.Int32)).to_series()


def write_part(folder: Path, name: str, part: int, exposures: pl.DataFrame) -> PartFacts:
    """Write one part of both outputs, ``exposures`` and ``scores``, by atomic rename."""
    file = f"{name}-{part:05d}.parquet"
    for output, rows in (("exposures", exposures), ("scores", exposures.select(SCORES))):
        (folder / output).mkdir(parents=True, exist_ok=True)
        scratch = folder / output / f"{file}.writing"
        rows.write_parquet(scratch, compression="zstd")
        scratch.replace(folder / output / file)
    challenger = exposures["arm"] == "challenger"
    return PartFacts(
        exposures.height,
        int(challenger.sum()),
        int((exposures["error"] & ~challenger).sum()),
        int((exposures["error"] & challenger).sum()),
        float(exposures["latency_ms"].sum()),
        frame_digest(exposures.drop("latency_ms")),
    )


def _column(arm: str, name: str) -> str:
    return f"{arm}: {name}"


def split(rows: pl.DataFrame, unit: str, parts: int) -> Iterator[tuple[int, pl.DataFrame]]:
    """The rows of each part that has any."""
    numbered = rows.with_columns(part_number(rows[unit], parts).alias("_part"))
    for (part,), found in sorted(numbered.group_by("_part", maintain_order=True)):
        yield int(part), found.drop("_part")


def totals(facts: Mapping[int, PartFacts]) -> dict[str, Any]:
    """What a stage says of its parts."""
    return {
        name: sum(getattr(one, name) for one in facts.values())
        for name in ("rows", "challenger", "champion_errors", "challenger_errors", "scoring_ms")
    } | {"parts": len(facts)}
