"""Estimators that get it wrong."""

from typing import Any


class RunsOutOfMemory:
    """Raises while it is fitted."""

    def fit(self, matrix: Any, target: Any) -> "RunsOutOfMemory":
        """Never returns."""
        raise MemoryError("12 GiB asked for, 8 GiB there")
