"""The rows of one request on their way: routed by one rule, scored by arm, written as exposures, given as predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain_assets.bundle import SignatureError
from retrain_assets.routing import Arm, Reason
from retrain_assets.serving.live.live_model import LiveModel, Seat
from retrain_assets.serving.live.scoring import Answered, Scoring
from retrain_assets.serving.live.values import BadRequest, NotReady, Prediction, Row


class LiveRequest:
    """The rows of one request and what has become of them; all by one state of the model.

    Args:
        live: the model as it is served when the request arrives.
        rows: its rows.
        now: when that is.

    Raises:
        NotReady: when the champion is not loaded.
        BadRequest: when the rows are not as the contract and the champion's signature say.
    """

    def __init__(self, live: LiveModel, rows: Sequence[Row], now: datetime) -> None:
        self.live = live
        self.rows = rows
        self.now = now
        self.champion = _champion(live)
        self.matrix = _checked(live, rows, self.champion)
        self.attributes = [live.attributes.read(row.attributes, row.features) for row in rows]
        self.routed = [
            live.assign(row.unit or None, attributes, now) for row, attributes in zip(rows, self.attributes, strict=True)
        ]
        self.answers: list[Answered | None] = [None] * len(rows)
        self.errors = [False] * len(rows)
        self.latency_ms = [0.0] * len(rows)
        self.seconds: dict[Arm, float] = {}
        self.is_late = False
        self._begun: list[Scoring] = []

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.live.rule.model

    @property
    def unanswered(self) -> list[int]:
        """Places of the rows that nobody has answered."""
        return [place for place, answer in enumerate(self.answers) if answer is None]

    def places(self, arm: Arm) -> list[int]:
        """Places of the rows whose unit is in an arm."""
        return [place for place, one in enumerate(self.routed) if one.arm == arm]

    async def score(self) -> None:
        """Have both arms score their rows, and then the champion those the challenger has no answer for."""
        serving = self.live.terms.serving
        inside, outside = self.places("challenger"), self.places("champion")
        try:
            challenger = self._begin("challenger", inside, serving.challenger_timeout.total_seconds())
            champion = self._begin("champion", outside, serving.champion_timeout.total_seconds())
            if inside:
                await self._take("challenger", challenger, inside)
                if failed := [place for place in inside if self.answers[place] is None]:
                    await self.score_by_champion(failed)
            if outside:
                await self._take("champion", champion, outside)
        finally:
            for one in self._begun:
                one.give_up()

    async def score_by_champion(self, places: Sequence[int]) -> None:
        """Have the champion score rows of the challenger's units."""
        scoring = self._begin("champion", places, self.live.terms.serving.champion_timeout.total_seconds())
        assert scoring is not None  # a request without a champion is refused at once
        try:
            scored = await scoring.scored()
        finally:
            scoring.give_up()
        self.is_late |= scored.is_late
        for place, answer in zip(places, scored.answers, strict=True):
            self.answers[place] = answer
            self.latency_ms[place] += scored.seconds * 1000 / len(places)

    def exposures(self) -> list[dict[str, Any]]:
        """One exposure per row, as the journal takes it."""
        return [
            {
                "request_id": row.request_id,
                "model": self.model,
                "unit_id": row.unit or None,
                "toggle": routed.toggle,
                "revision": routed.revision,
                "stage": routed.stage,
                "arm": routed.arm,
                "version": routed.version,
                "bundle": routed.bundle,
                "exposed_at": self.now,
                "latency_ms": latency_ms,
                "error": error,
                "score": answer.logged if answer else None,
                "shadow_score": None,
                "decision": answer.decision if answer else None,
                **self.live.attributes.logged(attributes),
            }
            for row, routed, attributes, answer, error, latency_ms in zip(
                self.rows, self.routed, self.attributes, self.answers, self.errors, self.latency_ms, strict=True
            )
        ]

    def predictions(self, outside: Reason | None = None) -> list[Prediction]:
        """One prediction per row; every row has been answered.

        Args:
            outside: where nothing could be logged, the reason that nobody is in the experiment.
        """
        found = []
        for row, routed, answer, error in zip(self.rows, self.routed, self.answers, self.errors, strict=True):
            assert answer is not None  # rows nobody answered end the request
            if outside is None:
                part = (routed.arm, routed.version, routed.revision, routed.stage, routed.reason, error)
            else:
                part = ("champion", self.champion_version, 0, None, outside, False)
            found.append(Prediction(row.request_id, row.unit, answer.score, answer.decision, *part))
        return found

    @property
    def champion_version(self) -> str:
        """Registry version of the champion."""
        return self.live.rule.champion.version if self.live.rule.champion else ""

    def rows_of(self, reason: Reason) -> list[Row]:
        """Rows that were routed for a reason."""
        return [row for row, routed in zip(self.rows, self.routed, strict=True) if routed.reason is reason]

    def _begin(self, arm: Arm, places: Sequence[int], seconds: float) -> Scoring | None:
        seat = self.live.seats.get(arm)
        if seat is None or not places:
            return None
        everything = len(places) == len(self.rows)
        if arm == "champion":
            batch: Any = self.matrix if everything else self.matrix[list(places)]
        else:
            batch = [self.rows[place].features for place in places]
        scoring = Scoring(seat, f"{arm} of {self.model}", batch, self.live.features, seconds)
        self._begun.append(scoring)
        return scoring

    async def _take(self, arm: Arm, scoring: Scoring | None, places: Sequence[int]) -> None:
        """The arm's own answers; what it does not answer counts against it."""
        if scoring is None:
            for place in places:
                self.errors[place] = True
            return
        scored = await scoring.scored()
        self.seconds[arm] = scored.seconds
        self.is_late |= scored.is_late and arm == "champion"
        for place, answer in zip(places, scored.answers, strict=True):
            self.answers[place] = answer
            self.errors[place] = answer is None
            self.latency_ms[place] += scored.seconds * 1000 / len(places)


def _champion(live: LiveModel) -> Seat:
    if (seat := live.seats.get("champion")) is not None:
        return seat
    if live.rule.champion is None and not live.unavailable:
        raise NotReady("there is no champion yet", where=live.rule.model, remedy="bootstrap one")
    why = live.unavailable.get("champion", "is not loaded")
    raise NotReady(f"the champion cannot answer: {why}", where=live.rule.model, remedy="repeat the request later")


def _checked(live: LiveModel, rows: Sequence[Row], champion: Seat) -> npt.NDArray[np.float64]:
    """The champion's matrix of the rows."""
    most = live.terms.serving.max_rows
    if not 0 < len(rows) <= most:
        raise BadRequest(f"{len(rows)} rows in one request", where=live.rule.model, remedy=f"send 1 to {most}")
    if len(rows) > 1 and len({row.request_id for row in rows}) < len(rows):
        first = next(place for place, row in enumerate(rows) if row.request_id in {one.request_id for one in rows[:place]})
        what = f"{rows[first].request_id!r} stands there twice"
        raise BadRequest(what, where=f"row {first}, request_id", remedy="give each row its own, or none")
    features: list[Mapping[str, Any]] = [row.features for row in rows]
    try:
        return champion.bundle.rows.matrix(features, live.features)
    except SignatureError as error:
        raise BadRequest(error.what, where=error.where, remedy=error.remedy) from error
