"""Spotify's group-sequential z-test (spotify-confidence): its multiplier of the standard error at each look, or its time.

``limits IN OUT``: mean, variance and n of two runs (runs x looks x arms), the planned total; writes the multiplier at each look.
The multiplier depends on the sample sizes alone, so both runs, which have about the same, must agree to 5 %; the mean is taken.
``time REPEATS``: CPU seconds of a metric at its third look.
"""

import json
import sys
import time
import warnings

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")
from scipy.stats import norm  # noqa: E402
from spotify_confidence import ZTest  # noqa: E402


def test(mean, variance, n, total, interval_size):
    looks = len(n)
    rows = [
        {
            "arm": name,
            "look": look + 1,
            "total": mean[look, arm] * n[look, arm],
            "squares": variance[look, arm] * (n[look, arm] - 1) + n[look, arm] * mean[look, arm] ** 2,
            "n": n[look, arm],
            "final": total,
        }
        for look in range(looks)
        for arm, name in enumerate(("champion", "challenger"))
    ]
    return ZTest(
        pd.DataFrame(rows),
        numerator_column="total",
        numerator_sum_squares_column="squares",
        denominator_column="n",
        categorical_group_columns=["arm"],
        ordinal_group_column="look",
        interval_size=interval_size,
    ).difference(
        level_1="champion", level_2="challenger", groupby=["look"], absolute=True, final_expected_sample_size_column="final"
    )


def limits(source, target):
    given = np.load(source)
    alpha = float(given["alpha"])
    found = []
    for run in (0, 1):
        table = test(given["mean"][run], given["variance"][run], given["n"][run], float(given["total"]), 1 - alpha)
        table = table.sort_values("look")
        error = (table["ci_upper"] - table["difference"]) / norm.ppf(1 - alpha / 2)
        found.append(((table["adjusted ci_upper"] - table["difference"]) / error).to_numpy(dtype=float))
    assert np.allclose(found[0], found[1], rtol=5e-2), "the sample sizes of the two runs differ too much"
    np.savez(target, multiplier=np.mean(found, axis=0))
    return {"looks": len(found[0])}


def timed(repeats):
    n = np.array([[3_000.0, 3_000.0], [6_000.0, 6_000.0], [9_000.0, 9_000.0]])
    mean, variance = np.full_like(n, 0.05), np.full_like(n, 0.0475)
    test(mean, variance, n, 30_000.0, 0.95)
    started = time.process_time()
    for _ in range(repeats):
        test(mean, variance, n, 30_000.0, 0.95)
    return {"cpu_s": (time.process_time() - started) / repeats}


print(json.dumps(limits(*sys.argv[2:]) if sys.argv[1] == "limits" else timed(int(sys.argv[2]))))
