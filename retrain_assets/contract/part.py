"""The base of every part of a contract: unknown fields are refused, values do not change after loading."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A frozen section of the release contract."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
