"""From the JSON of a body to exposures of another service, checked as the OpenAPI document says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from retrain_assets.serving.gateway.rows import attributes_of, bad, each, moment_of, object_of, shown, text_of

LARGEST = 2**63 - 1

_REQUIRED = ("request_id", "arm", "version", "bundle")


def exposure_rows(body: Any, max_rows: int) -> list[Mapping[str, Any]]:
    """Exposures as ``Answering.record_exposures`` takes them; a field that is not given is left out.

    Args:
        body: one exposure, or ``{"rows": [...]}``.
        max_rows: most rows of one request.

    Raises:
        BadRequest: naming row and field.
        TooManyRows: for more than ``max_rows``.
    """
    return each(body, max_rows, _row)


def _row(value: Any, index: int) -> Mapping[str, Any]:
    row = object_of(value, index, _FIELDS, _REQUIRED)
    found = {name: _READ[name](given, index, name) for name, given in row.items() if given is not None or name in _REQUIRED}
    found["unit_id"] = found.pop("unit", None)
    return {"attributes": {}} | found


def _arm(value: Any, index: int, field: str) -> str:
    if value not in ("champion", "challenger"):
        raise bad(index, field, f"{shown(value)} is no arm", "write champion or challenger")
    return str(value)


def _flag(value: Any, index: int, field: str) -> bool:
    if type(value) is not bool:
        raise bad(index, field, f"{shown(value)} is neither true nor false", "write true or false")
    return value


def _number(value: Any, index: int, field: str) -> float:
    if type(value) not in (int, float) or not isfinite(value):
        raise bad(index, field, f"{shown(value)} is no number", "write a number")
    return float(value)


def _duration(value: Any, index: int, field: str) -> float:
    if (milliseconds := _number(value, index, field)) < 0:
        raise bad(index, field, f"{shown(value)} is below 0", "write measured milliseconds")
    return milliseconds


def _revision(value: Any, index: int, field: str) -> int:
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 <= value <= LARGEST:
        raise bad(index, field, f"{shown(value)} is no revision", "write the revision that the toggle said")
    return value


def _attributes(value: Any, index: int, field: str) -> Mapping[str, Any]:
    return attributes_of(value, index)


_READ: Mapping[str, Callable[[Any, int, str], Any]] = {
    "request_id": text_of,
    "unit": text_of,
    "attributes": _attributes,
    "arm": _arm,
    "version": text_of,
    "bundle": text_of,
    "toggle": text_of,
    "revision": _revision,
    "stage": text_of,
    "exposed_at": moment_of,
    "latency_ms": _duration,
    "error": _flag,
    "score": _number,
    "decision": _flag,
}
_FIELDS = frozenset(_READ)
