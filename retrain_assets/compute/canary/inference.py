"""Exposures from an inference table of Databricks Model Serving (AI Gateway-enabled): what it says, and what it cannot say.

Databricks draws the served version anew for every request of an endpoint with several versions, so that only requests can be the
units there. Where the application itself asks for the version its router named, units are sticky. Shadow scores are in no such
table. Rows arrive some time after their request, so every look reads the table anew.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

import polars as pl

from retrain_assets.compute.canary.payloads import Unreadable, rows_of, scores_of
from retrain_assets.compute.canary.terms import Terms
from retrain_assets.compute.logged_attributes import AttributeReader, attribute_kinds
from retrain_assets.compute.traffic_schema import EXPOSURE_COLUMNS
from retrain_assets.contract import StageError
from retrain_assets.experiment import SHADOW, stage_label
from retrain_assets.routing import VersionRef

COLUMNS: Mapping[str, pl.DataType] = {
    "databricks_request_id": pl.String(),
    "client_request_id": pl.String(),
    "request_time": pl.Datetime("us", "UTC"),
    "status_code": pl.Int64(),
    "sampling_fraction": pl.Float64(),
    "execution_duration_ms": pl.Float64(),
    "request": pl.String(),
    "response": pl.String(),
    "served_entity_id": pl.String(),
    "logging_error_codes": pl.List(pl.String),
}
"""The columns that are read; ``request_date`` and ``requester`` are not."""

PAYLOADS = ("request", "response")
NEVER_SCORED = (401, 403, 404, 429)
"""Answers of the endpoint before a model was asked; they may be logged or not."""

REQUEST_LOST = "MAX_REQUEST_SIZE_EXCEEDED"
WHERE = "inference table"
_DTYPES = {"number": pl.Float64(), "boolean": pl.Boolean()}


@dataclass(frozen=True, slots=True)
class InferenceTable:
    """How a table's rows are meant.

    Args:
        served_entities: registered version by ``served_entity_id`` (``system.serving.served_entities`` has both).
        champion: the toggle's champion: version and digest of its bundle.
        challenger: the toggle's challenger.
        routed_by: ``application``: callers ask for the version that the toggle's rule names, so that units are sticky;
            ``databricks``: the endpoint draws it per request.
        unit: column of the request's rows that names the unit; None: each scored row is a unit of its own.
        request_id: column of the request's rows that names the scored request, as outcomes do; None: the caller's
            ``client_request_id``, else ``databricks_request_id``, with ``-0``, ``-1`` … where a request has several rows.
        prediction: key of the score where predictions are objects; None: the prediction is the score.
        settled_at: by revision when the endpoint had taken the new split; rows between the revision's begin and then are of the
            split before and are left out.

    Raises:
        StageError: for what such a table cannot tell.
    """

    served_entities: Mapping[str, str]
    champion: VersionRef
    challenger: VersionRef
    routed_by: Literal["application", "databricks"]
    unit: str | None = None
    request_id: str | None = None
    prediction: str | None = None
    settled_at: Mapping[int, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.routed_by not in ("application", "databricks"):
            raise StageError(f"routed_by is {self.routed_by!r}", where=WHERE, remedy="write application or databricks")
        if self.routed_by == "databricks" and self.unit is not None:
            raise StageError(
                f"the endpoint draws the version anew for every request: {self.unit!r} is not sticky and cannot be a unit",
                where=WHERE,
                remedy="leave unit out, so that each request is one, or let the application ask for the routed version",
            )
        known = {self.champion.version, self.challenger.version}
        if missing := sorted(known - set(self.served_entities.values())):
            raise StageError(
                f"no served entity is version {missing[0]}",
                where=WHERE,
                remedy="name both versions; system.serving.served_entities has their ids",
            )

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> InferenceTable:
        """From a stage's parameter: the fields above; versions as ``{"version", "bundle"}``, times as ISO-8601.

        Raises:
            StageError: for a field that is missing or unknown, or what such a table cannot tell.
        """
        try:
            return cls(
                **{
                    **value,
                    "champion": VersionRef(**value["champion"]),
                    "challenger": VersionRef(**value["challenger"]),
                    "settled_at": {int(one): datetime.fromisoformat(at) for one, at in value.get("settled_at", {}).items()},
                }
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StageError(f"cannot be read ({error})", where="inference_table", remedy="see docs/databricks.md") from error

    def to_json(self) -> dict[str, Any]:
        """The inverse of :meth:`from_json`."""
        settled = {str(revision): moment.isoformat() for revision, moment in self.settled_at.items()}
        return {**asdict(self), "settled_at": settled}


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a table says beside its exposures; of two groups of rows add.

    Args:
        requests: requests since the time before the experiment.
        other_entities: of these, those of served entities that are neither champion nor challenger.
        never_scored: answered before a model was asked (401, 403, 404, 429).
        failed: of the rest, those whose model failed.
        oversized: of the rest, those whose request was too large to be logged: nobody knows whose they were.
        scores_lost: whose response was too large to be logged.
        sampled: requests of which only a sample was logged.
        newest_request_at: the newest request; rows come up to an hour later, without a promise.
    """

    requests: int = 0
    other_entities: int = 0
    never_scored: int = 0
    failed: int = 0
    oversized: int = 0
    scores_lost: int = 0
    sampled: int = 0
    newest_request_at: str | None = None

    @classmethod
    def of(cls, rows: pl.DataFrame, table: InferenceTable, terms: Terms) -> Delivered:
        """Of rows without their payloads."""
        rows = _typed(rows, payloads=False).filter(pl.col("request_time") >= terms.pre_period_from)
        ours = pl.col("served_entity_id").is_in(list(_ours(table)))
        scored = ours & ~pl.col("status_code").is_in(NEVER_SCORED)
        lost = pl.col("logging_error_codes").list.contains(REQUEST_LOST).fill_null(False)
        other = (pl.col("logging_error_codes").list.len() > 0).fill_null(False) & ~lost
        found = rows.select(
            requests=pl.len(),
            other_entities=(~ours).fill_null(True).sum(),
            never_scored=(ours & ~scored).sum(),
            failed=(scored & ~_answered).sum(),
            oversized=(scored & lost).sum(),
            scores_lost=(scored & other).sum(),
            sampled=(scored & (pl.col("sampling_fraction") < 1)).sum(),
            newest_request_at=pl.col("request_time").max(),
        ).row(0, named=True)
        newest = found.pop("newest_request_at")
        return cls(**found, newest_request_at=newest.isoformat() if newest else None)

    def __add__(self, other: Delivered) -> Delivered:
        newest = max(filter(None, (self.newest_request_at, other.newest_request_at)), default=None)
        counts = {name: value + getattr(other, name) for name, value in asdict(self).items() if name != "newest_request_at"}
        return Delivered(**counts, newest_request_at=newest)

    def refuse_sample(self) -> None:
        """Refuse a table that holds a part of the requests only.

        Raises:
            StageError: when one of its requests was sampled.
        """
        if self.sampled:
            raise StageError(
                f"{self.sampled} of {self.requests} requests say that only a sample was logged; units would lose requests",
                where=WHERE,
                remedy="set the sampling fraction of the endpoint's inference table to 1",
            )


