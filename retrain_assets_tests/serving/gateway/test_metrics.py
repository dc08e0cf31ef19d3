"""What Prometheus is told: counted by arm and version, parsed by Prometheus' own parser, added up over workers."""

from __future__ import annotations

import asyncio
import math
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from retrain_assets import __version__
from retrain_assets.home import Home
from retrain_assets.serving.gateway import Options, create_app
from retrain_assets.serving.gateway.metrics import BUCKETS, MOST_CHILDREN, PrometheusMeter
from retrain_assets.serving.gateway.metrics_now import StateNow
from retrain_assets.serving.live import LiveModels, Meter
from retrain_assets_tests.conftest import CHECKOUT

from .samples import Samples, samples, value
from .served import MODEL, RUTH, SECOND, Served, row, running

TOGGLE = f"{MODEL}-{SECOND}"
PREDICT = f"/v1/models/{MODEL}/predict"


@pytest.fixture
def served(canary_home: Home) -> Served:
    return Served.at(canary_home.root)


def of(meter: PrometheusMeter) -> Samples:
    return samples(generate_latest(meter.collected()).decode())


async def scraped(client: httpx.AsyncClient) -> Samples:
    return samples((await client.get("/metrics")).text)


@pytest.mark.anyio
async def test_rows_errors_and_latency_are_counted_by_arm_and_version(served: Served) -> None:
    rows = [row(f"unit-{number}") for number in range(40)]
    async with served.client() as client:
        predictions = (await client.post(PREDICT, json={"rows": rows})).json()["predictions"]
        await client.post(PREDICT, json=row("unit-0"))
        told = await scraped(client)
    challenged = sum(one["arm"] == "challenger" for one in predictions)
    assert 0 < challenged < 40
    first = predictions[0]["arm"]
    for arm, version, rows_of_arm in (("champion", "1", 40 - challenged), ("challenger", "2", challenged)):
        labels = {"model": MODEL, "arm": arm, "version": version}
        assert value(told, "predictions_total", **labels) == rows_of_arm + (arm == first)
        assert value(told, "prediction_errors_total", **labels) == 0
        assert value(told, "prediction_latency_seconds_count", **labels) == 1 + (arm == first)
        assert value(told, "prediction_latency_seconds_bucket", **labels, le="+Inf") == 1 + (arm == first)
        assert value(told, "prediction_latency_seconds_sum", **labels) > 0


@pytest.mark.anyio
async def test_a_refused_request_is_counted_with_its_reason_and_no_name_of_a_stranger(served: Served) -> None:
    async with served.client() as client:
        await client.post(PREDICT, json=row(features={"origin": "JFK"}))
        for number in range(3):
            await client.post(f"/v1/models/made_up_{number}/predict", json=row(), headers={"X-API-Key": "rtn_wrong"})
            await client.post(f"/v1/models/made_up_{number}/predict", json=row())
        text = (await client.get("/metrics")).text
    told = samples(text)
    assert value(told, "requests_refused_total", model=MODEL, reason="bad_row") == 1
    assert value(told, "requests_refused_total", model="", reason="invalid_token") == 3
    assert value(told, "requests_refused_total", model="", reason="unknown_model") == 3
    assert "made_up" not in text


@pytest.mark.anyio
async def test_every_request_that_gets_a_fault_is_counted_once_by_its_code(served: Served) -> None:
    """Whatever refuses it: the envelope, the token, the body, the row, the router or the model; answers are counted elsewhere."""
    outcomes, flag = f"/v1/models/{MODEL}/outcomes", f"/ofrep/v1/evaluate/flags/{MODEL}"
    sent: list[tuple[str, str, dict[str, Any], str]] = [
        ("POST", PREDICT, {"content": b"{", "headers": {"Content-Type": "application/json"}}, "not_json"),
        ("POST", PREDICT, {"content": b"{}"}, "wrong_content_type"),
        ("POST", PREDICT, {"content": b" " * 2000, "headers": {"Content-Type": "application/json"}}, "body_too_large"),
        ("POST", PREDICT, {"json": row(), "headers": {"X-API-Key": "wrong"}}, "invalid_token"),
        ("POST", PREDICT, {"json": row(features={})}, "bad_row"),
        ("POST", outcomes, {"json": {"request_id": "r", "unit": "u", "measures": {"nobody_knows": 1}}}, "bad_row"),
        ("POST", f"/v1/models/{MODEL}/kill", {"json": {"reason": "because"}}, "unauthorized"),
        ("POST", flag, {"json": {"context": 7}}, "invalid_context"),
    ]
    strange: list[tuple[str, str, dict[str, Any], str]] = [
        ("GET", "/v1/models/made_up/toggle", {}, "unknown_model"),
        ("POST", "/v1/models/made_up/outcomes", {"json": {}}, "unknown_model"),
        ("POST", "/v1/models/made_up/exposures", {"json": {}}, "unknown_model"),
        ("POST", "/ofrep/v1/evaluate/flags/made_up", {"json": {}}, "flag_not_found"),
        ("POST", "/ofrep/v1/evaluate/flags", {"json": []}, "parse_error"),
        ("GET", "/made_up", {}, "no_such_path"),
        ("PUT", "/healthz", {}, "wrong_method"),
    ]
    async with served.client(Options(max_body_bytes=1500)) as client:
        for method, path, more, code in [*sent, *strange]:
            answer = await client.request(method, path, **more)
            assert code in answer.text.lower(), answer.text
        assert (await client.post(PREDICT, json=row())).status_code == 200
        told = await scraped(client)
    expected = Counter([(MODEL, code) for *_, code in sent] + [("", code) for *_, code in strange])
    counted = {key: count for key, count in told.items() if key[0] == "retrain_requests_refused_total"}
    assert {(dict(labels)["model"], dict(labels)["reason"]): count for (_, labels), count in counted.items()} == expected


