"""All that docs/faults.md is made of: clean months, and every fault in one of them, under both contracts."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from retrain_assets.contract import Verdict
from retrain_assets.replay.flights import flights_of_2013
from retrain_assets_tests.faults.candidate_faults import OVER_PREDICTS
from retrain_assets_tests.faults.contracts import monthly, shipped
from retrain_assets_tests.faults.fault import Fault
from retrain_assets_tests.faults.road import Retrain, months, run_fault
from retrain_assets_tests.faults.series import Series, run_series
from retrain_assets_tests.faults.table import FAULTS


@dataclass(frozen=True, slots=True)
class Month:
    """What one clean retrain gave."""

    cutoff: datetime
    rows: Mapping[str, int]
    verdicts: tuple[Verdict, ...]
    bias: float
    auc: tuple[float, float | None]
    """The candidate's and the champion's, on the hold-out."""
    over_prediction_stopped_by: tuple[str, ...] | None
    """Checks that stop this month's candidate when ten points are added to its scores; None in a first month."""


@dataclass(frozen=True, slots=True)
class Found:
    """What became of one fault: what stopped it, the first message, and the message of the first check that is about it."""

    stopped_by: tuple[str, ...]
    message: str

    def caught(self, fault: Fault) -> bool:
        """Whether a check that is about the fault stopped it."""
        return bool(set(self.stopped_by) & set(fault.caught_by))


@dataclass(frozen=True, slots=True)
class Run:
    """One contract: its clean months and what became of each fault, by its name, in one of them."""

    months: tuple[Month, ...]
    fault_month: datetime
    found: Mapping[str, Found]
    seconds: float


SHORT = (monthly, months((2013, 2), (2014, 1)), datetime.fromisoformat("2013-10-01T00:00:00+00:00"))
LONG = (shipped, months((2013, 5), (2014, 1)), datetime.fromisoformat("2013-08-01T00:00:00+00:00"))
Plan = tuple[Callable[[str], dict[str, Any]], list[datetime], datetime]


def run_both() -> tuple[Run, Run]:
    """The monthly contract's run and the shipped contract's, each in a process of its own."""
    with ProcessPoolExecutor(2) as pool:
        short, long = pool.map(run_one, (SHORT, LONG))
    return short, long


def run_one(plan: Plan) -> Run:
    """Clean months, then every fault in one of them."""
    contract_of, cutoffs, fault_month = plan
    warnings.simplefilter("ignore")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults") as name:
        folder = Path(name)
        series = run_series(flights_of_2013(), contract_of("set by each retrain"), cutoffs, folder / "clean")
        clean = tuple(_month(series, number, folder) for number in range(len(cutoffs)))
        setting = series.setting(fault_month)
        found = {fault.name: found_of(fault, run_fault(fault, setting, folder / fault.name)) for fault in FAULTS}
    return Run(clean, fault_month, found, time.monotonic() - started)


def found_of(fault: Fault, retrain: Retrain) -> Found:
    """What stopped a fault, with the message of a check that is about it where there is one."""
    about = [verdict.message for verdict in retrain.verdicts if not verdict.passed and verdict.check in fault.caught_by]
    return Found(tuple(retrain.stopped_by), about[0] if about else retrain.message)


def _month(series: Series, number: int, folder: Path) -> Month:
    retrain = series.retrains[number]
    stopped = None
    if number:
        setting = series.setting(retrain.cutoff)
        stopped = tuple(run_fault(OVER_PREDICTS, setting, folder / "over" / str(number)).stopped_by)
    rows = retrain.results["dataset"].metadata["rows"]
    evaluation = retrain.results["evaluation"].metadata["evaluation"]
    auc = next((one["candidate"], one["champion"]) for one in evaluation["metrics"] if one["metric"] == "roc_auc")
    return Month(
        cutoff=retrain.cutoff,
        rows=rows,
        verdicts=tuple(retrain.verdicts),
        bias=evaluation["calibration"]["bias"],
        auc=auc,
        over_prediction_stopped_by=stopped,
    )
