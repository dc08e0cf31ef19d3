"""Quantiles of requests with units as clusters: a mergeable histogram, and confidence sequences of its quantiles."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestHistogram:
    """Values of one arm's requests in logarithmic bins, with what the units as clusters need."""

    @classmethod
    def empty(cls) -> RequestHistogram:
        """The histogram of no request."""
        return cls()

    def __add__(self, other: RequestHistogram) -> RequestHistogram:
        raise NotImplementedError

    def __sub__(self, other: RequestHistogram) -> RequestHistogram:
        raise NotImplementedError
