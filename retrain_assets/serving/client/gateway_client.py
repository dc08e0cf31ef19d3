"""A gateway (``retrain serve``) from Python: predictions, outcomes, arms, exposures, the toggle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import quote
from uuid import uuid4

from retrain_assets.routing import Assignment, Reason
from retrain_assets.serving.client.exposures import Exposure, Exposures, RoutedUnit, require_served
from retrain_assets.serving.client.transport import GatewayError, Transport
from retrain_assets.serving.live.values import Prediction


class GatewayClient(Exposures):
    """One gateway. May be shared by threads; close it, or use it as a context manager.

    Every call is repeated while the gateway says that it cannot answer now, and when the connection breaks: requests have ids, so
    that one that arrives twice counts once.

    Args:
        url: the gateway's address with its scheme, ``http://127.0.0.1:8080``.
        token: a token of the gateway; not needed on its own host, if it does not ask for one there.
        timeout: seconds a call may take in all, repetitions included.

    Raises:
        GatewayError: where the address has no scheme.
    """

    def __init__(self, url: str, token: str | None = None, timeout: float = 10.0) -> None:
        self._transport = Transport(url, token, timeout)

    def predict(self, model: str, rows: Sequence[Mapping[str, Any]]) -> list[Prediction]:
        """One prediction per row, in their order.

        Args:
            model: the model.
            rows: ``features`` by name, and if they are known ``unit``, ``attributes`` by name and ``request_id``. A row without a
                request id gets one; NaN is sent as null.

        Raises:
            GatewayError: where the gateway refuses a row, cannot answer, or is not there.
        """
        named = [{"request_id": uuid4().hex, **row} for row in rows]
        answer = self._transport.post(f"{_below(model)}/predict", {"rows": named})
        return [_prediction(one) for one in answer["predictions"]]

    def predict_one(
        self,
        model: str,
        features: Mapping[str, Any],
        *,
        unit: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        request_id: str | None = None,
    ) -> Prediction:
        """As :meth:`predict`, for one row."""
        row = {"features": features, "unit": unit, "attributes": attributes, "request_id": request_id}
        return self.predict(model, [{name: value for name, value in row.items() if value is not None}])[0]

    def send_outcomes(self, model: str, rows: Sequence[Mapping[str, Any]]) -> int:
        """Tell what became of units; gives the number of rows recorded.

        Args:
            model: the model.
            rows: ``request_id``, ``unit``, ``measures`` by name and ``observed_at`` (aware); without it the gateway takes its own
                time, which is data time where its home replays.

        Raises:
            GatewayError: as :meth:`predict`.
        """
        body = {"rows": [{name: _written(value) for name, value in row.items() if value is not None} for row in rows]}
        return int(self._transport.post(f"{_below(model)}/outcomes", body)["recorded"])

    def assign(self, model: str, unit: str | None, attributes: Mapping[str, Any] | None = None) -> RoutedUnit:
        """The arm of a unit, for a service that scores with models of its own; nothing is scored and nothing logged.

        Args:
            model: the model.
            unit: its plain id; None gets the champion.
            attributes: what the cohort asks for, by name.

        Raises:
            GatewayError: as :meth:`predict`.
        """
        known = dict(attributes or {})
        context = {**known, "targetingKey": unit} if unit is not None else known
        answer = self._transport.post(f"/ofrep/v1/evaluate/flags/{quote(model, safe='')}", {"context": context})
        told = answer["metadata"]
        assignment = Assignment(
            arm=told["arm"],
            version=told.get("version", ""),
            bundle=told.get("bundle", ""),
            toggle=told.get("toggle"),
            revision=int(told["revision"]),
            stage=told.get("stage"),
            reason=_reason_of(told["routing_reason"]),
        )
        return RoutedUnit(model, unit or None, assignment, known, datetime.now(UTC))

    def record(self, exposures: Sequence[Exposure]) -> None:
        """Record exposures of one model's requests that a service answered with models of its own.

        Raises:
            GatewayError: as :meth:`predict`.
        """
        for one in exposures:
            require_served(one.routed)
        if exposures:
            rows = [_exposure_row(one) for one in exposures]
            self._transport.post(f"{_below(exposures[0].routed.model)}/exposures", {"rows": rows})

    def toggle(self, model: str) -> dict[str, Any]:
        """How a model's traffic is divided now, as ``GET /v1/models/{model}/toggle`` describes it.

        Raises:
            GatewayError: as :meth:`predict`.
        """
        return dict(self._transport.get(f"{_below(model)}/toggle"))

    def models(self) -> list[dict[str, Any]]:
        """Every model the token may ask about, as ``GET /v1/models`` describes it.

        Raises:
            GatewayError: as :meth:`predict`.
        """
        return list(self._transport.get("/v1/models")["models"])

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        self.close()


def _prediction(told: Mapping[str, Any]) -> Prediction:
    """What a newer gateway says beside it is left out."""
    known: dict[str, Any] = {field.name: told[field.name] for field in fields(Prediction)}
    return Prediction(**{**known, "reason": _reason_of(told["reason"])})


def _below(model: str) -> str:
    return f"/v1/models/{quote(model, safe='')}"


def _exposure_row(exposure: Exposure) -> dict[str, Any]:
    assignment = exposure.routed.assignment
    row = {
        "request_id": exposure.request_id,
        "unit": exposure.routed.unit,
        "attributes": exposure.routed.attributes,
        "arm": assignment.arm,
        "version": assignment.version,
        "bundle": assignment.bundle,
        "toggle": assignment.toggle,
        "revision": assignment.revision,
        "stage": assignment.stage,
        "exposed_at": _written(exposure.routed.at),
        "latency_ms": exposure.latency_ms,
        "error": exposure.error,
        "score": exposure.score,
        "decision": exposure.decision,
    }
    return {name: value for name, value in row.items() if value is not None}


def _written(moment: Any) -> Any:
    """A time as the gateway reads it; one without a zone is left to the gateway to refuse."""
    return moment.isoformat() if isinstance(moment, datetime) else moment


def _reason_of(text: str) -> Reason:
    try:
        return Reason(text)
    except ValueError as error:
        raise GatewayError(
            f"gives the reason {text!r}, which is not known here", where="gateway", remedy="install the gateway's version here"
        ) from error
