"""What the next retrain will take: a forecast of rows, time and cost per stage from those before it."""

from retrain_assets.reports.capacity.budget import over_budget
from retrain_assets.reports.capacity.forecast import NEEDED, Forecast, StageForecast, duration, forecast, next_cutoff, stage_rows
from retrain_assets.reports.capacity.history import Measured, StageRun, measured
from retrain_assets.reports.capacity.trend import Estimate

__all__ = [
    "NEEDED",
    "Estimate",
    "Forecast",
    "Measured",
    "StageForecast",
    "StageRun",
    "duration",
    "forecast",
    "measured",
    "next_cutoff",
    "over_budget",
    "stage_rows",
]