def without_payloads(names: Iterable[str]) -> list[str]:
    """Of the columns of a table those that :meth:`Delivered.of` needs."""
    return [name for name in names if name in COLUMNS and name not in PAYLOADS]


def exposures_of(rows: pl.DataFrame, table: InferenceTable, terms: Terms) -> pl.DataFrame:
    """Exposures as documented in docs/data-formats.md, one for each scored row of each request.

    The revision is the one that was in force at the request's moment; the arm that of the version that answered. An answer other
    than 2xx is an error of the arm, without a score; one that came before a model was asked (:data:`NEVER_SCORED`) is none, and
    neither is a request that was too large to be logged (both are counted in :class:`Delivered`). ``latency_ms`` is the model's
    time for the request divided by its rows.

    Args:
        rows: rows of the table.
        table: how they are meant.
        terms: toggle, revisions, attributes.

    Raises:
        StageError: for a table of other columns, the champion's score as a covariate, or an answered request that cannot be read.
    """
    if terms.uses_champion_score:
        raise StageError(
            "adjust_for.champion_score needs the champion's score of every request, which no inference table has",
            where=WHERE,
            remedy="serve through retrain serve, or leave it out",
        )
    ours = _ours(table)
    kept = _typed(rows, payloads=True).filter(
        pl.col("request_time") >= terms.pre_period_from - terms.window,
        pl.col("served_entity_id").is_in(list(ours)),
        ~pl.col("status_code").is_in(NEVER_SCORED),
        ~pl.col("logging_error_codes").list.contains(REQUEST_LOST).fill_null(False),
    )
    moments = sorted((moment, revision) for revision, moment in terms.stage_started.items())
    reader = AttributeReader(attribute_kinds(terms.contract.experiment))
    found: list[dict[str, Any]] = []
    for row in kept.iter_rows(named=True):
        at = row["request_time"]
        place = bisect_right(moments, at, key=lambda one: one[0]) - 1
        revision = moments[place][1] if place >= 0 else None
        if revision is not None and at < table.settled_at.get(revision, at):
            continue
        answered = row["status_code"] is not None and 200 <= row["status_code"] < 300
        try:
            scored = rows_of(row["request"])
            scores = scores_of(row["response"], len(scored), table.prediction) if answered else [None] * len(scored)
        except Unreadable as error:
            if not answered:
                continue
            raise StageError(
                f"request {row['databricks_request_id']} cannot be read ({error})",
                where=WHERE,
                remedy="the table of a Model Serving endpoint of this model is needed",
            ) from error
        arm, version = ours[row["served_entity_id"]]
        name = row["client_request_id"] or row["databricks_request_id"]
        for number, (features, score) in enumerate(zip(scored, scores, strict=True)):
            request_id = str(features[table.request_id]) if table.request_id in features else _numbered(name, number, len(scored))
            unit = features.get(table.unit) if table.unit is not None else request_id
            found.append(
                {
                    "request_id": request_id,
                    "model": terms.contract.model,
                    "unit_id": None if unit is None else str(unit),
                    "toggle": None if revision is None else terms.toggle,
                    "revision": 0 if revision is None else revision,
                    "stage": None if revision is None else _stage(terms.shares[revision]),
                    "arm": arm,
                    "version": version.version,
                    "bundle": version.bundle,
                    "exposed_at": at,
                    "latency_ms": (row["execution_duration_ms"] or 0.0) / len(scored),
                    "error": not answered,
                    "score": score,
                    "shadow_score": None,
                    **reader.logged(reader.read({}, features)),
                }
            )
    return pl.DataFrame(found, schema=exposure_schema(terms), orient="row")


