"""How a contract is rehearsed on the source's own history: what became of the units that were scored."""

from __future__ import annotations

from pydantic import Field

from retrain_assets.contract.part import Part
from retrain_assets.contract.quantities import PythonPath


class Rehearsal(Part):
    """What ``retrain rehearse`` needs besides the source. Live traffic never uses it."""

    outcomes: PythonPath = Field(
        description="Function from scored rows of history (source columns, score, decision) to one column per outcome measure, "
        "e.g. .schema.outcomes."
    )
