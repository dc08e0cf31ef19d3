"""Group-sequential tests: how a fixed schedule of looks spends its error level (Lan and DeMets)."""

from __future__ import annotations

from enum import StrEnum


class Spending(StrEnum):
    """Names of the spending functions."""

    OBRIEN_FLEMING = "obrien_fleming"
    POCOCK = "pocock"
    LINEAR = "linear"
