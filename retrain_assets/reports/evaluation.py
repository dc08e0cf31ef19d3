"""The offline evaluation of a pack, out of the tables behind gate offline: metrics, slices, groups, calibration, back-tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retrain_assets.contract import LOWER_IS_BETTER, Gate

_COMPARED = ("not_worse_", "beats_champion_")


def evaluation_of(gates: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The evaluation as JSON; None when gate offline was not reached.

    Keys: ``metrics`` (rows of candidate, champion, improvement and its one-sided bounds), ``slices``, ``fairness`` (by column),
    ``calibration`` (with ``bins``), ``backtests``, ``confidence``, ``compared`` (False for a first champion).
    """
    checks = {one["check"]: one for one in next(gate for gate in gates if gate["gate"] == Gate.OFFLINE.value)["checks"]}
    if not checks:
        return None
    slices = checks.get("slices_hold", {})
    return {
        "metrics": _metrics(checks),
        "compared": not any(one["evidence"].get("bootstrap") is True for one in checks.values()),
        "confidence": next((one["evidence"]["confidence"] for one in checks.values() if "confidence" in one["evidence"]), None),
        "slices": {
            "margin": slices.get("threshold"),
            "rows": slices.get("evidence", {}).get("slices", []),
            "outcome": slices.get("outcome"),
        },
        "fairness": {
            name.removeprefix("fairness_holds_"): {"groups": one["evidence"].get("groups", []), "outcome": one["outcome"]}
            for name, one in checks.items()
            if name.startswith("fairness_holds_")
        },
        "calibration": _calibration(checks.get("calibrated")),
        "backtests": _backtests(checks.get("backtests_hold")),
    }


def _metrics(checks: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for name, check in checks.items():
        prefix = next((one for one in ("meets_", *_COMPARED) if name.startswith(one)), None)
        if prefix is None:
            continue
        metric, evidence = name.removeprefix(prefix), check["evidence"]
        row = rows.setdefault(metric, _empty_row(metric))
        if prefix == "meets_":
            row["candidate"] = check["observed"]
        elif "improvement" in evidence:
            row |= {"candidate": evidence["candidate"], "champion": evidence["champion"], "rows": evidence["rows"]}
            row |= {key: evidence["improvement"][key] for key in ("estimate", "lower", "upper")}
            row["method"] = evidence.get("method")
        row["outcomes"][name] = check["outcome"]
    return list(rows.values())


def _empty_row(metric: str) -> dict[str, Any]:
    return {
        "metric": metric,
        "better": "lower" if metric in LOWER_IS_BETTER else "higher",
        "candidate": None,
        "champion": None,
        "estimate": None,
        "lower": None,
        "upper": None,
        "rows": None,
        "method": None,
        "outcomes": {},
    }


def _calibration(check: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if check is None or not check["evidence"].get("bins"):
        return None
    evidence = check["evidence"]
    return {"outcome": check["outcome"], **{key: evidence.get(key) for key in ("ece", "bias", "max_ece", "max_bias", "bins")}}


def _backtests(check: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if check is None or not check["evidence"].get("backtests"):
        return None
    return {
        "outcome": check["outcome"],
        "metric": check["evidence"].get("metric"),
        "limit": check["threshold"],
        "rows": check["evidence"]["backtests"],
    }
