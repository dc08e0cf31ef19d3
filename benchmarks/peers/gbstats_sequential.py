"""GrowthBook's sequential two-sided test (gbstats): limits of the relative difference for arrays of arms, or its time a metric.

``limits IN OUT``: mean, variance and n (last axis: champion, challenger) and the tuning parameter; writes lower and upper.
``time REPEATS``: CPU seconds of one metric, from its sums to its result.
The library takes one comparison at a time; its own test is given arrays here, and a sample of them is computed one by one with
the library's own statistics, which must agree.
"""

import json
import sys
import time
from types import SimpleNamespace

import numpy as np
from gbstats.frequentist.tests import SequentialConfig, SequentialTwoSidedTTest
from gbstats.models.statistics import SampleMeanStatistic


class Means(np.ndarray):
    """Means the library may ask for their truth: it does so to see whether there is one."""

    def __bool__(self):
        return True


def limits(source, target):
    given = np.load(source)
    mean, variance, n = (given[name] for name in ("mean", "variance", "n"))
    config = SequentialConfig(
        difference_type="relative", alpha=float(given["alpha"]), sequential_tuning_parameter=float(given["tuning"])
    )
    arms = [
        SimpleNamespace(
            mean=mean[..., arm], unadjusted_mean=mean[..., arm].view(Means), variance=variance[..., arm], n=n[..., arm]
        )
        for arm in (0, 1)
    ]
    with np.errstate(all="ignore"):
        lower, upper = SequentialTwoSidedTTest(*arms, config).confidence_interval
    usable = (mean[..., 0] != 0) & (variance > 0).all(axis=-1) & np.isfinite(lower) & np.isfinite(upper)
    lower, upper = np.where(usable, lower, -np.inf), np.where(usable, upper, np.inf)
    places = np.argwhere(usable)
    for place in places[np.linspace(0, len(places) - 1, 200).astype(int)]:
        at = tuple(place)
        single = [
            SampleMeanStatistic(
                n=int(n[at][arm]),
                sum=mean[at][arm] * n[at][arm],
                sum_squares=variance[at][arm] * (n[at][arm] - 1) + n[at][arm] * mean[at][arm] ** 2,
            )
            for arm in (0, 1)
        ]
        found = SequentialTwoSidedTTest(*single, config).compute_result().ci
        assert np.allclose(found, (lower[at], upper[at]), rtol=1e-6), (at, found, lower[at], upper[at])
    np.savez(target, lower=lower, upper=upper)
    return {"checked": 200}


def timed(repeats):
    rows = [(9_000, 450.0, 9_000.0), (1_000, 55.0, 1_100.0)]
    started = time.process_time()
    for _ in range(repeats):
        arms = [SampleMeanStatistic(n=n, sum=total, sum_squares=squares) for n, total, squares in rows]
        SequentialTwoSidedTTest(*arms, SequentialConfig(difference_type="relative")).compute_result()
    return {"cpu_s": (time.process_time() - started) / repeats}


print(json.dumps(limits(*sys.argv[2:]) if sys.argv[1] == "limits" else timed(int(sys.argv[2]))))
