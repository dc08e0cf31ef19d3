"""Traces, received by a real OTLP receiver: one for each retrain, wherever its work is done."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from retrain_assets.observability import happened, span, trace_id_of
from retrain_assets.observability.tracing import _tracer

Span = tuple[str, str, str, dict[str, str], list[str]]


class Received:
    """An OTLP receiver over HTTP; what it got, once it was flushed."""

    def __init__(self) -> None:
        bodies = self.bodies = []  # type: ignore[var-annotated]

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        self.thread = Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def spans(self) -> list[Span]:
        """Name, trace, parent, attributes and linked traces of each."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        found = []
        for path, body in self.bodies:
            assert path == "/v1/traces"
            for one in (
                one
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans
                for scope in resource.scope_spans
                for one in scope.spans
            ):
                facts = {fact.key: fact.value.string_value for fact in one.attributes}
                links = [link.trace_id.hex() for link in one.links]
                found.append((one.name, one.trace_id.hex(), one.parent_span_id.hex(), facts, links))
        return found

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Received]:
    received = Received()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", received.url)
    _tracer.cache_clear()
    yield received
    _tracer.cache_clear()
    received.close()


def flush() -> None:
    import os

    tracer = _tracer(os.getpid())
    tracer.span_processor.force_flush()
    tracer.span_processor.shutdown()


def test_everything_about_a_retrain_is_one_trace_without_anything_handed_on(receiver: Received) -> None:
    with span("tick canary", sensor="canary"), span("look canary", model="churn", retrain="2024-04-01"):
        happened("change canary_looked", 0.5)
        with span("stage canary", model="churn", retrain="2024-04-01", run_id="r-1"):
            pass
    with span("stage training", model="churn", retrain="2024-04-01"):
        pass
    flush()
    spans = {one[0]: one for one in receiver.spans()}
    trace = trace_id_of("churn", "2024-04-01")
    assert {name for name, one in spans.items() if one[1] == trace} == {*spans} - {"tick canary"}
    assert spans["look canary"][2] == "" == spans["stage training"][2], "a root of its own, no parent that never comes"
    assert spans["stage canary"][2] != ""
    assert spans["stage canary"][3]["retrain.run_id"] == "r-1"
    assert "retrain.trace_id" not in spans["stage canary"][3]


def test_environments_and_retrains_have_traces_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    here = trace_id_of("churn", "2024-04-01")
    assert here == trace_id_of("churn", "2024-04-01") != trace_id_of("churn", "2024-04-02")
    monkeypatch.setenv("RETRAIN_ENVIRONMENT", "staging")
    assert trace_id_of("churn", "2024-04-01") != here


def test_a_request_goes_on_in_its_callers_trace_and_links_the_retrain(receiver: Received) -> None:
    caller = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{caller}-00f067aa0ba902b7-01"}
    with span("predict", model="churn", carrier=headers, of="2024-04-01"):
        pass
    flush()
    ((name, trace, parent, _, links),) = receiver.spans()
    assert (name, trace, parent, links) == ("predict", caller, "00f067aa0ba902b7", [trace_id_of("churn", "2024-04-01")])


def test_without_an_endpoint_nothing_of_opentelemetry_is_imported() -> None:
    code = (
        "import sys; from retrain_assets.observability import span, happened\n"
        "with span('tick'): happened('change', 1.0)\n"
        "assert not [one for one in sys.modules if one.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_extra_is_told_once_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    _tracer.cache_clear()
    with caplog.at_level(logging.WARNING, logger="retrain_assets"), span("tick"), span("look"):
        happened("change", 0.1)
    _tracer.cache_clear()
    assert [record.getMessage() for record in caplog.records] == [
        "an OTLP endpoint is set and OpenTelemetry is not installed: pip install 'retrain-assets[tracing]'"
    ]