@pytest.mark.anyio
async def test_a_flip_moves_revision_share_and_version(served: Served) -> None:
    async with served.client() as client, asyncio.timeout(60):
        before = await scraped(client)
        served.controller.step(TOGGLE, RUTH, "on")
        while value(await scraped(client), "toggle_share", model=MODEL) != 0.5:
            pass
        after = await scraped(client)
    assert value(before, "toggle_share", model=MODEL) == 0.25
    assert value(after, "toggle_revision", model=MODEL) == value(before, "toggle_revision", model=MODEL) + 1
    assert value(after, "flips_total", model=MODEL) == 1
    shown = [dict(labels) for (name, labels) in after if name == "retrain_model_info"]
    assert {(one["arm"], one["version"], one["stage"], one["toggle"]) for one in shown} == {
        ("champion", "1", "50", TOGGLE),
        ("challenger", "2", "50", TOGGLE),
    }
    assert value(after, "model_loaded", model=MODEL, arm="challenger") == 1


@pytest.mark.anyio
async def test_after_a_promotion_the_champion_counts_as_its_new_version(served: Served) -> None:
    served.registry.versions = {(MODEL, place.name): place for place in (served.registry.folder / MODEL).iterdir()}
    served.controller.step(TOGGLE, RUTH, "on")
    async with served.client() as client, asyncio.timeout(60):
        await client.post(PREDICT, json=row(unit=None))
        served.look(SECOND, "ask_approval", "better on cost, guardrails hold")
        served.controller.approve(MODEL, SECOND, RUTH, "clear win")
        assert served.controller.decide(MODEL, SECOND).decision == "promote"
        while (await client.post(PREDICT, json=row(unit=None))).json()["predictions"][0]["version"] != "2":
            pass
        await client.post(PREDICT, json=row(unit=None))
        told = await scraped(client)
    for version in ("1", "2"):
        assert value(told, "predictions_total", model=MODEL, arm="champion", version=version) >= 1


@pytest.mark.anyio
async def test_the_state_of_the_journal_is_told(served: Served) -> None:
    async with served.client() as client:
        await client.post(PREDICT, json={"rows": [row(f"unit-{number}") for number in range(7)]})
        told = await scraped(client)
        assert value(told, "journal_rows_written_total") == 7
        assert value(told, "journal_open_segments") == 1
        assert value(told, "journal_open_bytes") > 0
        assert value(told, "journal_waiting_rows") == 0
        assert (value(told, "journal_faults"), value(told, "journal_last_fault_timestamp_seconds")) == (0, 0)
        assert value(await scraped(client), "journal_rows_written_total") == 7


@pytest.mark.anyio
async def test_a_journal_that_cannot_be_kept_raises_an_alarm(canary_home: Home) -> None:
    served = Served.at(canary_home.root)
    place = served.home.journal_dir(MODEL)
    if place.exists():
        place.rmdir()
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("a file where the folder should be")
    async with served.client() as client:
        assert (await client.post(PREDICT, json=row())).status_code == 503
        told = await scraped(client)
        assert value(told, "journal_faults") == 1
        assert value(told, "journal_last_fault_timestamp_seconds") > 0
        assert value(told, "requests_refused_total", model=MODEL, reason="log_unavailable") == 1
        place.unlink()


@pytest.mark.anyio
async def test_what_keeps_the_gateway_from_being_ready_is_counted(retrain_home: Path) -> None:
    retrain_home.mkdir()
    async with running(create_app(Home(retrain_home))) as app:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            told = await scraped(client)
    assert value(told, "problems") >= 1
    assert value(told, "workers") == 1
    python = ".".join(map(str, sys.version_info[:3]))
    assert value(told, "build_info", version=__version__, python=python) == 1
    assert value(told, "home_free_bytes") > 0


@pytest.mark.anyio
async def test_evaluations_of_flags_are_counted_with_our_own_reason(served: Served) -> None:
    async with served.client() as client:
        for origin in ("JFK", "LGA", "LGA"):
            asked = {"context": {"targetingKey": "N24211", "origin": origin}}
            await client.post(f"/ofrep/v1/evaluate/flags/{MODEL}", json=asked)
        told = await scraped(client)
    assert value(told, "flag_evaluations_total", model=MODEL, variant="champion", reason="ramp") == 1
    assert value(told, "flag_evaluations_total", model=MODEL, variant="champion", reason="cohort_excluded") == 2


