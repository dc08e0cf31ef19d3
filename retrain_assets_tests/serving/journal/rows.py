"""Rows as serving hands them to the journal. Nothing here imports the test framework, so that small processes may."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

MODEL = "flight_delay"
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def exposure(request: object, **columns: object) -> dict[str, Any]:
    return {
        "request_id": str(request),
        "model": MODEL,
        "unit_id": f"unit of {request}",
        "toggle": "t1",
        "revision": 2,
        "stage": "5",
        "arm": "champion",
        "version": "3",
        "bundle": "sha256:" + "ab" * 32,
        "exposed_at": NOON,
        "latency_ms": 0.5,
        "error": False,
        "score": 0.25,
        "shadow_score": None,
    } | columns


def outcome(request: object, **columns: object) -> dict[str, Any]:
    measures = columns or {"cost": 30.0}
    return {"request_id": str(request), "unit_id": f"unit of {request}", "observed_at": NOON + timedelta(days=1)} | measures


def exposures(*requests: object, **columns: object) -> list[dict[str, Any]]:
    return [exposure(request, **columns) for request in requests]
