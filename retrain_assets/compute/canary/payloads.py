"""Requests and answers of a Model Serving endpoint as their JSON texts have them: rows of features, scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any


class Unreadable(ValueError):
    """A text that is no request or answer of a scoring endpoint."""


def rows_of(request: str | None) -> list[dict[str, Any]]:
    """The rows of a request: ``dataframe_records``, ``dataframe_split``, ``instances`` or ``inputs``.

    Raises:
        Unreadable: when it is none of them, or has no row.
    """
    body = _parsed(request, "request")
    if "dataframe_split" in body:
        split = body["dataframe_split"]
        try:
            rows: Any = [dict(zip(split["columns"], values, strict=True)) for values in split["data"]]
        except (KeyError, TypeError, ValueError) as error:
            raise Unreadable("dataframe_split has not columns and data") from error
    else:
        rows = next((body[name] for name in ("dataframe_records", "instances", "inputs") if name in body), None)
        if isinstance(rows, dict):
            rows = _by_row(rows)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise Unreadable("the request has no rows with named features")
    return rows


def scores_of(response: str | None, rows: int, prediction: str | None) -> list[float | None]:
    """The scores of an answer, as exposures have them: of several classes the greatest probability; None where it was not logged.

    Args:
        response: the text.
        rows: rows of the request.
        prediction: key of the score where predictions are objects.

    Raises:
        Unreadable: when there is not one prediction a row.
    """
    if response is None:
        return [None] * rows
    predictions = _parsed(response, "response").get("predictions")
    if isinstance(predictions, Mapping):
        predictions = [row[prediction] for row in _by_row(predictions) if prediction in row]
    if not isinstance(predictions, list) or len(predictions) != rows:
        raise Unreadable(f"{rows} rows have not one prediction each")
    return [_score(one.get(prediction) if isinstance(one, Mapping) else one) for one in predictions]


def _parsed(text: str | None, name: str) -> Mapping[str, Any]:
    try:
        body = json.loads(text or "")
    except ValueError as error:
        raise Unreadable(f"the {name} is no JSON") from error
    if not isinstance(body, Mapping):
        raise Unreadable(f"the {name} is no object")
    return body


def _by_row(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    lists = {name: values if isinstance(values, list) else [values] for name, values in columns.items()}
    height = {len(values) for values in lists.values()}
    if len(height) != 1:
        raise Unreadable("columns differ in length")
    return [{name: values[place] for name, values in lists.items()} for place in range(height.pop())]


def _score(value: Any) -> float | None:
    if isinstance(value, list):
        numbers = [number for one in value if (number := _score(one)) is not None]
        return max(numbers, default=None)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if isfinite(value) else None
