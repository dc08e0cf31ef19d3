"""Simulated live traffic: accounts that call, and what became of them, with an effect of the challenger that is planted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from retrain_assets_tests.simulation.accounts import accounts

COST, COMPLAINTS = 10.0, 0.05
"""Mean cost of an account and share of accounts that complain under the champion."""


@dataclass(frozen=True)
class Effect:
    """What the challenger does to an account: added to its cost, and to its probability to complain."""

    cost: float = 0.0
    complaint: float = 0.0


def arrivals(moment: datetime, number: int, seed: int = 5) -> pl.DataFrame:
    """Rows of accounts that call within the hour after ``moment``; every account calls once in its life."""
    drawn = accounts(days=1, per_day=number, seed=seed + int(moment.timestamp()) // 60)
    seconds = np.linspace(0, 3599, number)
    return drawn.with_columns(
        account=pl.format("{}-{}", pl.lit(f"{moment:%m%dT%H%M}"), "account"),
        seen_at=pl.Series([moment + timedelta(seconds=float(second)) for second in seconds], dtype=pl.Datetime("us", "UTC")),
        exit_interview=pl.lit(None, dtype=pl.Float64),
        churned=pl.lit(None, dtype=pl.Int8),
    )


def outcomes_of(exposures: pl.DataFrame, effect: Effect, seed: int = 5) -> pl.DataFrame:
    """One outcome for each exposure, half a day after it."""
    rng = np.random.default_rng([seed, int(exposures["exposed_at"].min().timestamp())])
    treated = (exposures["arm"] == "challenger").to_numpy()
    cost = rng.normal(COST, 2.0, exposures.height) + effect.cost * treated
    complaint = rng.random(exposures.height) < COMPLAINTS + effect.complaint * treated
    return exposures.select(
        "request_id",
        "unit_id",
        observed_at=pl.col("exposed_at") + timedelta(hours=12),
        cost=pl.Series(cost),
        complaint=pl.Series(complaint.astype(np.float64)),
    )
