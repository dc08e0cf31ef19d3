"""From the JSON of a body to rows, checked as the OpenAPI document says; every refusal names row, field and remedy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar
from uuid import uuid4

import orjson

from retrain_assets.serving.gateway.errors import TooManyRows
from retrain_assets.serving.live.values import Attribute, BadRequest, Row

One = TypeVar("One")

LONGEST_ID = 1024

_PREDICT = frozenset(("request_id", "unit", "attributes", "features"))
_OUTCOME = frozenset(("request_id", "unit", "observed_at", "measures"))
_SCALARS = frozenset((str, int, float, bool, type(None)))
_NUMBERS = frozenset((int, float, bool, type(None)))


def predict_rows(body: Any, max_rows: int) -> list[Row]:
    """Rows to be scored; a row without a request id gets one.

    Args:
        body: one row, or ``{"rows": [...]}``.
        max_rows: most rows of one request.

    Raises:
        BadRequest: naming row and field.
        TooManyRows: for more than ``max_rows``.
    """
    rows = each(body, max_rows, _predict_row)
    if len(rows) > 1:
        seen: set[str] = set()
        for index, row in enumerate(rows):
            if row.request_id in seen:
                raise bad(index, "request_id", f"{row.request_id!r} stands there twice", "give each row its own, or none")
            seen.add(row.request_id)
    return rows


def outcome_rows(body: Any, max_rows: int) -> list[Mapping[str, Any]]:
    """Outcomes with the keys ``request_id``, ``unit_id``, ``measures`` (float or None by name), ``observed_at`` if it is given.

    Args:
        body: one outcome, or ``{"rows": [...]}``.
        max_rows: most rows of one request.

    Raises:
        BadRequest: naming row and field.
        TooManyRows: for more than ``max_rows``.
    """
    return each(body, max_rows, _outcome_row)


def moment_of(value: Any, index: int, field: str) -> datetime:
    """A time of a row.

    Raises:
        BadRequest: where it is none, or has no time zone.
    """
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError
    except (TypeError, ValueError):
        raise bad(index, field, f"{shown(value)} is no time with a zone", "write it like 2024-05-01T12:00:00Z") from None
    return moment


def text_of(value: Any, index: int, field: str) -> str:
    """A name or an id of a row.

    Raises:
        BadRequest: where it is no text, empty or very long.
    """
    if type(value) is str and 0 < len(value) <= LONGEST_ID:
        return value
    if type(value) is not str:
        raise bad(index, field, f"{shown(value)} is no text", f'write it as text: "{field}": "…"')
    raise bad(index, field, f"has {len(value)} characters", f"write 1 to {LONGEST_ID}")


def object_of(value: Any, index: int, fields: frozenset[str], required: tuple[str, ...]) -> dict[str, Any]:
    """A row, whose fields are among those there are and are all there that must be.

    Raises:
        BadRequest: naming the first that is not.
    """
    if type(value) is not dict:
        raise bad(index, "", f"{shown(value)} is no object", f"write an object with {', '.join(required)}")
    if not value.keys() <= fields:
        unknown = min(value.keys() - fields)
        raise bad(index, unknown, "there is no such field", f"a row has {', '.join(sorted(fields))}")
    for name in required:
        if name not in value:
            raise bad(index, name, "is missing", "add it")
    return value


def attributes_of(value: Any, index: int) -> Mapping[str, Attribute]:
    """The attributes of a row.

    Raises:
        BadRequest: where they are no object, or one is neither text, number, boolean, null nor a list of texts.
    """
    if value is None:
        return {}
    if type(value) is not dict:
        raise bad(index, "attributes", f"{shown(value)} is no object", "write an object of name and value")
    for name, one in value.items():
        if type(one) not in _SCALARS and not (type(one) is list and all(type(text) is str for text in one)):
            what, remedy = f"{shown(one)} is no attribute", "write text, a number, a boolean, null or a list of texts"
            raise bad(index, f"attributes.{name}", what, remedy)
    return value


def each(body: Any, max_rows: int, row_of: Callable[[Any, int], One]) -> list[One]:
    """Every row of a body that is one row, or ``{"rows": [...]}``.

    Raises:
        BadRequest: where it is neither.
        TooManyRows: for more than ``max_rows``.
    """
    if type(body) is not dict:
        raise BadRequest(f"the body is {shown(body)}", remedy='send one row as an object, or {"rows": [...]}')
    if "rows" not in body:
        return [row_of(body, 0)]
    rows = body["rows"]
    if len(body) > 1:
        raise BadRequest(f"{min(body.keys() - {'rows'})!r} stands beside rows", remedy="put every field into its row")
    if type(rows) is not list or not rows:
        raise BadRequest("rows is no list of rows", remedy='send {"rows": [...]} with at least one row')
    if len(rows) > max_rows:
        raise TooManyRows(f"{len(rows)} rows in one request", remedy=f"send at most {max_rows}; the contract's serving.max_rows")
    return [row_of(row, index) for index, row in enumerate(rows)]


def _predict_row(value: Any, index: int) -> Row:
    row = object_of(value, index, _PREDICT, ("features",))
    features, request_id, unit = row["features"], row.get("request_id"), row.get("unit")
    if type(features) is not dict:
        raise bad(index, "features", f"{shown(features)} is no object", "write every feature of the model by name")
    return Row(
        request_id=uuid4().hex if request_id is None else text_of(request_id, index, "request_id"),
        unit=None if unit is None else text_of(unit, index, "unit"),
        attributes=attributes_of(row.get("attributes"), index),
        features=features,
    )


def _outcome_row(value: Any, index: int) -> Mapping[str, Any]:
    row = object_of(value, index, _OUTCOME, ("request_id", "unit", "measures"))
    observed_at, measures = row.get("observed_at"), row["measures"]
    if type(measures) is not dict or not measures:
        raise bad(index, "measures", f"{shown(measures)} is no object of measures", "write at least one measure by name")
    for name, one in measures.items():
        if type(one) not in _NUMBERS:
            raise bad(index, f"measures.{name}", f"{shown(one)} is no number", "write a number, 0 or 1 for no or yes, or null")
    found = {
        "request_id": text_of(row["request_id"], index, "request_id"),
        "unit_id": text_of(row["unit"], index, "unit"),
        "measures": {name: None if one is None else float(one) for name, one in measures.items()},
    }
    return found if observed_at is None else found | {"observed_at": moment_of(observed_at, index, "observed_at")}


def bad(index: int, field: str, what: str, remedy: str) -> BadRequest:
    """The refusal of a row."""
    return BadRequest(what, where=f"row {index}, {field}" if field else f"row {index}", remedy=remedy)


def shown(value: Any) -> str:
    """A value in a message: short, and of containers only the kind."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = orjson.dumps(value).decode()
    return text if len(text) <= 60 else f"{text[:60]}…"
