"""A file of records, before anybody has read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True)
class Batch:
    """A file of records.

    Args:
        name: its name; files are only ever added.
        stamp: what changes when its content does.
        records: gives its rows; only asked for when the file is new.
    """

    name: str
    stamp: str
    records: Callable[[], pl.LazyFrame]
