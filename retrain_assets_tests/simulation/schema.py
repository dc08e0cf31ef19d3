"""Schema of the simulated accounts."""

from typing import Annotated

import pandera.polars as pa
import polars as pl


class Accounts(pa.DataFrameModel):
    """One simulated account row."""

    account: str = pa.Field(unique=True)
    seen_at: Annotated[pl.Datetime, "us", "UTC"]
    silence: float
    tenure: float = pa.Field(ge=0)
    region: str = pa.Field(isin=["north", "south"])
    exit_interview: float = pa.Field(nullable=True)
    churned: pl.Int8 = pa.Field(nullable=True, isin=[0, 1])
