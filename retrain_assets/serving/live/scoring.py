"""One arm's answers for rows, with the time of its own scoring calls; what fails costs only the rows it fails on."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from retrain_assets.bundle import Bundle
from retrain_assets.compute.attempt import in_parts, one_score_a_row
from retrain_assets.serving.live.live_model import Seat
from retrain_assets.serving.live.scoring_threads import Job, TooLate
from retrain_assets.serving.live.values import Scalar

Batch = Sequence[Mapping[str, Scalar]] | npt.NDArray[np.float64]


class Answered(NamedTuple):
    """A model's answer for one row: the score as it is logged, as it is given, and the decision."""

    logged: float
    score: float | list[float]
    decision: bool | None


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model made of some rows.

    Args:
        answers: one per row; None where the model failed on it.
        seconds: time of its scoring calls, or the time it was given where it did not answer in it.
        is_late: whether it did not answer in time.
    """

    answers: Sequence[Answered | None]
    seconds: float
    is_late: bool = False


class Scoring:
    """Rows being scored by one loaded bundle in its own threads.

    Args:
        seat: the bundle and its threads.
        label: who that is, for the log.
        rows: features by name, or the bundle's matrix of them.
        also_known: names that rows may have besides the bundle's features.
        seconds: time it has.
    """

    def __init__(self, seat: Seat, label: str, rows: Batch, also_known: frozenset[str], seconds: float) -> None:
        self._rows = len(rows)
        self._begun = time.perf_counter()
        self._job: Job[Scored] | None = None
        with suppress(TooLate):
            self._job = seat.threads.begin(lambda job: _score(seat.bundle, label, rows, also_known, job), seconds)

    async def scored(self) -> Scored:
        """The answers; never raises for what the model does."""
        if self._job is not None:
            with suppress(TooLate):
                return await self._job.result()
        return Scored([None] * self._rows, time.perf_counter() - self._begun, is_late=True)

    def give_up(self) -> None:
        """Nobody waits for it any more."""
        if self._job is not None:
            self._job.give_up()


def _score(bundle: Bundle, label: str, batch: Batch, also_known: frozenset[str], job: Job[Scored]) -> Scored:
    seconds = 0.0

    def answer(rows: Batch) -> list[Answered | None]:
        nonlocal seconds
        matrix = rows if isinstance(rows, np.ndarray) else bundle.rows.matrix(rows, also_known)
        begun = time.perf_counter()
        try:
            scores = bundle.score_matrix(matrix)
        finally:
            seconds += time.perf_counter() - begun
        return _answers(bundle, scores, len(rows), label)

    answers: list[Answered | None] = []
    for part in in_parts(answer, batch, label):
        if not job.is_wanted:
            break
        answers += [None] if part is None else part
    return Scored(answers, seconds)


def _answers(bundle: Bundle, scores: npt.NDArray[np.float64], rows: int, label: str) -> list[Answered | None]:
    logged = one_score_a_row(scores, rows, label)
    given: list[Any] = scores.tolist()
    decisions: list[Any] = bundle.decide(logged).tolist() if bundle.manifest.decision is not None else [None] * rows
    return [
        Answered(number, score, decision) if isfinite(number) else None
        for number, score, decision in zip(logged.tolist(), given, decisions, strict=True)
    ]
