"""How long what is known about a retrain is kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field, StringConstraints

from retrain_assets.contract.part import Part, rule
from retrain_assets.contract.quantities import Period


class Retention(Part):
    """How long records and traffic are kept. Events of the ledger are never deleted; they hold no personal data."""

    class_: Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)] = Field(
        default="standard",
        alias="class",
        description="Name of the retention class in your organisation, such as high_risk; shown in every record.",
    )
    records: Period = Field(
        default=timedelta(days=3650),
        description="How long evidence, bundles and packs of a retrain are kept after it ended. Article 18 of the EU AI Act asks "
        "ten years for high-risk systems.",
    )
    traffic: Period = Field(
        default=timedelta(days=400),
        description="How long exposures and outcomes, which hold unit ids, are kept. Article 19 of the EU AI Act asks six "
        "months at least.",
    )

    snapshots: Period | None = Field(
        default=None,
        description="How long the rows of a retrain's data set and features are kept after it ended, the largest files of all; "
        "null: as long as its records. Without them a retrain is reproduced only as far as its source still has the rows.",
    )

    @rule
    def _records_outlive_snapshots(self) -> Retention:
        if self.snapshots is not None and self.records < self.snapshots:
            raise ValueError("retention: snapshots are records; they cannot be kept longer than records, write a shorter time")
        return self

    @rule
    def _records_outlive_traffic(self) -> Retention:
        if self.records < self.traffic:
            raise ValueError("retention: records must not be kept shorter than traffic")
        return self


__all__ = ["Retention"]
