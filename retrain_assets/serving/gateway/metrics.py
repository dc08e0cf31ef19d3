"""What the gateway counts, for Prometheus: by model, arm and version, over all workers of the process that started them.

With ``PROMETHEUS_MULTIPROC_DIR`` set (see ``metrics_files``) any worker tells the sum; without it each tells its own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from starlette.responses import Response

from retrain_assets.home import Home
from retrain_assets.routing import Arm
from retrain_assets.serving.gateway.access import authorise_metrics
from retrain_assets.serving.gateway.metrics_files import VARIABLE, dead_workers, hold_as_worker, reserve
from retrain_assets.serving.gateway.metrics_now import StateNow
from retrain_assets.serving.gateway.schemas import Readiness
from retrain_assets.serving.gateway.written_metrics import WrittenMetrics
from retrain_assets.serving.journal import TrafficJournal
from retrain_assets.serving.journal.values import JournalState
from retrain_assets.serving.live import LiveModels
from retrain_assets.serving.live.values import UnknownModel

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds of the latency histogram in seconds: from one row of a small model to a champion's deadline."""

MOST_CHILDREN = 1000
"""Most label sets in all; further ones are counted under ``other``, so that nobody can fill the memory with names."""

OTHER = "other"

NOT_LOGGED = "not_logged"
"""Why rows are outside the experiment that were answered without being on record."""

FORMAT = {"description": "In the format asked for.", "content": {"text/plain": {"schema": {"type": "string"}}}}


router = APIRouter(tags=["metrics"])


@router.get("/metrics", summary="Prometheus metrics", response_class=Response, responses={200: FORMAT})
def metrics_response(request: Request) -> Response:
    """Counts by model, arm and version, latencies, the state of toggles and journal, over all workers.

    It needs no token, unless the gateway was started to ask for one.
    """
    authorise_metrics(request)
    meter: PrometheusMeter = request.app.state.meter
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(meter.collected(request.app.state.home)), headers={"Content-Type": content_type})