@pytest.mark.anyio
async def test_both_formats_can_be_read_and_keep_to_the_conventions(served: Served) -> None:
    async with served.client() as client:
        await client.post(PREDICT, json=row())
        plain = await client.get("/metrics")
        modern = await client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert plain.headers["content-type"].startswith("text/plain; version=")
    assert modern.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert list(parse_openmetrics(modern.text))
    families = list(parse(plain.text))
    for family in families:
        assert family.name.startswith("retrain_")
        assert family.documentation.endswith(".")
        assert not family.name.endswith(("_created", "_total"))
        for ending in ("_ms", "_milliseconds", "_kb", "_percent"):
            assert ending not in family.name
    assert {family.type for family in families} == {"counter", "gauge", "histogram"}


def test_the_buckets_reach_from_a_tenth_of_a_millisecond_to_five_seconds() -> None:
    meter = PrometheusMeter()
    for seconds in (0.00005, 0.0003, 0.02, 4.9, 60.0):
        meter.answered(MODEL, "champion", 1, 0, seconds)
    told = of(meter)
    bounds = {dict(labels)["le"]: count for (name, labels), count in told.items() if name.endswith("_bucket")}
    assert (BUCKETS[0], BUCKETS[-1], len(bounds)) == (0.0001, 5.0, len(BUCKETS) + 1)
    counts = [bounds[bound] for bound in sorted(bounds, key=float)]
    assert counts == sorted(counts)
    assert (bounds["0.0001"], bounds["5.0"], bounds["+Inf"]) == (1, 4, 5)
    assert math.isclose(value(told, "prediction_latency_seconds_sum", model=MODEL, arm="champion", version=""), 64.92035)


def test_errors_and_drops_are_counted_in_rows_and_refusals_in_requests() -> None:
    meter: Meter = PrometheusMeter()
    meter.answered(MODEL, "challenger", 5, 2, 0.001)
    meter.answered(MODEL, "challenger", 5, 0, 0.001)
    meter.dropped(MODEL, 3)
    meter.dropped(MODEL, 4)
    meter.refused(MODEL, "not_logged")
    meter.refused(MODEL, "bad_request")
    meter.shadowed(MODEL, "challenger", 5, 2)
    assert isinstance(meter, PrometheusMeter)
    meter.unanswered("what a stranger wrote", "unknown_model")
    told = of(meter)
    assert value(told, "predictions_total", model=MODEL, arm="challenger", version="") == 10
    assert value(told, "prediction_errors_total", model=MODEL, arm="challenger", version="") == 2
    assert value(told, "shadow_rows_dropped_total", model=MODEL) == 7
    assert value(told, "shadow_rows_total", model=MODEL, arm="challenger") == 5
    assert value(told, "shadow_errors_total", model=MODEL, arm="challenger") == 2
    assert value(told, "requests_refused_total", model="", reason="unknown_model") == 1
    assert value(told, "requests_refused_total", model=MODEL, reason="not_logged") == 1
    assert len([key for key in told if key[0] == "retrain_requests_refused_total"]) == 2


def test_two_gateways_in_one_process_count_apart_and_leave_the_global_registry_alone() -> None:
    before = generate_latest(REGISTRY).count(b"\n")
    one, other = PrometheusMeter(), PrometheusMeter()
    one.dropped(MODEL, 3)
    assert value(of(one), "shadow_rows_dropped_total", model=MODEL) == 3
    assert ("retrain_shadow_rows_dropped_total", frozenset({("model", MODEL)})) not in of(other)
    assert b"retrain_" not in generate_latest(REGISTRY)
    assert generate_latest(REGISTRY).count(b"\n") == before


def test_names_without_end_do_not_fill_the_memory() -> None:
    meter = PrometheusMeter()
    for number in range(MOST_CHILDREN + 500):
        meter.dropped(f"model_{number}", 1)
    told = {key: count for key, count in of(meter).items() if key[0] == "retrain_shadow_rows_dropped_total"}
    assert len(told) == MOST_CHILDREN + 1
    assert value(told, "shadow_rows_dropped_total", model="other") == 500
    assert sum(told.values()) == MOST_CHILDREN + 500


def test_the_page_lists_every_metric_with_its_labels_and_meaning(canary_home: Home) -> None:
    """``docs/serving.md`` and what is told are the same."""
    told = [
        (f"{one._name}_total" if one._type == "counter" else one._name, one._type, one._labelnames, one._documentation)
        for one in PrometheusMeter()._own._collector_to_names
    ]
    models = LiveModels(canary_home)
    models.look()
    told += [
        (one.name, one.type, tuple(one.samples[0].labels), one.documentation) for one in StateNow(models).collect() if one.samples
    ]
    rows = [
        f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {meaning.removesuffix('.')} |"
        for name, kind, labels, meaning in sorted(told)
    ]
    page = (CHECKOUT / "docs" / "serving.md").read_text()
    section = page.split("\n## Metrics\n")[1].split("\n## ")[0]
    assert [line for line in section.splitlines() if line.startswith("| `")] == rows
