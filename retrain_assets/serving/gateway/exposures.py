"""``POST /v1/models/{model}/exposures``: what a service that scores with models of its own answered, by which arm."""

from __future__ import annotations

import orjson
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from retrain_assets.serving.gateway.access import requires
from retrain_assets.serving.gateway.bodies import json_of
from retrain_assets.serving.gateway.document import below_model, faults, gives, takes
from retrain_assets.serving.gateway.exposure_rows import exposure_rows
from retrain_assets.serving.gateway.parts import parts_of
from retrain_assets.serving.gateway.schemas import ExposureRequest, Recorded

router = APIRouter()

ROW = {
    "request_id": "r-1",
    "unit": "2013-07-02-UA-1545-EWR",
    "attributes": {"origin": "EWR"},
    "arm": "challenger",
    "version": "4",
    "bundle": "sha256:5d41402abc4b2a76b9719d911017c592ae1b5c9a9e3f0f1c8e4b7a6d2c3f4e5a",
    "toggle": "flight_delay-2013-07-01",
    "revision": 5,
    "stage": "25",
    "exposed_at": "2013-07-02T06:00:00Z",
    "latency_ms": 3.2,
    "score": 0.31,
    "decision": False,
}


@router.post(
    "/v1/models/{model}/exposures",
    tags=["exposures"],
    summary="Record what another service answered",
    dependencies=[Depends(requires("outcomes"))],
    response_model=Recorded,
    responses={
        **gives("Every row is on record.", {"recorded": 1}),
        **faults(400, 401, 403, 404, 408, 413, 415, 422, 500, 503),
    },
    openapi_extra={
        **below_model("outcomes"),
        **takes(ExposureRequest, {"one exposure": ROW, "several exposures": {"rows": [ROW]}}),
    },
)
async def exposures(request: Request) -> Response:
    """For a service that routes by the toggle (OFREP, flagd or the client) and scores itself: arm, version, bundle, toggle,
    revision and stage as the toggle said them.
    """
    parts, model = parts_of(request), request.path_params["model"]
    terms = parts.models.current(model).terms
    rows = exposure_rows(await json_of(request), terms.serving.max_rows)
    await parts.answering.record_exposures(model, rows)
    return Response(orjson.dumps({"recorded": len(rows)}), media_type="application/json")
