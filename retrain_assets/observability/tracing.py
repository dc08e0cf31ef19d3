"""OpenTelemetry traces, one for each retrain; nothing is imported and nothing spent where nobody collects them.

The trace id follows from environment, model and retrain, so what a sensor, a run, a job and the controller do for one retrain
meets in one trace without anything being handed on. A span that is about no retrain has a trace of its own.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from retrain_assets.observability.context import bound, current_ids, trace_id_of

_LOG = logging.getLogger(__name__)
_wanted: ContextVar[str] = ContextVar("retrain_trace", default="")

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def is_traced() -> bool:
    """Whether somebody collects traces."""
    return any(os.environ.get(name) for name in ENDPOINTS) and os.environ.get("OTEL_SDK_DISABLED", "").lower() != "true"


@contextmanager
def span(
    name: str,
    *,
    model: str | None = None,
    retrain: str | None = None,
    toggle: str | None = None,
    run_id: str | None = None,
    carrier: Mapping[str, str] | None = None,
    of: str | None = None,
    **attributes: str | int | float | bool,
) -> Iterator[None]:
    """What happens inside is one step; its ids are bound for the log as well, traced or not.

    Args:
        name: of the step.
        model: what it is about.
        retrain: with ``model``: the step belongs to the trace of this retrain.
        toggle: what it is about.
        run_id: the orchestrator's run.
        carrier: headers of a caller, whose trace goes on.
        of: a retrain that the step only refers to: its trace is linked.
        attributes: further facts; no ids of units.
    """
    with bound(model=model, retrain=retrain, toggle=toggle, run_id=run_id):
        tracer = _tracer(os.getpid()) if is_traced() else None
        if tracer is None:
            yield
            return
        with _started(tracer, name, attributes, carrier, trace_id_of(model, of) if model and of else ""):
            yield


def happened(name: str, seconds: float, **attributes: str | int | float | bool) -> None:
    """A step that is over, about what is bound now; for one whose retrain is known only at its end.

    Args:
        name: of the step.
        seconds: how long it took.
        attributes: further facts.
    """
    tracer = _tracer(os.getpid()) if is_traced() else None
    if tracer is None:
        return
    ended = time.time_ns()
    with _root_of(current_ids()["trace_id"]) as context:
        one = tracer.start_span(name, context=context, attributes=_facts(attributes), start_time=ended - int(seconds * 1e9))
        one.end(end_time=ended)


@contextmanager
def _started(
    tracer: Any, name: str, attributes: Mapping[str, Any], carrier: Mapping[str, str] | None, linked: str
) -> Iterator[None]:
    from opentelemetry.propagate import extract
    from opentelemetry.trace import Link, SpanContext, TraceFlags

    links = (
        [Link(SpanContext(int(linked, 16), int(linked[16:], 16), is_remote=True, trace_flags=TraceFlags(1)))] if linked else []
    )
    with _root_of(current_ids()["trace_id"]) as context:
        inside = extract(carrier) if carrier else context
        with tracer.start_as_current_span(name, context=inside, attributes=_facts(attributes), links=links):
            yield


@contextmanager
def _root_of(trace_id: str) -> Iterator[Any]:
    """The context a span begins in: inside the present one where that is of the same trace, else a root of its trace."""
    from opentelemetry import context, trace

    present = trace.get_current_span().get_span_context()
    if not trace_id or (present.is_valid and f"{present.trace_id:032x}" == trace_id):
        yield None
        return
    token = _wanted.set(trace_id)
    try:
        yield context.Context()
    finally:
        _wanted.reset(token)


def _facts(attributes: Mapping[str, Any]) -> dict[str, Any]:
    ids = {f"retrain.{name}": value for name, value in current_ids().items() if value and name != "trace_id"}
    return {**ids, **{f"retrain.{name}": value for name, value in attributes.items()}}


@lru_cache(maxsize=4)
def _tracer(process: int) -> Any:
    """The tracer of this process; None where the extra is not installed, told once."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
    except ImportError:
        _LOG.warning("an OTLP endpoint is set and OpenTelemetry is not installed: pip install 'retrain-assets[tracing]'")
        return None

    class OfRetrain(RandomIdGenerator):
        """A new trace has the id of the retrain that is worked on."""

        def generate_trace_id(self) -> int:
            return int(_wanted.get(), 16) if _wanted.get() else super().generate_trace_id()

    service = os.environ.get("OTEL_SERVICE_NAME") or "retrain_assets"
    provider = TracerProvider(resource=Resource.create({"service.name": service}), id_generator=OfRetrain())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider.get_tracer("retrain_assets")
