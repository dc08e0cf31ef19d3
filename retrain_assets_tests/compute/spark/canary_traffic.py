"""Random traffic of a canary in Parquet files whose columns differ, with every fault there is a rule for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from retrain_assets.compute import StageRequest
from retrain_assets_tests.compute.test_canary_ticks import EXPOSURES, LAST, OUTCOMES, terms, traffic

FILES = 4


def write_traffic(folder: Path, seed: int, requests: int = 600) -> None:
    """``exposures`` and ``outcomes`` below a folder: rows in any order over files, of which some lack a column or its type."""
    draw = np.random.default_rng(seed)
    for kind, rows, schema in zip(("exposures", "outcomes"), traffic(draw, requests), (EXPOSURES, OUTCOMES), strict=True):
        (folder / kind).mkdir(parents=True)
        place = draw.integers(0, FILES, len(rows))
        for number in range(FILES):
            frame = pl.DataFrame([row for row, of in zip(rows, place, strict=True) if of == number], schema=schema)
            if kind == "exposures":
                frame = frame.with_columns(version=pl.lit("1"), bundle=pl.lit("sha256:b"))
                frame = frame.with_columns(pl.lit(None).alias("origin")) if number == 1 else frame
                frame = frame.drop("age") if number == 2 else frame
                frame = frame.with_columns(pl.col("exposed_at").dt.cast_time_unit("ms")) if number == 3 else frame
            frame.write_parquet(folder / kind / f"{number}.parquet")


def canary_request(folder: Path, output: Path, **changes: object) -> StageRequest:
    """What a look asks for of the traffic below a folder."""
    asked = terms()
    return StageRequest(
        "canary",
        asked.contract.model,
        "2013-07-01",
        asked.contract.to_json(),
        {kind: str(folder / kind) for kind in ("exposures", "outcomes")},
        str(output),
        {**asked.parameters, "now": LAST.isoformat(), **changes},
    )
