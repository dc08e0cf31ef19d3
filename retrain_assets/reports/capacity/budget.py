"""Is the next training expected to stay within what gate training allows? Asked before anything is submitted."""

from __future__ import annotations

from retrain_assets.contract import Contract, StageError
from retrain_assets.reports.capacity.forecast import Forecast, duration


def over_budget(found: Forecast, contract: Contract) -> StageError | None:
    """The refusal of a retrain whose fit is expected to take more time or money than ``gates.training`` allows.

    None where it is expected to stay within, and where too few retrains were measured to expect anything.
    """
    training = next(stage for stage in found.stages if stage.stage == "training")
    limits, fit = contract.gates.training, training.fit_s
    if fit is None:
        return None
    rest = f"from {len(training.runs)} retrains, {found.rows.expected:,.0f} rows" if found.rows else ""
    where = f"{found.model}: gates.training"
    most = limits.max_duration.total_seconds()
    if fit.expected > most:
        return StageError(
            f"the fit is expected to take {duration(fit.expected)} ({duration(fit.low)} to {duration(fit.high)}, {rest}); "
            f"max_duration allows {duration(most)}; nothing was submitted",
            where=where,
            remedy="raise max_duration, take a larger cluster, or shorten window.train",
        )
    if limits.max_cost is not None and limits.cost_per_hour is not None:
        cost = fit.times(limits.cost_per_hour / 3600)
        if cost.expected > limits.max_cost:
            return StageError(
                f"the fit is expected to cost {cost.expected:,.2f} ({cost.low:,.2f} to {cost.high:,.2f}, {rest}); "
                f"max_cost allows {limits.max_cost:,.2f}; nothing was submitted",
                where=where,
                remedy="raise max_cost, take a cheaper cluster, or shorten window.train",
            )
    return None
