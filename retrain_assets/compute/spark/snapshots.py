"""Feature snapshots as stages on Spark take them: facts first, rows where they are needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retrain_assets.compute.frames import read_about
from retrain_assets.compute.parts import StoredTable
from retrain_assets.compute.request import StageRequest
from retrain_assets.contract import StageError


@dataclass(frozen=True, slots=True)
class FeatureSnapshot:
    """The output of the features stage, not read yet."""

    about: Mapping[str, Any]
    train: StoredTable
    holdout: StoredTable

    @classmethod
    def of(cls, request: StageRequest) -> FeatureSnapshot:
        """The input ``features`` of a request.

        Raises:
            StageError: when it is missing, unreadable or no feature snapshot.
        """
        folder = request.input("features")
        about = read_about(folder)
        if "feature_names" not in about:
            raise StageError(
                "is no feature snapshot", where=request.inputs["features"], remedy="pass the output of the features stage"
            )
        return cls(about, StoredTable.at(folder / "train.parquet"), StoredTable.at(folder / "holdout.parquet"))
