"""What an operation is asked with: a reason, and which toggle at which revision is meant."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from starlette.requests import Request

from retrain_assets.serving.gateway.bodies import json_of
from retrain_assets.serving.gateway.errors import HttpFault


class BadOrder(HttpFault):
    """An operation is asked for in a way that says too little or too much."""

    status, code = 422, "bad_order"


class Order(BaseModel):
    """The body of an operation."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    reason: Annotated[
        str,
        StringConstraints(min_length=1, max_length=2000, pattern=r"\S"),
        Field(description="Why, in one sentence; goes into the ledger."),
    ]
    toggle: Annotated[
        str | None,
        Field(max_length=200, description="The toggle meant; the model's active one where none is named."),
    ] = None
    revision: Annotated[
        Annotated[int, Field(ge=0, le=2**53)] | None,
        BeforeValidator(lambda given: int(given) if isinstance(given, float) and given.is_integer() else given),
        Field(description="Only if the toggle is still at this revision, the one of `retrain toggle show`."),
    ] = None


async def order_of(request: Request) -> Order:
    """The order in a request's body; of one that has none, such as some clients' DELETE, the query's ``reason``.

    Raises:
        BadOrder: when it is none, naming the field.
        HttpFault: when the body is not JSON.
    """
    asked = request.query_params.get("reason")
    given = {"reason": asked} if asked is not None and not await request.body() else await json_of(request)
    try:
        return Order.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        if field == "reason":
            raise BadOrder("a reason is missing", where="body", remedy='say why in one sentence: {"reason": "…"}') from error
        raise BadOrder(f"{field + ': ' if field else ''}{first['msg']}", where="body", remedy='send {"reason": "…"}') from error
