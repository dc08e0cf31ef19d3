"""Scoring with one bundle, timed, such that a failing model costs only the requests it fails on."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.contract import StageError

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]
Objects = npt.NDArray[np.object_]
Places = npt.NDArray[np.intp]

log = logging.getLogger(__name__)


class HasDecision(Protocol):
    """The part of a bundle's manifest that scoring asks for."""

    @property
    def decision(self) -> Mapping[str, Any] | None:
        """The decision rule; None where the score is the answer."""


class ScoringBundle(Protocol):
    """A loaded bundle, as far as scoring needs it."""

    @property
    def digest(self) -> str:
        """Digest of its manifest."""

    @property
    def manifest(self) -> HasDecision:
        """Its manifest."""

    def score(self, features: pl.DataFrame) -> Floats:
        """(n,) scores, or (n, classes)."""

    def decide(self, scores: Floats) -> Booleans:
        """(n,) decisions of (n,) scores."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What one bundle, or several after one another, answered for (n,) requests; the arrays are filled in place.

    Args:
        scores: NaN where there is no answer.
        decisions: booleans; None without an answer or without a decision rule.
        latency_ms: milliseconds per request: the time of the scoring calls divided by the rows they scored.
    """

    scores: Floats
    decisions: Objects
    latency_ms: Floats

    @classmethod
    def none_yet(cls, size: int) -> Answers:
        """No answer for any of ``size`` requests."""
        return cls(np.full(size, np.nan), np.full(size, None), np.zeros(size))

    @property
    def missing(self) -> Booleans:
        """Where there is no answer."""
        return np.isnan(self.scores)


def fill(answers: Answers, bundle: ScoringBundle, label: str, features: pl.DataFrame, places: Places, batch_rows: int) -> None:
    """Score the rows at ``places`` and put the answers there; the time taken adds to what these rows took before.

    Args:
        answers: filled in place.
        bundle: what scores.
        label: who that is, for the log.
        features: features of all requests.
        places: indices of the rows to score.
        batch_rows: most rows scored in one call.
    """
    for start in range(0, len(places), batch_rows):
        batch = places[start : start + batch_rows]
        begun = time.perf_counter()
        scores, decisions = _attempt(bundle, label, features[batch])
        answers.latency_ms[batch] += (time.perf_counter() - begun) * 1000 / len(batch)
        answers.scores[batch] = scores
        answers.decisions[batch] = decisions


def _attempt(bundle: ScoringBundle, label: str, features: pl.DataFrame) -> tuple[Floats, Objects]:
    """(n,) scores and decisions; a batch that fails is halved until the failing rows stand alone."""
    try:
        return _answer(bundle, label, features)
    except Exception as fault:  # noqa: BLE001 (a model may raise anything; the request is still answered and the error recorded)
        if features.height == 1:
            log.warning("%s failed on a request: %r", label, fault)
            return np.full(1, np.nan), np.full(1, None)
    half = features.height // 2
    first, second = _attempt(bundle, label, features[:half]), _attempt(bundle, label, features[half:])
    return np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])


def _answer(bundle: ScoringBundle, label: str, features: pl.DataFrame) -> tuple[Floats, Objects]:
    """Of several classes the score is the probability of the likeliest; a score that is not finite is no answer."""
    scores = np.asarray(bundle.score(features), dtype=np.float64)
    if scores.ndim == 2 and len(scores) == features.height:
        scores = scores.max(axis=1)
    if scores.shape != (features.height,):
        raise StageError(f"{features.height} rows gave scores of shape {scores.shape}", where=label)
    answered = np.isfinite(scores)
    decisions = np.full(features.height, None)
    if bundle.manifest.decision is not None and answered.any():
        decisions[answered] = bundle.decide(scores[answered])
    return np.where(answered, scores, np.nan), decisions
