"""The base of every part of a contract: unknown fields and numbers that are not finite are refused, values do not change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator

RECORDED = {"recorded": True}
"""Validation context of a contract on record: what was armed by the rules of its day stays readable by those of today."""

Checked = TypeVar("Checked", bound="Part")


class Part(BaseModel):
    """A frozen section of the release contract."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)


def rule(check: Callable[[Checked], Checked]) -> Any:
    """A rule across the fields of a part, for contracts as they are written; those on record are read without it."""

    def checked(part: Checked, info: ValidationInfo) -> Checked:
        return part if info.context and info.context.get("recorded") else check(part)

    return model_validator(mode="after")(checked)
