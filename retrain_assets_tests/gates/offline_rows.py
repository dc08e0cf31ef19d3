"""Hold-outs with the scores of two models, for the tests of gate OFFLINE."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from retrain_assets.contract import Contract, Verdict
from retrain_assets.gates import Backtest, evaluate, offline_gate

Scores = np.ndarray
BACKTESTS = (Backtest("2024-01-01", "2024-01-06", 250, 0.8), Backtest("2024-01-06", "2024-01-11", 250, 0.75))
ContractWith = Callable[[dict[str, Any]], Contract]


class Scored:
    """Held-out rows with a calibrated signal, and models that see it more or less clearly."""

    def __init__(self, rows: int = 4000, seed: int = 1) -> None:
        self.draw = np.random.default_rng(seed)
        self.chance = 1 / (1 + np.exp(-self.draw.normal(0, 1.5, rows)))
        self.late = self.draw.random(rows) < self.chance
        self.frame = pl.DataFrame(
            {
                "parcel": [f"p{number}" for number in range(rows)],
                "late": self.late,
                "region": np.resize(["north", "south", "east"], rows),
            }
        )

    def blurred(self, noise: float, seed: int = 2) -> Scores:
        logit = np.log(self.chance / (1 - self.chance))
        return 1 / (1 + np.exp(-(logit + np.random.default_rng(seed).normal(0, noise, logit.size))))


def judge(scored: Scored, contract: Contract, candidate: Scores, champion: Scores | None, **given: Any) -> list[Verdict]:
    given = {"seed": 7, "backtests": BACKTESTS, "latency_ms": 1.0, **given}
    return offline_gate(evaluate(scored.frame, candidate, champion, contract=contract, **given), contract)


def replace_frame(scored: Scored, frame: pl.DataFrame) -> Scored:
    other = Scored.__new__(Scored)
    other.__dict__.update(scored.__dict__, frame=frame)
    return other
