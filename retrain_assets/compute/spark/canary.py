"""Stage ``canary`` on Spark: the executors count and sum, the driver adds."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from retrain_assets.compute.canary.inputs import Place
from retrain_assets.compute.request import StageRequest, StageResult
from retrain_assets.compute.spark.canary_aggregation import aggregate_spark
from retrain_assets.compute.spark.canary_inputs import frames_of
from retrain_assets.compute.spark.inference import exposures_of_table
from retrain_assets.compute.stages.canary import answered, inference_table, terms_of


def canary(request: StageRequest) -> StageResult:
    """As :func:`retrain_assets.compute.stages.canary.canary`, by the executors of a Spark session.

    Metadata also has ``moved``: rows, parts, bytes that executors gave each other, bytes of sums that came to the driver.

    Raises:
        StageError: as there.
        SourceError: as there.
    """
    from retrain_assets.compute.spark.session import session_of

    terms, now = terms_of(request)
    session = session_of(terms.contract.spark)
    facts: dict[str, Any] = {}
    rows: int | None = None
    exposures, outcomes = (frames_of(session, Place.of(request, name)) for name in ("exposures", "outcomes"))
    if (table := inference_table(request)) is not None:
        exposures, delivered, rows = exposures_of_table(exposures, table, terms)
        facts["delivered"] = asdict(delivered)
    data, moved = aggregate_spark(exposures, outcomes, terms, now, exposure_rows=rows)
    return answered(request, data, {**facts, "moved": moved.to_json()})
