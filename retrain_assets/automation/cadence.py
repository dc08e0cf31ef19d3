"""May the system launch a retrain now? Minimum interval, change freezes and retrains under way, in words."""

from datetime import datetime

from retrain_assets.contract import Cadence, format_duration
from retrain_assets.release import ModelState


def held_back(cadence: Cadence, state: ModelState, now: datetime) -> str | None:
    """Why the cadence holds a retrain back now; None when it may start.

    A person may launch a retrain at any time; this rule binds schedules and sensors.
    """
    if (freeze := cadence.freeze_at(now)) is not None:
        return f"change freeze {freeze.start} to {freeze.end}: {freeze.reason}"
    if (toggle := state.active_toggle) is not None:
        return f"toggle {toggle.name} is {toggle.state.value}; one challenger at a time"
    open_retrains = sorted(key for key, retrain in state.retrains.items() if retrain.ended is None)
    if open_retrains:
        return f"retrain {open_retrains[-1]} has not ended"
    launched = [retrain.launched_at for retrain in state.retrains.values() if retrain.launched_by.startswith("system:")]
    if launched and now - max(launched) < cadence.min_interval:
        wait = format_duration(cadence.min_interval)
        return f"the system launched a retrain on {max(launched):%Y-%m-%d}, less than min_interval {wait} ago"
    return None
