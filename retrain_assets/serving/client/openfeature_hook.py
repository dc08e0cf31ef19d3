"""A hook for OpenFeature clients: sends unit ids as every implementation hashes them alike, and logs the exposures."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from openfeature.evaluation_context import EvaluationContext  # noqa: TID253 (this file is only about OpenFeature, and its extra)
from openfeature.flag_evaluation import FlagEvaluationDetails, FlagType, FlagValueType  # noqa: TID253
from openfeature.hook import Hook, HookContext, HookHints  # noqa: TID253

from retrain_assets.contract import RetrainError
from retrain_assets.routing import Reason, routing_key
from retrain_assets.serving.client.exposures import Exposure, Exposures, RoutedUnit, Scoring
from retrain_assets.serving.client.flag_metadata import assignment_of

MILLISECONDS = 1000

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class _Request:
    """A request in a ``scoring`` block, until its flag is evaluated."""

    model: str
    scoring: Scoring = field(default_factory=Scoring)
    routed: RoutedUnit | None = None
    begun: float = 0.0


_REQUEST: ContextVar[_Request | None] = ContextVar("retrain_assets_request", default=None)


class ExposureHook(Hook):
    """Logs which arm each evaluated unit got; with the flagd provider of any kind, and with OFREP of a gateway.

    The flag key is the model, its value the arm, read as text. The targeting key is the unit's plain id, whatever its characters:
    before the evaluation it is put into the ASCII form all implementations hash alike, and logged as it was.

    In a ``scoring`` block the exposure is logged at its end, with score and latency. Elsewhere it is logged with the evaluation,
    by the request id in the context, without score and with latency 0: then no guardrail can rest on score, error or latency.
    What cannot be logged there does not change the evaluation; it is counted in ``lost`` and told as a warning.

    Args:
        exposures: where exposures go: a ``GatewayClient`` or a ``LocalRouter``.
        request_id: attribute of the evaluation context that identifies the request outside of ``scoring`` blocks.
        now: what time it is.
    """

    def __init__(
        self, exposures: Exposures, *, request_id: str = "request_id", now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.exposures = exposures
        self.lost = 0
        self._request_id = request_id
        self._now = now
        self._lock = threading.Lock()

    @contextmanager
    def scoring(self, model: str, *, request_id: str) -> Iterator[Scoring]:
        """Evaluate the model's flag and score in the block; at its end the exposure is logged, timed from the evaluation on.

        An exception of the block counts as the model's error, is logged as such, and goes on its way. Where the evaluation failed
        and its default was used, there is no exposure.

        Raises:
            RetrainError: where the exposure cannot be logged.
        """
        request = _Request(model)
        token = _REQUEST.set(request)
        try:
            yield request.scoring
        except BaseException as fault:
            request.scoring = Scoring(error=True)
            if request.routed is not None:
                try:
                    self._finish(request, request_id)
                except RetrainError as lost:
                    fault.add_note(f"its exposure could not be logged: {lost.line}")
            raise
        else:
            if request.routed is not None:
                self._finish(request, request_id)
        finally:
            _REQUEST.reset(token)

    def before(self, hook_context: HookContext, hints: HookHints) -> EvaluationContext | None:
        """The unit's id in the form that is hashed."""
        unit = hook_context.evaluation_context.targeting_key
        return None if not unit or unit.isascii() else EvaluationContext(routing_key(unit))

    def finally_after(self, hook_context: HookContext, details: FlagEvaluationDetails[FlagValueType], hints: HookHints) -> None:
        """Log the exposure, or keep it for the end of the block; an evaluation that failed is nobody's exposure."""
        if details.error_code is not None:
            return
        try:
            routed = self._routed(hook_context, details)
            if routed.reason is Reason.NO_CHAMPION:
                return
            request = _REQUEST.get()
            if request is not None and request.model == routed.model:
                request.routed, request.begun = routed, time.perf_counter()
            else:
                self.exposures.record([Exposure(routed, self._identified(hook_context), latency_ms=0.0)])
        except RetrainError as error:
            with self._lock:
                self.lost += 1
            _LOG.warning("an exposure of %s is not logged: %s", hook_context.flag_key, error.line)

    def supports_flag_value_type(self, flag_type: FlagType) -> bool:
        """Toggles are read as text."""
        return flag_type is FlagType.STRING

    def _routed(self, hook_context: HookContext, details: FlagEvaluationDetails[FlagValueType]) -> RoutedUnit:
        context, now, model = hook_context.evaluation_context, self._now(), hook_context.flag_key
        unit, attributes = context.targeting_key or None, dict(context.attributes)
        found = assignment_of(model, details.flag_metadata, str(details.value), unit, attributes, now)
        return RoutedUnit(model, unit, found, self._known(attributes), now)

    def _known(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """What an exposure can hold of the context."""
        return {name: value for name, value in attributes.items() if name != self._request_id and _is_attribute(value)}

    def _identified(self, hook_context: HookContext) -> str:
        found = hook_context.evaluation_context.attributes.get(self._request_id)
        if not isinstance(found, str) or not found:
            raise RetrainError(
                f"the evaluation context has no {self._request_id}",
                remedy="add it as text, so that outcomes can be joined, or evaluate in a scoring block",
            )
        return found

    def _finish(self, request: _Request, request_id: str) -> None:
        assert request.routed is not None
        told, latency_ms = request.scoring, (time.perf_counter() - request.begun) * MILLISECONDS
        self.exposures.record([Exposure(request.routed, request_id, latency_ms, told.score, told.decision, told.error)])


def _is_attribute(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(one, str) for one in value)
    return isinstance(value, str | int | float | bool)
