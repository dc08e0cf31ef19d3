"""``POST /v1/models/{model}/outcomes``: what became of the units of earlier requests."""

from __future__ import annotations

import orjson
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from retrain_assets.serving.gateway.access import requires
from retrain_assets.serving.gateway.bodies import json_of
from retrain_assets.serving.gateway.document import below_model, faults, gives, takes
from retrain_assets.serving.gateway.parts import parts_of
from retrain_assets.serving.gateway.rows import outcome_rows
from retrain_assets.serving.gateway.schemas import OutcomeRequest, Recorded

router = APIRouter()

ROW = {
    "request_id": "r-1",
    "unit": "2013-07-02-UA-1545-EWR",
    "observed_at": "2013-07-03T06:00:00Z",
    "measures": {"cost_per_flight": 12.5},
}


@router.post(
    "/v1/models/{model}/outcomes",
    tags=["outcomes"],
    summary="Record what happened",
    dependencies=[Depends(requires("outcomes"))],
    response_model=Recorded,
    responses={**gives("Every row is on record.", {"recorded": 1}), **faults(400, 401, 403, 404, 408, 413, 415, 422, 500, 503)},
    openapi_extra={
        **below_model("outcomes"),
        **takes(OutcomeRequest, {"one outcome": ROW, "several outcomes": {"rows": [ROW]}}),
    },
)
async def outcomes(request: Request) -> Response:
    """Outcomes may come late, twice or never; of one request and measure the latest observation counts."""
    parts, model = parts_of(request), request.path_params["model"]
    terms = parts.models.current(model).terms
    rows = outcome_rows(await json_of(request), terms.serving.max_rows)
    await parts.answering.record_outcomes(model, rows)
    return Response(orjson.dumps({"recorded": len(rows)}), media_type="application/json")
