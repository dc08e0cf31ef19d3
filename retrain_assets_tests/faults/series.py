"""Monthly retrains on unchanged data, each compared with the one before, and the setting that faults are put into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from retrain_assets.contract import Gate, Outcome
from retrain_assets_tests.faults.road import Retrain, Setting, run_clean


@dataclass(frozen=True)
class Series:
    """Clean retrains in the order of time, each the champion of the next, all judged by one contract."""

    flights: pl.DataFrame
    contract: Mapping[str, Any]
    retrains: Sequence[Retrain]

    def setting(self, cutoff: datetime) -> Setting:
        """What faults of one month are put into; the month must not be the first."""
        at = [retrain.cutoff for retrain in self.retrains].index(cutoff)
        champion = Path(self.retrains[at - 1].output("training", "bundle"))
        return Setting(self.flights, self.contract, self.retrains[at], champion, _history(self.retrains[:at]))


def run_series(flights: pl.DataFrame, contract: Mapping[str, Any], cutoffs: Sequence[datetime], folder: Path) -> Series:
    """Retrain at each cut-off; the first one is a bootstrap."""
    done: list[Retrain] = []
    for cutoff in cutoffs:
        champion = Path(done[-1].output("training", "bundle")) if done else None
        done.append(run_clean(flights, contract, cutoff, folder / cutoff.date().isoformat(), champion, _history(done)))
    return Series(flights, contract, done)


def _history(earlier: Sequence[Retrain]) -> list[Mapping[str, Any]]:
    """What gate data is told of earlier retrains, as the asset tells it: of those that passed gate data."""
    passed = [retrain for retrain in earlier if _passed_gate_data(retrain)]
    return [retrain.results["dataset"].metadata["as_history"] for retrain in passed]


def _passed_gate_data(retrain: Retrain) -> bool:
    return all(verdict.outcome is Outcome.PASS for verdict in retrain.verdicts if verdict.gate is Gate.DATA)
