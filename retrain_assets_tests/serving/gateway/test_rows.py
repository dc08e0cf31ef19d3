"""Bodies are checked by hand; here they are held to the documented schema and to messages that help."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from retrain_assets.serving.gateway.errors import TooManyRows
from retrain_assets.serving.gateway.exposure_rows import exposure_rows
from retrain_assets.serving.gateway.rows import outcome_rows, predict_rows
from retrain_assets.serving.gateway.schemas import ExposureRequest, OutcomeRequest, PredictRequest
from retrain_assets.serving.live.values import BadRequest

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
EXPOSURE = {"request_id": "r", "arm": "champion", "version": "3", "bundle": "sha256:aa"}


def predict(body: Any, max_rows: int = 3) -> list[Any]:
    return predict_rows(body, max_rows)


def outcome(body: Any) -> list[Any]:
    return outcome_rows(body, 3)


def exposure(body: Any) -> list[Any]:
    return exposure_rows(body, 3)


def test_one_row_and_several_rows_are_told_apart_by_the_key_rows() -> None:
    one = {"unit": "u", "attributes": {"tier": "gold", "lists": ["a", "b"]}, "features": {"x": 1, "y": None}}
    (alone,), both = predict(one), predict({"rows": [one, {"features": {}}]})
    assert (alone.unit, alone.attributes, alone.features) == ("u", one["attributes"], one["features"])
    assert [row.unit for row in both] == ["u", None]
    assert both[1].attributes == {}


def test_a_row_without_a_request_id_gets_one_of_its_own() -> None:
    rows = predict({"rows": [{"features": {}}, {"features": {}, "request_id": None}, {"features": {}, "request_id": "mine"}]})
    assert rows[2].request_id == "mine"
    assert len({row.request_id for row in rows}) == 3
    assert all(len(row.request_id) == 32 for row in rows[:2])


def test_an_outcome_keeps_its_time_where_it_has_one() -> None:
    given_time, now = outcome(
        {
            "rows": [
                {
                    "request_id": "r",
                    "unit": "u",
                    "observed_at": "2024-05-01T10:00:00+02:00",
                    "measures": {"cost": 1, "x": True},
                },
                {"request_id": "r", "unit": "u", "measures": {"cost": None}},
            ]
        }
    )
    assert (given_time["observed_at"], given_time["measures"]) == (
        datetime(2024, 5, 1, 8, tzinfo=UTC),
        {"cost": 1.0, "x": 1.0},
    )
    assert now == {"request_id": "r", "unit_id": "u", "measures": {"cost": None}}


def test_an_exposure_keeps_what_was_given_and_leaves_out_the_rest() -> None:
    (row,) = exposure(EXPOSURE | {"unit": "u", "latency_ms": 3, "error": None, "exposed_at": "2024-05-01T12:00:00Z"})
    assert row == EXPOSURE | {"unit_id": "u", "attributes": {}, "latency_ms": 3.0, "exposed_at": NOON}


@pytest.mark.parametrize(
    ("read", "body", "told"),
    [
        (predict, [], "the body is a list; send one row as an object, or"),
        (predict, None, "the body is null"),
        (predict, {"rows": []}, "rows is no list of rows"),
        (predict, {"rows": {}}, "rows is no list of rows"),
        (predict, {"rows": [{"features": {}}], "unit": "u"}, "'unit' stands beside rows; put every field into its row"),
        (predict, {"rows": [{"features": {}}, 7]}, "row 1: 7 is no object; write an object with features"),
        (predict, {}, "row 0, features: is missing; add it"),
        (predict, {"features": [1]}, "row 0, features: a list is no object; write every feature of the model by name"),
        (
            predict,
            {"features": {}, "Unit": "u"},
            "row 0, Unit: there is no such field; a row has attributes, features, ",
        ),
        (predict, {"features": {}, "unit": 7}, 'row 0, unit: 7 is no text; write it as text: "unit": "…"'),
        (predict, {"features": {}, "unit": ""}, "row 0, unit: has 0 characters; write 1 to 1024"),
        (predict, {"features": {}, "request_id": "x" * 1025}, "row 0, request_id: has 1025 characters"),
        (predict, {"features": {}, "attributes": []}, "row 0, attributes: a list is no object"),
        (
            predict,
            {"features": {}, "attributes": {"a": {}}},
            "row 0, attributes.a: an object is no attribute; write text, a",
        ),
        (predict, {"features": {}, "attributes": {"a": ["x", 1]}}, "row 0, attributes.a: a list is no attribute"),
        (
            predict,
            {"rows": [{"features": {}, "request_id": "r"}] * 2},
            "row 1, request_id: 'r' stands there twice; give each",
        ),
        (outcome, {"request_id": "r", "measures": {"cost": 1}}, "row 0, unit: is missing"),
        (
            outcome,
            {"request_id": "r", "unit": "u", "measures": {}},
            "row 0, measures: an object is no object of measures; write",
        ),
        (outcome, {"request_id": "r", "unit": "u", "measures": {"cost": "1"}}, 'row 0, measures.cost: "1" is no number'),
        (outcome, {"request_id": None, "unit": "u", "measures": {"cost": 1}}, "row 0, request_id: null is no text"),
        (
            outcome,
            {"request_id": "r", "unit": "u", "measures": {"cost": 1}, "observed_at": "2024-05-01T10:00:00"},
            'row 0, observed_at: "2024-05-01T10:00:00" is no time with a zone; write it like 2024-05-01T12:00:00Z',
        ),
        (exposure, EXPOSURE | {"arm": "both"}, 'row 0, arm: "both" is no arm; write champion or challenger'),
        (exposure, EXPOSURE | {"version": None}, "row 0, version: null is no text"),
        (exposure, EXPOSURE | {"revision": 1.5}, "row 0, revision: 1.5 is no revision"),
        (exposure, EXPOSURE | {"latency_ms": -1}, "row 0, latency_ms: -1 is below 0"),
        (exposure, EXPOSURE | {"error": 0}, "row 0, error: 0 is neither true nor false"),
        (exposure, EXPOSURE | {"score": True}, "row 0, score: true is no number"),
        (exposure, EXPOSURE | {"exposed_at": 5}, "row 0, exposed_at: 5 is no time with a zone"),
    ],
)
def test_a_refusal_names_row_field_and_remedy(read: Any, body: Any, told: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read(body)
    assert refused.value.line.startswith(told)


def test_more_rows_than_the_contract_allows_are_refused_before_any_is_looked_at() -> None:
    with pytest.raises(TooManyRows, match="4 rows in one request; send at most 3"):
        predict({"rows": [None] * 4})


SCALARS = st.none() | st.booleans() | st.integers(-5, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(max_size=3)
ANYTHING = SCALARS | TEXTS | st.lists(TEXTS | st.just(1), max_size=2) | st.dictionaries(TEXTS, SCALARS | TEXTS, max_size=2)
MEASURES = st.dictionaries(TEXTS, SCALARS | TEXTS | st.just([]), max_size=2)
ATTRIBUTES = st.none() | st.dictionaries(
    TEXTS, SCALARS | TEXTS | st.lists(TEXTS, max_size=2) | st.just([1]) | st.just({}), max_size=2
)
ARMS = st.sampled_from(["champion", "challenger"])
MOMENTS = st.sampled_from([None, "2024-05-01T12:00:00Z", "2024-05-01T12:00:00+02:00", "2024-05-01T12:00:00", "noon", 7, True])
ROWS: dict[type[BaseModel], st.SearchStrategy[dict[str, Any]]] = {
    PredictRequest: st.fixed_dictionaries(
        {"features": st.dictionaries(TEXTS, SCALARS | TEXTS, max_size=2)},
        optional={"request_id": ANYTHING, "unit": ANYTHING, "attributes": ATTRIBUTES, "more": SCALARS},
    ),
    OutcomeRequest: st.fixed_dictionaries(
        {"request_id": TEXTS, "unit": TEXTS},
        optional={"measures": MEASURES, "observed_at": MOMENTS},
    ),
    ExposureRequest: st.fixed_dictionaries(
        {"request_id": TEXTS, "arm": ARMS | TEXTS, "version": TEXTS, "bundle": TEXTS},
        optional={
            "unit": TEXTS | st.none(),
            "revision": SCALARS.filter(lambda one: not (type(one) is float and one.is_integer())),  # 1.0 is whole in JSON alone
            "latency_ms": SCALARS,
            "error": SCALARS,
            "score": SCALARS,
            "decision": SCALARS,
            "attributes": ATTRIBUTES,
            "exposed_at": MOMENTS,
        },
    ),
}


@pytest.mark.parametrize(("schema", "read"), [(PredictRequest, predict), (OutcomeRequest, outcome), (ExposureRequest, exposure)])
def test_what_is_accepted_is_exactly_what_the_document_describes(schema: type[BaseModel], read: Any) -> None:
    row = ROWS[schema]
    bodies = row | st.fixed_dictionaries({"rows": st.lists(row | ANYTHING, max_size=3)}) | ANYTHING

    @settings(max_examples=300, deadline=None, derandomize=True)
    @given(bodies)
    def agree(body: Any) -> None:
        text = json.dumps(body).encode()
        assert _accepted(read, orjson.loads(text)) == _described(schema, text), body

    agree()


def _accepted(read: Any, body: Any) -> bool:
    try:
        read(body)
    except BadRequest as refused:
        return "stands there twice" in refused.what  # which no schema can say
    return True


def _described(schema: type[BaseModel], text: bytes) -> bool:
    try:
        schema.model_validate_json(text)
    except ValidationError:
        return False
    return True
