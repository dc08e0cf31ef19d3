"""Answers rows: routes, scores by arm, logs every exposure durably, and only then gives the answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from retrain_assets.contract import RetrainError
from retrain_assets.routing import Arm, Reason
from retrain_assets.serving.journal import TrafficJournal
from retrain_assets.serving.live.live_model import LiveModel
from retrain_assets.serving.live.meter import NO_METER, Meter
from retrain_assets.serving.live.models import LiveModels
from retrain_assets.serving.live.reported import exposure_rows, outcome_rows
from retrain_assets.serving.live.request import LiveRequest
from retrain_assets.serving.live.shadow import ShadowQueue
from retrain_assets.serving.live.terms import NO_TERMS
from retrain_assets.serving.live.values import (
    BadRequest,
    LogUnavailable,
    ModelFailed,
    ModelLate,
    NotReady,
    Prediction,
    Row,
    UnknownModel,
)

REFUSALS: Sequence[tuple[type[RetrainError], str]] = (
    (UnknownModel, "unknown_model"),
    (BadRequest, "bad_request"),
    (NotReady, "not_ready"),
    (LogUnavailable, "log_unavailable"),
    (ModelLate, "model_late"),
    (ModelFailed, "model_failed"),
)
"""What a meter is told a request was refused for."""

ARMS: tuple[Arm, ...] = ("champion", "challenger")

_LOG = logging.getLogger(__name__)


class Answering:
    """Answers requests of every model and records what happened. One per event loop.

    Args:
        models: the models as they are served.
        journal: where traffic goes.
        meter: what counts.
    """

    def __init__(self, models: LiveModels, journal: TrafficJournal, meter: Meter = NO_METER) -> None:
        self.models = models
        self._journal = journal
        self._meter = meter
        self._shadows: dict[str, ShadowQueue] = {}
        self._unlogged: dict[str, str] = {}
        models.tell(meter.flipped)

    async def predict(self, model: str, rows: Sequence[Row]) -> list[Prediction]:
        """One prediction per row, in their order; every exposure is logged before this returns.

        All rows of a call are routed by the same rule. Where the challenger fails, is late or is not loaded, the champion answers
        and the prediction's ``error`` is true.

        Args:
            model: the model.
            rows: at least one, at most the contract's ``serving.max_rows``; request ids all different.

        Raises:
            UnknownModel: when there is no such model.
            NotReady: when its champion is not loaded.
            BadRequest: naming row and feature, when a row is not as the champion's signature says.
            ModelFailed: when the champion failed on a row; :class:`ModelLate` when it took too long.
            LogUnavailable: when exposures cannot be written and the contract says to refuse then.
        """
        with self._counted(model):
            request = LiveRequest(self.models.current(model), rows, self.models.clock.now())
            await request.score()
            self._count(request)
            if request.unanswered:
                await self._fail(request)
            serving = request.live.terms.serving
            try:
                await self._journal.append(model, "exposures", request.exposures(), durability=serving.durability)
            except LogUnavailable as error:
                if serving.when_log_fails == "refuse":
                    raise
                return await self._unlogged_answer(request, error)
            self._unlogged.pop(model, None)
            self._score_beside(request)
            return request.predictions()

    async def record_outcomes(self, model: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Record what happened to units, durably.

        Args:
            model: the model.
            rows: ``request_id``, ``unit_id``, ``observed_at`` (aware; now by default) and ``measures``: by name a finite
                number, a boolean or None, all of them outcomes of the contract.

        Raises:
            UnknownModel: when there is no such model.
            NotReady: when its contract is not known yet.
            BadRequest: naming row and field.
            LogUnavailable: when they cannot be written.
        """
        with self._counted(model):
            live = self._with_terms(model)
            found = outcome_rows(rows, live.terms, self.models.clock.now())
            await self._journal.append(model, "outcomes", found, durability=live.terms.serving.durability)

    async def record_exposures(self, model: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Record, durably, what a service that serves its own models answered.

        Args:
            model: the model.
            rows: ``request_id``, ``arm``, ``version``, ``bundle`` and, where the toggle said them, ``toggle``, ``revision`` and
                ``stage``; also ``unit_id``, ``attributes``, ``exposed_at`` (aware; now by default), ``latency_ms`` (0 by
                default), ``error`` (false by default), ``score``, ``decision``.

        Raises:
            UnknownModel: when there is no such model.
            NotReady: when its contract is not known yet.
            BadRequest: naming row and field, also for an arm, version or revision that the ledger does not know.
            LogUnavailable: when they cannot be written.
        """
        with self._counted(model):
            live = self._with_terms(model)
            found = exposure_rows(rows, live, self.models.vouched(model), self.models.clock.now())
            await self._journal.append(model, "exposures", found, durability=live.terms.serving.durability)

    def warnings(self) -> list[str]:
        """What should be looked at, in words: models that are served although their exposures cannot be written."""
        return [f"{model}: {why}" for model, why in sorted(self._unlogged.items())]

    def shadow_waiting(self, model: str) -> int:
        """Rows of a model that wait to be scored beside their answer."""
        queue = self._shadows.get(model)
        return queue.waiting if queue else 0

    async def close(self) -> None:
        """Score what waits to be scored beside its answer."""
        await asyncio.gather(*(queue.close() for queue in self._shadows.values()))

    @contextmanager
    def _counted(self, model: str) -> Iterator[None]:
        try:
            yield
        except RetrainError as error:
            self._meter.refused(model, next((why for kind, why in REFUSALS if isinstance(error, kind)), "failed"))
            raise

    def _with_terms(self, model: str) -> LiveModel:
        live = self.models.current(model)
        if live.terms is NO_TERMS:
            raise NotReady("its contract is not known yet", where=model, remedy="repeat the request soon")
        return live

    def _count(self, request: LiveRequest) -> None:
        for arm in ARMS:
            if places := request.places(arm):
                errors = sum(request.errors[place] for place in places)
                self._meter.answered(request.model, arm, len(places), errors, request.seconds.get(arm, 0.0))

    async def _fail(self, request: LiveRequest) -> NoReturn:
        """The rows nobody could answer are logged, so that the failure counts; the others were not answered either."""
        failed, serving = request.unanswered, request.live.terms.serving
        exposures = request.exposures()
        try:
            lost = [exposures[place] for place in failed]
            await self._journal.append(request.model, "exposures", lost, durability=serving.durability)
        except LogUnavailable as error:
            _LOG.warning("failed requests of %s are not logged: %s", request.model, error.line)
        where = f"{request.model}, row {failed[0]}"
        if request.is_late:
            limit = serving.champion_timeout.total_seconds()
            raise ModelLate(f"the champion did not answer within {limit:g} s", where=where, remedy="repeat the request later")
        raise ModelFailed("the champion gave no score", where=where, remedy="the gateway's log has the model's own error")

    async def _unlogged_answer(self, request: LiveRequest, error: LogUnavailable) -> list[Prediction]:
        """The champion's answer for everybody; nothing of it belongs to the experiment."""
        model, now = request.model, "exposures cannot be written, the champion answers everybody"
        if model not in self._unlogged:
            _LOG.error("%s: %s: %s", model, now, error.line)
        self._unlogged[model] = f"{now}: {error.line}"
        self._meter.refused(model, "not_logged")
        if inside := [place for place in request.places("challenger") if not request.errors[place]]:
            await request.score_by_champion(inside)
        if request.unanswered:
            raise ModelFailed("the champion gave no score", where=model, remedy="the gateway's log has the model's own error")
        return request.predictions(outside=Reason.NOT_LOGGED)

    def _score_beside(self, request: LiveRequest) -> None:
        live = request.live
        if shadowed := request.rows_of(Reason.SHADOW):
            self._queue(request.model).offer(live, "challenger", shadowed)
        if live.terms.champion_scores_all and (inside := request.places("challenger")):
            self._queue(request.model).offer(live, "champion", [request.rows[one] for one in inside if not request.errors[one]])

    def _queue(self, model: str) -> ShadowQueue:
        if model not in self._shadows:
            self._shadows[model] = ShadowQueue(model, self._journal, self._meter)
        return self._shadows[model]
