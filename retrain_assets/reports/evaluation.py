"""The offline evaluation of a pack, out of the tables behind gate offline: metrics, slices, groups, calibration, back-tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retrain_assets.contract import LOWER_IS_BETTER, Gate

_COMPARED = ("not_worse_", "beats_champion_")


def evaluation_of(gates: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The evaluation as JSON; None when gate offline was not reached.

    Keys: ``metrics`` (rows of candidate, champion, improvement and its one-sided bounds), ``slices``, ``fairness`` (by column),
    ``calibration`` (with ``bins``, ``limits`` and its own ``slices``), ``decision`` (costs of the threshold), ``stability``
    (flips against the champion), ``backtests`` (with their spread), ``budgets``, ``confidence``, ``compared`` (False for a first
    champion).
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
            name.removeprefix("fairness_holds_"): {
                "groups": one["evidence"].get("groups", []),
                "differences": _listed(one["evidence"].get("differences")),
                "bounds": _bounds(one["evidence"].get("groups", [])),
                "outcome": one["outcome"],
            }
            for name, one in checks.items()
            if name.startswith("fairness_holds_")
        },
        "calibration": _calibration(checks.get("calibrated")),
        "decision": _decision(checks),
        "stability": _stability(checks),
        "backtests": _backtests(checks.get("backtests_hold")),
        "budgets": _budgets(checks),
    }


def _metrics(checks: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for name, check in checks.items():
        prefix = next((one for one in ("meets_", *_COMPARED) if name.startswith(one)), None)
        if prefix is None:
            continue
        metric, evidence = name.removeprefix(prefix), check["evidence"]
        row = rows.setdefault(metric, _empty_row(metric))
        row["better"] = evidence.get("better", row["better"])
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
    numbers = ("ece", "bias", "max_ece", "max_bias", "slope", "intercept", "intercept_with_slope_1", "rows", "scores_of_0_or_1")
    tables = {key: evidence.get(key) or [] for key in ("bins", "limits", "slices", "classes")}
    counts = {key: evidence.get(key) for key in ("slices_total", "slices_judged")}
    return {"outcome": check["outcome"], **{key: evidence.get(key) for key in numbers}, **tables, **counts}


def _decision(checks: Mapping[str, dict[str, Any]]) -> dict[str, Any] | None:
    """The costs stand with the check of calibration, or with the first one where there is none."""
    rows = _anywhere(checks, "decision")
    return {"rows": rows, "words": _anywhere(checks, "decision_in_words")} if isinstance(rows, list) else None


def _stability(checks: Mapping[str, dict[str, Any]]) -> dict[str, Any] | None:
    """The change against the champion stands with its check, or with the first one where no limit is set."""
    change = _anywhere(checks, "mean_change_of_prediction")
    if change is None:
        return None
    check = checks.get("decisions_are_stable")
    return {
        "outcome": check["outcome"] if check else None,
        "limits": check["evidence"].get("limits", []) if check else [],
        "flips": _anywhere(checks, "flips") or [],
        "slices_total": _anywhere(checks, "flips_slices_total"),
        "mean_change": change,
        "deviations": _anywhere(checks, "mean_change_in_deviations"),
    }


def _budgets(checks: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for name, what, unit in (
        ("latency_within_budget", "median of scoring one row", "ms"),
        ("size_within_budget", "bundle", "MiB"),
    ):
        if (check := checks.get(name)) is not None:
            row = {"budget": what, "unit": unit, "observed": check["observed"], "limit": check["threshold"]}
            rows.append(row | {"p95": check["evidence"].get("p95_ms"), "outcome": check["outcome"]})
    return rows


def _listed(value: Any) -> list[dict[str, Any]]:
    return list(value) if isinstance(value, list) else []


def _bounds(groups: list[dict[str, Any]]) -> list[str]:
    """Columns with the bounds of the rates that are judged."""
    names = dict.fromkeys(name for group in groups for name in group)
    return [name for name in names if name.endswith(("_at_least", "_at_most"))]


def _anywhere(checks: Mapping[str, dict[str, Any]], key: str) -> Any:
    return next((one["evidence"][key] for one in checks.values() if one["evidence"].get(key) is not None), None)


def _backtests(check: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if check is None or not check["evidence"].get("backtests"):
        return None
    return {
        "outcome": check["outcome"],
        "metric": check["evidence"].get("metric"),
        "limit": check["threshold"],
        "rows": check["evidence"]["backtests"],
        **{key: check["evidence"].get(key) for key in _SPREAD},
    }


_SPREAD = (
    *("min", "max", "max_spread", "mean", "standard_deviation", "smallest", "largest", "spread"),
    *("holdout", "holdout_lies", "limits"),
)
