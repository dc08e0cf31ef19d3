"""Looks made by hand, with everything a look can say: numbers a person could have found, and none of them computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import sqrt
from typing import Any

from retrain_assets.contract import Contract
from retrain_assets.experiment import ArmCounts, HealthCheck, Look, MeasureResult, MeasureSpec, MeasureState, Plan, StageCounts
from retrain_assets.experiment.decision.economics import NetValue, Worth
from retrain_assets.experiment.look import Action, Cause, PlannedLook
from retrain_assets.gates.canary_view import CanaryView, canary_view
from retrain_assets.gates.technical_side import ArmTechnical, FeatureShift, PredictionShift, TechnicalSide
from retrain_assets_tests.reports.sample_evidence import CONTRACT

START = datetime(2013, 7, 1, 6, tzinfo=UTC)
LOOKS = (4, 8, 12, 16)
ORIGINS = ("EWR", "JFK", "LGA", "missing")

RICH = Contract.model_validate(
    {
        **CONTRACT.to_json(),
        "experiment": {
            **CONTRACT.to_json()["experiment"],
            "high_value": {"origin": ["JFK"]},
            "adjust_for": {"champion_score": True},
            "looks": {"after": [f"{day}d" for day in LOOKS]},
            "guardrails": {
                "missed_late_rate": {"direction": "decrease", "margin": 0.05, "segment_margin": 0.08},
                "error_rate": {"column": "error", "direction": "decrease", "margin": 0.01},
                "latency_p95": {"column": "latency_ms", "quantile": "95%", "direction": "decrease", "max_regression": "20%"},
            },
        },
        "economics": {
            "measure": "cost_per_flight",
            "value_per_unit": 1.0,
            "horizon": "30d",
            "training_cost_per_hour": 12.0,
            "serving_cost_per_1k": 0.4,
            "review_cost": 200.0,
            "min_net_value": 1000.0,
        },
    }
)
"""The sample's contract with planned looks, segments that decide and money."""

EXPERIMENT: dict[str, Any] = RICH.to_json()["experiment"]
PLAN = Plan.from_contract(RICH)
RAMP = ("shadow", "5", "25", "50")
_SPECS: Mapping[str, MeasureSpec] = {spec.name: spec for spec in PLAN.measures}
_HEALTH = (
    ("records", "the records could be read", None, None),
    ("counts", "counts of units add up", None, None),
    ("times", "arming, stage and look are in order", None, None),
    ("sample_ratio", "all stages: the split is as meant", 0.61, 0.005),
    ("missing_outcomes", "1.7% of the champion's 3120 matured units have no outcome (limit 20.0%)", 0.017, 0.2),
    ("missing_outcomes_alike", "no difference is shown", 0.001, None),
    ("cross_arm_units", "2 units were seen in both arms and are left out (0.03%, limit 0.10%)", 0.0003, 0.001),
)


def result(
    name: str,
    state: MeasureState,
    champion: float | None,
    change: float | None,
    half: float | None,
    units: tuple[int, int] = (3120, 1480),
    **more: Any,
) -> MeasureResult:
    """A result with a symmetric interval; ``change`` and ``half`` in the unit of the measure."""
    spec = replace(_SPECS[name], **more.pop("spec", {}))
    method = more.pop("method", "asymptotic")
    if champion is None or change is None or half is None:
        blank = (None,) * 8
        return MeasureResult(spec, state, *blank, *units, more.pop("message", f"{name}: no matured unit"), **more)
    limits = (change, change - half, change + half)
    relative = tuple(one / champion for one in limits) if champion else (None, None, None)
    message = more.pop("message", f"{name} {champion:.4g} → {champion + change:.4g}: {state.value}")
    return MeasureResult(spec, state, champion, champion + change, *limits, *relative, *units, message, method, **more)