class PrometheusMeter:
    """Counts what serving tells it (the ``Meter`` of ``serving/live``); quick enough to be called for every request.

    It tells of versions, toggles and the journal once it was given them by :meth:`attach`; :meth:`watch` keeps that up to date.
    """

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._folder = Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None
        self._mark = hold_as_worker(self._folder) if self._folder else None
        if self._folder:
            reserve(self._folder)
        self._own = CollectorRegistry()
        self._models: LiveModels | None = None
        self._journal: TrafficJournal | None = None
        self._readiness: Callable[[], Readiness] | None = None
        self._known = JournalState()
        self._observing = Lock()
        self._arms: dict[tuple[str, Arm], tuple[Any, Any, Any]] = {}
        self._children: dict[tuple[Any, ...], Any] = {}
        self._define()
        self._workers.set(1)

    def answered(self, model: str, arm: Arm, rows: int, errors: int, seconds: float) -> None:
        """Rows of one request that an arm had to answer, on how many it failed, and the time of its own scoring call."""
        counted, failed, took = self._arms.get((model, arm)) or self._new_arm(model, arm)
        counted.inc(rows)
        took.observe(seconds)
        if errors:
            failed.inc(errors)

    def dropped(self, model: str, rows: int) -> None:
        """Rows that should have been scored beside the answer and were not."""
        self._child(self._dropped, model).inc(rows)

    def shadowed(self, model: str, arm: Arm, rows: int, errors: int) -> None:
        """Rows that an arm scored beside the answer, and on how many of them it failed."""
        self._child(self._shadowed, model, arm).inc(rows)
        self._child(self._shadow_errors, model, arm).inc(errors)

    def refused(self, model: str, why: str) -> None:
        """A request that was answered without being on record; one that was not answered, :meth:`unanswered` counts, once."""
        if why == NOT_LOGGED:
            self._child(self._refused, model, why).inc()

    def unanswered(self, model: str, code: str) -> None:
        """A request that got a fault instead of an answer. What a stranger calls a model does not become a label."""
        is_known = self._models is not None and model in self._models.names()
        self._child(self._refused, model if is_known else "", code).inc()

    def flipped(self, model: str, revision: int) -> None:
        """From now on the model is routed by another rule, and its arms may be other versions."""
        for key in [known for known in self._arms if known[0] == model]:
            del self._arms[key]
        self._child(self._flips, model).inc()
        self._child(self._revision, model).set(revision)

    def evaluated(self, model: str, variant: str, reason: str) -> None:
        """A flag was evaluated over OFREP."""
        self._child(self._evaluated, model, variant, reason).inc()

    def operated(self, operation: str, outcome: str) -> None:
        """An operation was done, refused or failed."""
        self._child(self._operated, operation, outcome).inc()

    def attach(self, models: LiveModels, journal: TrafficJournal, readiness: Callable[[], Readiness]) -> None:
        """From now on versions, toggles, problems and the journal's state are told too."""
        self._models, self._journal, self._readiness = models, journal, readiness
        self._arms.clear()
        self.observe()

    async def watch(self, seconds: float = 1.0) -> None:
        """Keep what is told of this worker up to date for the answers of the others; runs until it is cancelled."""
        while True:
            self.observe()
            await asyncio.sleep(seconds)

    def observe(self) -> None:
        """Look at models and journal once; safe from any thread."""
        if self._readiness is not None:
            state = self._readiness()
            self._problems.set(len(state.problems))
            self._warnings.set(len(state.warnings))
        if self._models is not None:
            for model in self._models.names():
                self._child(self._revision, model).set(self._models.current(model).rule.revision)
        if self._journal is not None:
            with self._observing:
                self._count_journal(self._journal.state())

    def collected(self, home: Home | None = None) -> Collector:
        """Everything there is to tell now, over all workers; gauges of workers that have ended are gone.

        Args:
            home: whose sensors' and ledger's metrics are told too; None: neither.
        """
        self.observe()
        registry = CollectorRegistry()
        if self._folder is None:
            registry.register(self._own)
        else:
            for pid in dead_workers(self._folder):
                with suppress(FileNotFoundError):  # another worker was asked at the same moment
                    mark_process_dead(pid, str(self._folder))  # type: ignore[no-untyped-call]
            MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call]
        registry.register(StateNow(self._models))
        if home is not None:
            registry.register(WrittenMetrics(home.metrics_dir))
        return registry

    def close(self) -> None:
        """This worker counts no more: its gauges go, its counts stay."""
        if self._mark is not None:
            self._mark.close()

    def _define(self) -> None:
        arms = ("model", "arm", "version")
        self._rows = self._counter("predictions", "Rows an arm had to answer.", *arms)
        self._errors = self._counter("prediction_errors", "Rows on which the arm itself failed.", *arms)
        self._latency = Histogram(
            "retrain_prediction_latency_seconds",
            "Time of the arm's own scoring call for a request.",
            arms,
            buckets=BUCKETS,
            registry=self._own,
        )
        self._refused = self._counter(
            "requests_refused", "Requests refused or failed, by the code of the fault.", "model", "reason"
        )
        self._shadowed = self._counter("shadow_rows", "Rows an arm scored beside the answer.", "model", "arm")
        self._shadow_errors = self._counter(
            "shadow_errors", "Rows scored beside the answer on which the arm failed.", "model", "arm"
        )
        self._dropped = self._counter("shadow_rows_dropped", "Rows that should have been scored in shadow and were not.", "model")
        self._flips = self._counter("flips", "Changes of the rule a model is routed by, counted by every worker.", "model")
        self._evaluated = self._counter("flag_evaluations", "Flags evaluated over OFREP.", "model", "variant", "reason")
        self._operated = self._counter("operations", "Operations over HTTP.", "operation", "outcome")
        self._written = self._counter("journal_rows_written", "Rows of traffic that were acknowledged.")
        self._sealed = self._counter("journal_rows_sealed", "Rows of traffic brought into Parquet files.")
        self._damaged = self._counter("journal_damaged_lines", "Lines of the journal that could not be read when sealing.")
        self._revision = self._gauge("toggle_revision", "Revision a worker routes by; 0 without a toggle.", "liveall", "model")
        self._workers = self._gauge("workers", "Workers that live.", "livesum")
        self._problems = self._gauge("problems", "What keeps a worker from being ready; /readyz says what.", "livemax")
        self._warnings = self._gauge(
            "warnings", "What should be looked at while requests are answered; /readyz says what.", "livemax"
        )
        self._waiting = self._gauge("journal_waiting_rows", "Rows of traffic not acknowledged yet.", "livesum")
        self._segments = self._gauge("journal_open_segments", "Segments of the journal that are not sealed yet.", "livesum")
        self._bytes = self._gauge("journal_open_bytes", "Size of these segments.", "livesum")
        self._faulty = self._gauge("journal_faults", "Workers whose journal cannot be kept now.", "livesum")
        self._fault_at = self._gauge(
            "journal_last_fault_timestamp_seconds", "When the last fault of a journal began; 0 without one.", "livemax"
        )

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"retrain_{name}_total", help_text, labels, registry=self._own)

    def _gauge(self, name: str, help_text: str, mode: Any, *labels: str) -> Gauge:
        return Gauge(f"retrain_{name}", help_text, labels, registry=self._own, multiprocess_mode=mode)

    def _new_arm(self, model: str, arm: Arm) -> tuple[Any, Any, Any]:
        labels = (model, arm, self._version(model, arm))
        made = (self._child(self._rows, *labels), self._child(self._errors, *labels), self._child(self._latency, *labels))
        self._arms[model, arm] = made
        return made

    def _version(self, model: str, arm: Arm) -> str:
        if self._models is None:
            return ""
        try:
            rule = self._models.current(model).rule
        except UnknownModel:
            return ""
        version = rule.challenger if arm == "challenger" else rule.champion
        return version.version if version is not None else ""

    def _child(self, metric: Any, *labels: str) -> Any:
        key = (metric, *labels)
        child = self._children.get(key)
        if child is None:
            if len(self._children) >= MOST_CHILDREN:
                return metric.labels(OTHER, *labels[1:])
            child = self._children[key] = metric.labels(*labels)
        return child

    def _count_journal(self, state: JournalState) -> None:
        self._waiting.set(state.waiting_rows)
        self._segments.set(state.open_segments)
        self._bytes.set(state.open_bytes)
        self._faulty.set(state.fault is not None)
        if state.since is not None:
            self._fault_at.set(state.since.timestamp())
        self._written.inc(state.rows_written - self._known.rows_written)
        self._sealed.inc(state.rows_sealed - self._known.rows_sealed)
        self._damaged.inc(state.damaged_lines - self._known.damaged_lines)
        self._known = state
