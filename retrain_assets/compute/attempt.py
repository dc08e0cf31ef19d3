"""Scoring with one bundle, timed, such that a failing model costs only the requests it fails on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.contract import StageError

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]
Objects = npt.NDArray[np.object_]
Places = npt.NDArray[np.intp]
Answer = TypeVar("Answer")

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


def in_parts(answer: Callable[[Any], Answer], batch: Any, label: str) -> Iterator[Answer | None]:
    """The answers for consecutive parts of a batch, in order; a part that fails is halved until the failing rows stand alone.

    Args:
        answer: what is asked; may raise anything.
        batch: rows; has a length and can be sliced.
        label: who answers, for the log.

    Returns:
        One answer per part; None for a single row that failed.
    """
    try:
        whole = answer(batch)
    except Exception as fault:  # noqa: BLE001 (a model may raise anything; the request is still answered and the error recorded)
        if len(batch) == 1:
            log.warning("%s failed on a request: %r", label, fault)
            yield None
            return
    else:
        yield whole
        return
    half = len(batch) // 2
    yield from in_parts(answer, batch[:half], label)
    yield from in_parts(answer, batch[half:], label)


def one_score_a_row(scores: Floats, rows: int, label: str) -> Floats:
    """(rows,) scores as they are logged: of several classes the probability of the likeliest.

    Raises:
        StageError: when there is not one score, or one of each class, for every row.
    """
    found = np.asarray(scores, dtype=np.float64)
    if found.ndim == 2 and len(found) == rows:
        found = found.max(axis=1)
    if found.shape != (rows,):
        raise StageError(f"{rows} rows gave scores of shape {found.shape}", where=label)
    return found


def _attempt(bundle: ScoringBundle, label: str, features: pl.DataFrame) -> tuple[Floats, Objects]:
    """(n,) scores and decisions; NaN and None where the model failed."""
    failed = np.full(1, np.nan), np.full(1, None)
    parts = [part or failed for part in in_parts(lambda rows: _answer(bundle, label, rows), features, label)]
    scores, decisions = zip(*parts, strict=True)
    return np.concatenate(scores), np.concatenate(decisions)


def _answer(bundle: ScoringBundle, label: str, features: pl.DataFrame) -> tuple[Floats, Objects]:
    """A score that is not finite is no answer."""
    scores = one_score_a_row(bundle.score(features), features.height, label)
    answered = np.isfinite(scores)
    decisions = np.full(features.height, None)
    if bundle.manifest.decision is not None and answered.any():
        decisions[answered] = bundle.decide(scores[answered])
    return np.where(answered, scores, np.nan), decisions