def rich_look(**changes: Any) -> Look:
    """A look at 50 % with segments, two planned looks taken, a warning and a net value; it asks for approval."""
    at = START + timedelta(days=9)
    look = Look(
        at=at,
        stage="50",
        revision=5,
        results=(
            result(
                "cost_per_flight",
                MeasureState.BETTER,
                7.61,
                -0.62,
                0.41,
                planned_limit=-0.29,
                planned_relative=-0.038,
                variance_saved=0.42,
            ),
            result("missed_late_rate", MeasureState.NON_INFERIOR, 0.112, 0.006, 0.021, planned_limit=0.019, variance_saved=0.18),
            result("error_rate", MeasureState.NON_INFERIOR, 0.0004, 0.0001, 0.0021, method="exact"),
            result("latency_p95", MeasureState.NON_INFERIOR, 41.0, 1.4, 4.9, method="quantile"),
        ),
        health=tuple(HealthCheck(name, True, text, observed, limit) for name, text, observed, limit in _HEALTH),
        segments={f"origin={origin}": _segment(k, origin) for k, origin in enumerate(ORIGINS)},
        action=Action.ASK_APPROVAL,
        reason="every success measure is better and every guardrail is shown non-inferior",
        stages=stage_counts(),
        planned=(PlannedLook(1, START + timedelta(days=5), 210.0), PlannedLook(2, at, 640.0)),
        next_planned=START + timedelta(days=13),
        warnings=("origin=JFK (high value) moves against the total: cost_per_flight +1.9 % (shrunk), all units −8.1 %",),
        net_value=NetValue(
            "cost_per_flight", "EUR", 30.0, 27000.0, 16330.0, 5260.0, 27400.0, 16740.0, 199.0, 10.8, 200.0, 1000.0,
            Worth.WORTH_IT, "net value +16,330 EUR [+5,260, +27,400] over 30 days: worth it",
        ),
    )  # fmt: skip
    return replace(look, **changes)


def harmful_look(**changes: Any) -> Look:
    """Harm is shown, technically all is well, and the look rolls back."""
    results = (
        result("cost_per_flight", MeasureState.WORSE, 7.61, 0.9, 0.72, message="cost_per_flight: a worsening is shown"),
        result("missed_late_rate", MeasureState.WORSE, 0.112, 0.131, 0.05, message="missed_late_rate: harm beyond 0.05 is shown"),
        result("error_rate", MeasureState.NON_INFERIOR, 0.0004, 0.0001, 0.0021, method="exact"),
        result("latency_p95", MeasureState.NON_INFERIOR, 41.0, 1.2, 4.9, method="quantile"),
    )
    look = rich_look(
        results=results, action=Action.ROLL_BACK, cause=Cause.HARM, harm_looks=2,
        reason="; ".join(one.message for one in results[:2]),
        net_value=None, warnings=(), segments={},
    )  # fmt: skip
    return replace(look, **changes)


def broken_look(**changes: Any) -> Look:
    """The split is wrong and outcomes are missing: nothing can be told, and the look holds."""
    health = (
        HealthCheck("sample_ratio", False, "stage 50: champion 3120 and challenger 1480 units for a share of 0.5", 1e-9, 0.005),
        HealthCheck("missing_outcomes", False, "41.0% of the challenger's 1480 matured units have no outcome", 0.41, 0.2),
        *rich_look().health[:3],
    )
    results = (
        result("cost_per_flight", MeasureState.NO_DATA, None, None, None, (0, 0)),
        result("missed_late_rate", MeasureState.INCONCLUSIVE, 0.112, 0.0, float("inf")),
        result("error_rate", MeasureState.ERROR, None, None, None, (12, 0), message="error_rate: 3 values are not finite"),
        result("latency_p95", MeasureState.INCONCLUSIVE, None, None, None, (40, 31), message="latency_p95: too few requests"),
    )
    look = rich_look(
        results=results, health=health, action=Action.HOLD, unusable_since=START + timedelta(days=8), net_value=None, warnings=(),
        reason="the experiment is invalid: " + "; ".join(check.message for check in health[:2]), segments={},
        again_at=START + timedelta(days=10),
    )  # fmt: skip
    return replace(look, **changes)


def waiting_look(**changes: Any) -> Look:
    """Nothing is shown yet and nothing is wrong."""
    results = (
        result("cost_per_flight", MeasureState.INCONCLUSIVE, 7.61, -0.31, 0.55),
        result("missed_late_rate", MeasureState.INCONCLUSIVE, 0.112, 0.011, 0.058),
        result("error_rate", MeasureState.NON_INFERIOR, 0.0004, 0.0001, 0.0021, method="exact"),
        result("latency_p95", MeasureState.INCONCLUSIVE, 41.0, 10.4, 6.9, method="quantile"),
    )
    look = rich_look(
        results=results, action=Action.HOLD,
        reason="; ".join(one.message for one in results if one.state is MeasureState.INCONCLUSIVE),
        planned=rich_look().planned[:1], next_planned=START + timedelta(days=9), at=START + timedelta(days=7), warnings=(),
        net_value=replace(rich_look().net_value, estimate=7200.0, lower=-9100.0, upper=23500.0, worth=Worth.UNCLEAR),
    )  # fmt: skip
    return replace(look, **changes)


