"""The interval of every measure over the looks of one canary, as rows to plot."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from retrain_assets.experiment.look import Look


def interval_series(looks: Iterable[Look]) -> list[dict[str, Any]]:
    """One flat dict per look and measure, ordered by time, then by the plan's order of measures.

    Keys: ``at`` (datetime, UTC), ``stage``, ``revision``, ``action``, ``measure``, ``role``, ``direction``, ``state``,
    ``champion_mean``, ``challenger_mean``, ``estimate``, ``lower``, ``upper`` (unit of the measure), ``relative_estimate``,
    ``relative_lower``, ``relative_upper``, ``n_champion``, ``n_challenger``, ``valid`` (all health checks held), ``method``,
    ``planned`` (number of the planned look this is, else None), ``planned_limit``, ``planned_relative``, ``variance_saved``.
    Numbers that are not defined at a look are None, so that a plot shows a gap and not a zero.
    """
    return [
        {
            "at": look.at,
            "stage": look.stage,
            "revision": look.revision,
            "action": look.action.value,
            "measure": result.spec.name,
            "role": result.spec.role,
            "direction": result.spec.direction,
            "state": result.state.value,
            "champion_mean": result.champion_mean,
            "challenger_mean": result.challenger_mean,
            "estimate": result.estimate,
            "lower": result.lower,
            "upper": result.upper,
            "relative_estimate": result.relative_estimate,
            "relative_lower": result.relative_lower,
            "relative_upper": result.relative_upper,
            "n_champion": result.n_champion,
            "n_challenger": result.n_challenger,
            "valid": look.is_valid,
            "method": result.method,
            "planned": look.planned[-1].number if look.planned and look.planned[-1].at == look.at else None,
            "planned_limit": result.planned_limit,
            "planned_relative": result.planned_relative,
            "variance_saved": result.variance_saved,
        }
        for look in sorted(looks, key=lambda look: look.at)
        for result in look.results
    ]
