"""A recorded look is judged again from what was recorded of it, without the traffic."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from retrain_assets.contract import canonical_json
from retrain_assets.experiment import ArmStatistics, Look, MeasureStatistics, Overlap, Stratum, StratumStatistics, judge
from retrain_assets.experiment.estimation.quantiles import RequestHistogram, bin_of
from retrain_assets_tests.experiment.stories import calm, harmed, look_at
from retrain_assets_tests.experiment.test_analysis import PLAN

REVENUE = MeasureStatistics(
    ("value", "per", "score"),
    (
        StratumStatistics(
            Stratum(3, "50"),
            ArmStatistics(2, (1.5, 2.0, 0.3), (1.25, 1.5, 0.2, 2.0, 0.3, 0.05), 1, 0, 2, 1.5),
            ArmStatistics(1, (float("nan"), 1.0, 0.1), (1.0, 1.0, 0.1, 1.0, 0.1, 0.01), 0, 1, 1, 1.0),
        ),
    ),
    (Overlap((2, "champion"), (3, "challenger"), 1, (1.0, 1.0, 0.1), (2.0, 1.0, 0.2), tuple(range(9))),),
)


def recorded(look: Look) -> Look:
    return Look.from_json(json.loads(canonical_json(look.to_json())))


@pytest.mark.parametrize("data", [harmed(), calm()], ids=["harm", "calm"])
def test_every_result_follows_from_the_recorded_sums(data: Any) -> None:
    look = recorded(look_at(PLAN, data))
    assert look.results
    for result in look.results:
        assert judge(result.spec, look.statistics[result.spec.name], PLAN, alpha=PLAN.alpha) == result


def test_sums_of_ratios_covariates_overlaps_and_histograms_come_back_as_they_were() -> None:
    read = MeasureStatistics.from_json(json.loads(canonical_json(REVENUE.to_json())))
    assert read.columns == REVENUE.columns
    assert read.overlaps == REVENUE.overlaps
    assert read.strata[0].champion == REVENUE.strata[0].champion
    assert np.isnan(read.strata[0].challenger.sums[0]), "what is not finite stays so, and is never read as 0"
    requests = RequestHistogram.of([0, 0, 1], bin_of([1.0, 30.0, 2.0]))
    assert RequestHistogram.from_json(json.loads(canonical_json(requests.to_json()))) == requests