def exposure_schema(terms: Terms) -> dict[str, pl.DataType | type[pl.DataType]]:
    """The columns of :func:`exposures_of`."""
    kinds = attribute_kinds(terms.contract.experiment)
    return {**EXPOSURE_COLUMNS, **{name: _DTYPES.get(kind, pl.String()) for name, kind in kinds.items()}}


_answered = pl.col("status_code").is_between(200, 299).fill_null(False)


def _ours(table: InferenceTable) -> dict[str, tuple[str, VersionRef]]:
    """Arm and version by served entity."""
    arms = {table.champion.version: ("champion", table.champion), table.challenger.version: ("challenger", table.challenger)}
    return {entity: arms[version] for entity, version in table.served_entities.items() if version in arms}


def _typed(rows: pl.DataFrame, *, payloads: bool) -> pl.DataFrame:
    wanted = {name: kind for name, kind in COLUMNS.items() if payloads or name not in PAYLOADS}
    if missing := [name for name in wanted if name not in rows.columns]:
        raise StageError(
            f"has no column {', '.join(missing)}",
            where=WHERE,
            remedy="name the AI Gateway-enabled inference table of a Model Serving endpoint; legacy tables and those of other "
            "gateways have other columns",
        )
    moment = rows.schema["request_time"]
    if not isinstance(moment, pl.Datetime) or moment.time_zone is None:
        raise StageError(f"request_time is {moment}", where=WHERE, remedy="it must be a timestamp with time zone")
    zoned = rows.with_columns(pl.col("request_time").dt.convert_time_zone("UTC"))
    return zoned.select(pl.col(name).cast(kind) for name, kind in wanted.items())


def _numbered(name: str, number: int, rows: int) -> str:
    return f"{name}-{number}" if rows > 1 else name


def _stage(share: float) -> str:
    return stage_label(share * 100) if share else SHADOW