def view_of(look: Look) -> CanaryView:
    """Both arms' technical side beside a look: the same everywhere, but one feature moved and JFK answers late."""
    arm = ArmTechnical(
        requests=3000, units=2900, error_share=0.0004, latency_p50_ms=12.1, latency_p95_ms=41.0, latency_p99_ms=66.0,
        positive_share=0.21, score_mean=0.2, labelled=2800, label_mean=0.21, prediction_mean=0.205, calibration_bias=-0.005,
        bias_by_chance=0.02, calibration_error=0.013, error_by_chance=0.02,
    )  # fmt: skip
    moved = FeatureShift("wind_speed", 0.41, 0.39, True, 2900, 9.8, 14.1, 0.4)
    total = TechnicalSide(
        arm, replace(arm, score_mean=0.22), PredictionShift(0.03, 0.02, 0.2, 0.02, 3), challenger_features=(moved,)
    )
    slow = replace(total, challenger=replace(arm, latency_p95_ms=180.0))
    sides = {"total": total, "origin=EWR": total, "origin=JFK": slow} if look.segments else {"total": total}
    return canary_view(look, RICH, sides, notes=["labels of the newest day are not known yet"])


def stage_counts(until: int = 4) -> tuple[StageCounts, ...]:
    """Counts of the first stages of the ramp, with the revisions a ramp has."""
    units = (("shadow", 0.0, 900, 900), ("5", 0.05, 1710, 90), ("25", 0.25, 1350, 450), ("50", 0.5, 1510, 1480))
    return tuple(
        StageCounts(
            revision,
            stage,
            share,
            ArmCounts(champion, champion - 40, champion - 60),
            ArmCounts(challenger, challenger - 20, challenger - 30),
            START + timedelta(days=day),
        )
        for revision, day, (stage, share, champion, challenger) in zip((3, 4, 5, 6), (0, 1, 3, 5), units[:until], strict=False)
    )


def series_look(at: datetime, stage: str, revision: int, stages: tuple[StageCounts, ...], k: int) -> Look:
    """The k-th look of a ramp in which cost falls and the interval narrows as units come in; shadow has no interval."""
    live = sum(one.challenger.matured for one in stages if not one.is_shadow)
    if not live:
        names = ("cost_per_flight", "missed_late_rate", "error_rate", "latency_p95")
        blank = tuple(result(name, MeasureState.NO_DATA, None, None, None, (0, 0)) for name in names)
        return Look(at, stage, revision, blank, (), reason="nothing is answered by the challenger in shadow")
    half = 18.0 / sqrt(live)
    wave = 0.5 * half * (-1) ** k * 0.4
    results = (
        result("cost_per_flight", _state(-0.62 + half + wave < -0.0761), 7.61, -0.62 + wave, half, variance_saved=0.4),
        result("missed_late_rate", _state(0.006 + half / 20 < 0.05, guardrail=True), 0.112, 0.006 - wave / 30, half / 20),
        result("error_rate", MeasureState.NON_INFERIOR, 0.0004, 0.0001, 0.09 / sqrt(live), method="exact"),
        result("latency_p95", _state(3.4 + 8 * half < 8.2, guardrail=True), 41.0, 3.4 + 3 * wave, 8 * half, method="quantile"),
    )
    ok = k % 7 != 5
    health = tuple(HealthCheck(name, ok or name != "missing_outcomes", text, seen, limit) for name, text, seen, limit in _HEALTH)
    return Look(at, stage, revision, results, health, reason="not shown yet", stages=stages)


def _state(shown: bool, *, guardrail: bool = False) -> MeasureState:
    good = MeasureState.NON_INFERIOR if guardrail else MeasureState.BETTER
    return good if shown else MeasureState.INCONCLUSIVE


def _segment(k: int, origin: str) -> tuple[MeasureResult, ...]:
    units = (1030 - 300 * k + 10, 500 - 150 * k + 5)
    cost = {"EWR": -0.9, "JFK": 0.22, "LGA": -0.7, "missing": -2.9}[origin]
    half = 0.9 + 0.5 * k
    return (
        result("cost_per_flight", MeasureState.INCONCLUSIVE, 7.61, cost, half, units, shrunk_estimate=0.6 * cost - 0.25),
        result("missed_late_rate", MeasureState.NON_INFERIOR if k < 2 else MeasureState.INCONCLUSIVE, 0.112, 0.004 + 0.004 * k,
               0.04 + 0.03 * k, units, shrunk_estimate=0.006),
        result("error_rate", MeasureState.INCONCLUSIVE, 0.0004, 0.0, 0.01, units, method="exact"),
        result("latency_p95", MeasureState.INCONCLUSIVE, None, None, None, units),
    )  # fmt: skip
