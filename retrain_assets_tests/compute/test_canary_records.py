"""Records of a canary that cannot be read are refused with their place and what to write instead."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from retrain_assets.compute.canary.aggregation import aggregate
from retrain_assets.contract import StageError
from retrain_assets_tests.compute.test_canary_aggregation import (
    EXPOSURE_SCHEMA,
    NOW,
    OUTCOME_SCHEMA,
    SHARES,
    STARTED,
    contract,
    exposed,
)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"outcomes": pl.DataFrame({"request_id": ["a"]})}, "outcomes: column 'unit_id' is missing"),
        ({"exposures": pl.DataFrame([exposed("a", "a", "both")], schema=EXPOSURE_SCHEMA)}, "arm 'both' is unknown"),
        ({"exposures": pl.DataFrame([exposed("a", "a", revision=None)], schema=EXPOSURE_SCHEMA)}, "no time or revision"),
        (
            {
                "exposures": pl.DataFrame([exposed("a", "a")], schema=EXPOSURE_SCHEMA).with_columns(
                    pl.col("exposed_at").cast(pl.String)
                )
            },
            "exposed_at is String",
        ),
        ({"shares": {}}, "has no share"),
        ({"now": NOW.replace(tzinfo=None)}, "no time zone"),
    ],
)
def test_records_that_cannot_be_read_are_refused(changes: dict[str, Any], words: str) -> None:
    arguments: dict[str, Any] = {
        "exposures": pl.DataFrame([exposed("a", "a")], schema=EXPOSURE_SCHEMA),
        "outcomes": pl.DataFrame([], schema=OUTCOME_SCHEMA),
        "contract": contract(),
        "toggle": "t",
        "stage_started": STARTED,
        "shares": SHARES,
        "now": NOW,
        **changes,
    }
    with pytest.raises(StageError, match=words):
        aggregate(arguments.pop("exposures"), arguments.pop("outcomes"), **arguments)
