"""Held-out rows with a calibrated signal, for the tests of calibration, stability and decisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from retrain_assets.contract import Contract, Verdict
from retrain_assets.gates import Backtest, evaluate, offline_gate
from retrain_assets.gates.offline.slice_members import SliceMembers

Array = np.ndarray
ContractWith = Callable[[dict[str, Any]], Contract]
BACKTESTS = (Backtest("2024-01-01", "2024-01-06", 250, 0.8), Backtest("2024-01-06", "2024-01-11", 250, 0.75))


class Holdout:
    """Rows of parcels with the chance of being late, the label drawn from it, and a region of equal size each."""

    def __init__(self, rows: int = 4000, *, seed: int = 1, regions: int = 3, spread: float = 1.5) -> None:
        self.draw = np.random.default_rng(seed)
        self.chance = expit(self.draw.normal(-0.5, spread, rows))
        self.late = (self.draw.random(rows) < self.chance).astype(float)
        self.region = np.resize(np.array([f"r{k:02}" for k in range(regions)]), rows)
        units = [f"p{number}" for number in range(rows)]
        self.frame = pl.DataFrame({"parcel": units, "late": self.late.astype(bool), "region": self.region})

    def blurred(self, noise: float, seed: int = 2) -> Array:
        return expit(logit(self.chance) + np.random.default_rng(seed).normal(0, noise, len(self.chance)))

    def members(self, min_support: int = 200) -> list[SliceMembers]:
        parts = [np.flatnonzero(self.region == name) for name in np.unique(self.region)]
        return [SliceMembers("region", f"r{k:02}", rows, len(rows) >= min_support) for k, rows in enumerate(parts)]


def judge(holdout: Holdout, contract: Contract, candidate: Array, champion: Array | None, **given: Any) -> list[Verdict]:
    given = {"seed": 7, "backtests": BACKTESTS, "latency_ms": 1.0, **given}
    return offline_gate(evaluate(holdout.frame, candidate, champion, contract=contract, **given), contract)


def logit(chance: Array) -> Array:
    return np.log(chance) - np.log1p(-chance)


def expit(value: Array) -> Array:
    return 1 / (1 + np.exp(-value))
