from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest

from retrain_assets.bundle.skops_file import read_skops, skops_bytes
from retrain_assets.contract import CustodyError, StageError

MATRIX = np.random.default_rng(0).normal(size=(200, 3))
LABELS = (MATRIX[:, 0] > 0).astype(int)


def estimators() -> list[Any]:
    from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB

    return [
        LogisticRegression(),
        RandomForestClassifier(4, random_state=7),
        GradientBoostingClassifier(n_estimators=4, random_state=7),
        HistGradientBoostingClassifier(max_iter=4, random_state=7),
        GaussianNB(),
    ]


@pytest.mark.parametrize("position", range(5))
def test_two_equal_fits_are_equal_bytes_and_predict_the_same_after_reading(position: int) -> None:
    first, second = estimators()[position].fit(MATRIX, LABELS), estimators()[position].fit(MATRIX.copy(), LABELS)
    data = skops_bytes(first)
    assert skops_bytes(second) == data
    assert np.array_equal(read_skops(data, "model.skops").predict_proba(MATRIX), first.predict_proba(MATRIX))


def test_another_fit_is_other_bytes() -> None:
    from sklearn.linear_model import LogisticRegression

    assert skops_bytes(LogisticRegression().fit(MATRIX, LABELS)) != skops_bytes(LogisticRegression(C=0.1).fit(MATRIX, LABELS))


class Unlisted:
    def __init__(self) -> None:
        self.rate = 0.5


def test_an_estimator_of_an_unlisted_type_is_refused() -> None:
    with pytest.raises(StageError, match=r"estimator .*Unlisted: cannot be stored without pickle: it holds .*Unlisted"):
        skops_bytes(Unlisted())


def test_an_archive_that_asks_for_a_function_is_not_loaded() -> None:
    archive = io.BytesIO()
    schema = {"__class__": "system", "__module__": "posix", "__loader__": "FunctionNode", "__id__": 1, "content": "posix.system"}
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("schema.json", json.dumps({**schema, "protocol": 2, "_skops_version": "0.16.0"}))
    with pytest.raises(CustodyError, match=r"posix\.system"):
        read_skops(archive.getvalue(), "model.skops")


def test_what_is_no_archive_is_refused() -> None:
    with pytest.raises(CustodyError, match=r"model\.skops: is not a readable skops file"):
        read_skops(b"not a zip", "model.skops")
