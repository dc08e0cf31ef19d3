"""How the gateway answers for a model: limits of a request, deadlines of the arms, what follows when the log cannot be kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from retrain_assets.contract.part import Part
from retrain_assets.contract.quantities import Period

Count = Annotated[int, Field(gt=0)]


class Serving(Part):
    """Terms of the gateway (`retrain serve`) for one model."""

    challenger_timeout: Period = Field(
        default=timedelta(seconds=0.25),
        description="Time after which the champion answers instead of the challenger; recorded as the challenger's error.",
    )
    champion_timeout: Period = Field(
        default=timedelta(seconds=5), description="Time after which a request that the champion has not answered is given up."
    )
    max_rows: Count = Field(default=1000, description="Most rows of one request.")
    shadow_queue: Count = Field(
        default=1000, description="Most rows that wait to be scored in shadow; further ones are dropped and counted."
    )
    durability: Literal["machine", "process"] = Field(
        default="machine",
        description="What an acknowledged exposure survives: machine, loss of power (synchronised to disk before the answer); "
        "process, the end of the worker.",
    )
    when_log_fails: Literal["refuse", "serve"] = Field(
        default="refuse",
        description="When exposures cannot be written (disk full): refuse requests, or serve the champion and raise the alarm; "
        "what was not logged takes no part in the experiment.",
    )
