"""Unchanged months pass every check; a fault put into one of them is stopped by a check that is about it.

All faults whose catch needs no fit are run, and a few that do; all of them, and all twelve months, are run by
``python -m retrain_assets_tests.faults``.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from retrain_assets.contract import Gate, Outcome
from retrain_assets.replay.flights import flights_of_2013
from retrain_assets_tests.faults.contracts import monthly
from retrain_assets_tests.faults.fault import Fault, InCandidate, InEvaluation, InRows, refused
from retrain_assets_tests.faults.road import Setting, months, run_fault
from retrain_assets_tests.faults.series import Series, run_series
from retrain_assets_tests.faults.table import FAULTS

FITTED = {"outcomes_inverted_in_one_carrier", "nothing_learned", "no_seed"}
"""Faults that are stopped after a fit, of those run here."""
AFTER_A_FIT = {"beats_baseline", "refit_reproduces", "size_within_budget", "calibrated", "slices_hold", "meets_roc_auc"}
WITHOUT_A_FIT = [
    fault
    for fault in FAULTS
    if fault.caught_by
    and not fault.needs
    and (isinstance(fault.put, InCandidate | InEvaluation) or not {refused("training"), *AFTER_A_FIT} & set(fault.caught_by))
]
RUN = [*WITHOUT_A_FIT, *(fault for fault in FAULTS if fault.name in FITTED)]


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Series:
    """Three clean months under the monthly contract, the first one a bootstrap."""
    folder = tmp_path_factory.mktemp("clean")
    return run_series(flights_of_2013(), monthly("set by each retrain"), months((2013, 8), (2013, 10)), folder)


@pytest.fixture(scope="module")
def setting(series: Series) -> Setting:
    return series.setting(series.retrains[-1].cutoff)


def test_unchanged_months_pass_every_check(series: Series) -> None:
    for retrain in series.retrains:
        assert retrain.stopped_by == [], f"{retrain.cutoff:%Y-%m}: {retrain.message}"
        assert {verdict.gate for verdict in retrain.verdicts} == {Gate.DATA, Gate.TRAINING, Gate.OFFLINE}
        assert len(retrain.verdicts) >= 35


@pytest.mark.parametrize("fault", RUN, ids=lambda fault: fault.name)
def test_a_fault_is_stopped_by_a_check_that_is_about_it(fault: Fault, setting: Setting, tmp_path: Path) -> None:
    retrain = run_fault(fault, setting, tmp_path)
    assert set(retrain.stopped_by) & set(fault.caught_by), f"stopped by {retrain.stopped_by or 'nothing'}: {retrain.message}"
    assert retrain.message
    assert "\n" not in retrain.message
    assert all(verdict.outcome is not Outcome.ERROR or fault.name in ERRORS for verdict in retrain.verdicts)


ERRORS = {"scores_outside_probability", "scores_not_finite"}
"""Faults of which a check cannot tell anything but that there is nothing to tell."""


def test_rows_from_after_the_cutoff_change_nothing(setting: Setting, tmp_path: Path) -> None:
    """The source already holds the next week, outcomes and all: the data set is, byte for byte, the one without it."""
    clean = setting.clean
    later = setting.flights.filter(pl.col("scheduled_at") >= clean.cutoff).head(6000)

    def with_later(rows: pl.DataFrame, _: object) -> pl.DataFrame:
        return pl.concat([rows, later])

    fault = Fault("rows_after_the_cutoff", "The source holds the week after the cut-off.", InRows(with_later), ())
    retrain = run_fault(fault, setting, tmp_path)
    assert retrain.stopped_by == []
    assert retrain.results["dataset"].outputs["dataset"]["digest"] == clean.results["dataset"].outputs["dataset"]["digest"]
