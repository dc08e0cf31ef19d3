"""The client against a real gateway: it says what the gateway says, repeats what is safe to repeat, and no more."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from retrain_assets.contract import RetrainError
from retrain_assets.home import ReplayClock
from retrain_assets.routing import Reason, compile_rule, rules_from_document
from retrain_assets.serving import ExposureLog
from retrain_assets.serving.client import GatewayClient, GatewayError
from retrain_assets.serving.client.transport import Transport
from retrain_assets_tests.serving.client.conftest import ODD_UNITS, Serving, listening
from retrain_assets_tests.serving.gateway.served import ELSEWHERE, FEATURES, MODEL, SECOND, Served, row


@pytest.fixture
def client(serving: Serving) -> Iterator[GatewayClient]:
    with GatewayClient(serving.url) as found:
        yield found


def test_predictions_come_with_arm_version_and_reason(client: GatewayClient, serving: Serving) -> None:
    units = [f"N{number}" for number in range(50)]
    told = client.predict(MODEL, [row(unit) for unit in units])
    assert [one.unit for one in told] == units
    route = compile_rule(rules_from_document(serving.world.flags())[MODEL])
    expected = [route(unit, FEATURES, datetime.now(UTC)) for unit in units]
    assert [(one.arm, one.version, one.reason) for one in told] == [(one.arm, one.version, one.reason) for one in expected]
    assert {one.arm for one in told} == {"champion", "challenger"}
    assert len({one.request_id for one in told}) == 50
    outside = client.predict_one(MODEL, ELSEWHERE, unit="N1", request_id="mine")
    assert (outside.reason, outside.request_id, outside.revision) == (Reason.COHORT_EXCLUDED, "mine", 0)


def test_numbers_of_numpy_are_sent_as_numbers_and_nan_as_a_missing_value(client: GatewayClient) -> None:
    plain = client.predict_one(MODEL, {**FEATURES, "x0": 0.25, "x1": None}, unit="N1")
    same = client.predict_one(MODEL, {**FEATURES, "x0": np.float64(0.25), "x1": float("nan")}, unit="N1")
    assert plain.score == same.score


def test_outcomes_and_exposures_of_one_request_meet_in_the_home(client: GatewayClient, serving: Serving) -> None:
    told = client.predict_one(MODEL, FEATURES, unit="N1", request_id="r-1")
    assert client.send_outcomes(MODEL, [{"request_id": "r-1", "unit": "N1", "measures": {"cost_per_flight": 3}}]) == 1
    assert serving.exposures()["arm"].to_list() == [told.arm]
    outcomes = ExposureLog(serving.world.home).read_outcomes(MODEL)
    assert outcomes.select("request_id", "unit_id", "cost_per_flight").rows() == [("r-1", "N1", 3.0)]


def test_an_outcome_without_a_time_is_observed_by_the_gateways_clock_so_that_a_home_in_replay_takes_it(world: Served) -> None:
    moment = datetime.now(UTC) - timedelta(hours=2)
    ReplayClock(world.home.replay_clock_path).set(moment)
    sent = {"request_id": "r-1", "unit": "N1", "measures": {"cost_per_flight": 3}}
    with listening(world) as serving:
        with GatewayClient(serving.url) as client:
            assert client.send_outcomes(MODEL, [sent, {**sent, "request_id": "r-2", "observed_at": None}]) == 2
        serving.end()
        assert ExposureLog(world.home).read_outcomes(MODEL)["observed_at"].to_list() == [moment] * 2


def test_an_address_without_a_scheme_is_refused_at_once() -> None:
    with pytest.raises(GatewayError, match=r"^url: '127.0.0.1:8080' is no address of a gateway; write it like http://127"):
        GatewayClient("127.0.0.1:8080")


def test_the_arm_asked_for_is_the_arm_predicted_whatever_the_unit_is_called(client: GatewayClient) -> None:
    for unit in (*ODD_UNITS, *(f"Ünit {number}" for number in range(20))):
        asked = client.assign(MODEL, unit, {"origin": "JFK"})
        told = client.predict_one(MODEL, FEATURES, unit=unit)
        assert (asked.arm, asked.version, asked.assignment.revision) == (told.arm, told.version, told.revision)
    assert client.assign(MODEL, None, {"origin": "JFK"}).reason is Reason.NO_UNIT


def test_a_service_with_models_of_its_own_logs_what_it_answered(client: GatewayClient, serving: Serving) -> None:
    for number in range(20):
        routed = client.assign(MODEL, f"N{number}", {"origin": "JFK"})
        with client.scoring(routed, request_id=f"r-{number:02}") as scoring:
            scoring.score, scoring.error = 0.25, routed.arm == "challenger"
    logged = serving.exposures().sort("request_id")
    assert logged["score"].to_list() == [0.25] * 20
    assert (logged["error"] == (logged["arm"] == "challenger")).all()
    assert logged["toggle"].to_list() == [f"{MODEL}-{SECOND}"] * 20
    assert logged["origin"].to_list() == ["JFK"] * 20
    assert (logged["latency_ms"] > 0).all()


def test_a_block_that_raises_is_logged_as_the_models_error(client: GatewayClient, serving: Serving) -> None:
    routed = client.assign(MODEL, "N1", {"origin": "JFK"})
    with pytest.raises(ZeroDivisionError), client.scoring(routed, request_id="r-1"):
        _ = 1 / 0
    assert serving.exposures().select("request_id", "error", "score").rows() == [("r-1", True, None)]


def test_the_toggle_and_the_models_are_told_as_they_are_routed(client: GatewayClient) -> None:
    toggle = client.toggle(MODEL)
    assert (toggle["toggle"], toggle["stage"], toggle["share"]) == (f"{MODEL}-{SECOND}", "25", 0.25)
    assert [one["model"] for one in client.models()] == [MODEL]


@pytest.mark.parametrize(
    ("ask", "status", "code", "line"),
    [
        (lambda client: client.predict_one("nobody", FEATURES), 404, "unknown_model", "there is no model 'nobody'"),
        (lambda client: client.predict_one(MODEL, {"origin": "JFK"}), 422, "bad_row", "row 0, features.x0"),
        (lambda client: client.assign("nobody", "N1"), 404, "flag_not_found", "nobody"),
        (lambda client: client.predict(MODEL, [row()] * 51), 422, "too_many_rows", "51 rows in one request"),
    ],
)
def test_a_refusal_is_the_gateways_own_line(
    client: GatewayClient, ask: Callable[[GatewayClient], object], status: int, code: str, line: str
) -> None:
    with pytest.raises(GatewayError) as refused:
        ask(client)
    assert (refused.value.status, refused.value.code) == (status, code)
    assert line in refused.value.line
    assert isinstance(refused.value, RetrainError)


def test_threads_may_share_a_client(client: GatewayClient, serving: Serving) -> None:
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda number: client.predict_one(MODEL, FEATURES, unit=f"N{number}"), range(40)))
    assert [one.unit for one in told] == [f"N{number}" for number in range(40)]
    assert serving.exposures().height == 40


class Moody(BaseHTTPRequestHandler):
    """Answers as it is told, one answer a request; then as an echo."""

    answers: list[tuple[int, dict[str, str], Any]]
    asked: list[Any]

    def do_POST(self) -> None:
        self.asked.append((self.headers.get("authorization"), json.loads(self.rfile.read(int(self.headers["content-length"])))))
        status, headers, body = self.answers.pop(0) if self.answers else (200, {}, {"recorded": 1})
        if status == 0:
            self.close_connection = True
            return
        data = json.dumps(body).encode() if body is not None else b"<html>"
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def moody() -> Iterator[Callable[..., tuple[Transport, list[Any], list[float]]]]:
    servers = []

    def make(*answers: Any, timeout: float = 20.0) -> tuple[Transport, list[Any], list[float]]:
        handler = type("Handler", (Moody,), {"answers": list(answers), "asked": []})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        pauses: list[float] = []
        transport = Transport(f"http://127.0.0.1:{server.server_port}", "t0ken", timeout, pauses.append)
        servers.append((server, transport))
        return transport, handler.asked, pauses

    yield make
    for server, transport in servers:
        transport.close()
        server.shutdown()
        server.server_close()


def busy(after: str) -> tuple[int, dict[str, str], Any]:
    fault = {"code": "log_unavailable", "message": "too many rows wait", "where": "journal", "remedy": "repeat the request"}
    return 503, {"retry-after": after}, {"error": fault}


def test_a_gateway_that_says_not_now_is_asked_again_after_the_time_it_names(moody) -> None:
    transport, asked, pauses = moody(busy("3"), busy("1"))
    assert transport.post("/x", {"a": 1}) == {"recorded": 1}
    assert pauses == [3.0, 1.0]
    assert asked == [("Bearer t0ken", {"a": 1})] * 3


def test_it_is_not_waited_for_longer_than_the_call_may_take(moody) -> None:
    transport, asked, pauses = moody(busy("30"), timeout=10.0)
    with pytest.raises(GatewayError, match=r"^journal: too many rows wait; repeat the request$"):
        transport.post("/x", {})
    assert (len(asked), pauses) == (1, [])


@pytest.mark.parametrize("status", [400, 401, 404, 409, 413, 422, 500, 504])
def test_what_would_be_refused_again_is_not_sent_again(moody, status: int) -> None:
    transport, asked, pauses = moody((status, {}, {"error": {"code": "c", "message": "no", "where": "w", "remedy": "r"}}))
    with pytest.raises(GatewayError, match=r"^w: no; r$"):
        transport.post("/x", {})
    assert (len(asked), pauses) == (1, [])


def test_a_connection_that_breaks_before_the_answer_is_repeated_with_the_same_request(moody) -> None:
    transport, asked, _ = moody((0, {}, None))
    assert transport.post("/x", {"request_id": "r-1"}) == {"recorded": 1}
    assert [body["request_id"] for _, body in asked] == ["r-1", "r-1"]


def test_somebody_elses_answer_is_told_as_such(moody) -> None:
    transport, _, _ = moody((200, {}, None))
    with pytest.raises(GatewayError, match="the answer is not JSON"):
        transport.post("/x", {})


def test_a_redirect_is_not_followed_so_that_the_token_stays_with_the_gateway(moody) -> None:
    transport, asked, _ = moody((307, {"location": "http://elsewhere.example/"}, {}))
    with pytest.raises(GatewayError, match="answered 307"):
        transport.post("/x", {})
    assert len(asked) == 1


def test_nobody_there_is_one_line_with_the_remedy() -> None:
    with GatewayClient("http://127.0.0.1:9", timeout=0.1) as client, pytest.raises(GatewayError) as refused:
        client.toggle(MODEL)
    assert refused.value.code == "unreachable"
    assert refused.value.line.startswith("http://127.0.0.1:9: does not answer (")
    assert refused.value.line.endswith("start it with retrain serve")
