"""``POST /v1/models/{model}/predict``: the hot path, so its body is checked by hand and its answer written as it stands."""

from __future__ import annotations

import orjson
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from retrain_assets.observability.tracing import is_traced, span
from retrain_assets.serving.gateway.access import requires
from retrain_assets.serving.gateway.bodies import json_of
from retrain_assets.serving.gateway.document import below_model, faults, gives, takes
from retrain_assets.serving.gateway.parts import parts_of
from retrain_assets.serving.gateway.rows import predict_rows
from retrain_assets.serving.gateway.schemas import PredictAnswer, PredictRequest

router = APIRouter()

ROW = {
    "request_id": "r-1",
    "unit": "2013-07-02-UA-1545-EWR",
    "features": {"carrier": "UA", "origin": "EWR", "dest": "ORD", "distance": 719, "temp": 75.9, "day_of_week": 2},
}
PREDICTION = {
    "request_id": "r-1",
    "unit": ROW["unit"],
    "score": 0.31,
    "decision": False,
    "arm": "challenger",
    "version": "4",
    "revision": 5,
    "stage": "25",
    "reason": "ramp",
    "error": False,
}


@router.post(
    "/v1/models/{model}/predict",
    tags=["predict"],
    summary="Score rows",
    dependencies=[Depends(requires("predict"))],
    response_model=PredictAnswer,
    responses={
        **gives("One prediction a row; the exposures are on record.", {"predictions": [PREDICTION]}),
        **faults(400, 401, 403, 404, 408, 413, 415, 422, 500, 503, 504),
    },
    openapi_extra={
        **below_model("predict"),
        **takes(PredictRequest, {"one row": ROW, "several rows": {"rows": [ROW, ROW | {"request_id": "r-2"}]}}),
    },
)
async def predict(request: Request) -> Response:
    """Each row is answered by the arm its unit is in, and its exposure is on record before the answer leaves.

    A challenger that fails or takes too long costs nobody an answer: the champion answers, with `error: true`.
    """
    parts, model = parts_of(request), request.path_params["model"]
    live = parts.models.current(model)
    rows = predict_rows(await json_of(request), live.terms.serving.max_rows)
    if not is_traced():
        predictions = await parts.answering.predict(model, rows)
    else:
        toggle = live.rule.toggle or None
        retrain = toggle.removeprefix(f"{model}-") if toggle else None
        with span("predict", model=model, toggle=toggle, carrier=request.headers, of=retrain, rows=len(rows)):
            predictions = await parts.answering.predict(model, rows)
    return Response(orjson.dumps({"predictions": predictions}), media_type="application/json")
