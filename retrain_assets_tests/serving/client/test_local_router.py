"""Routing and logging on the host of the home: the gateway's arms and attributes, changes at once, nothing lost."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from retrain_assets.contract import RetrainError
from retrain_assets.home import Home
from retrain_assets.routing import Assignment, Reason, compile_rule, rules_from_document
from retrain_assets.serving import ExposureLog
from retrain_assets.serving.client import GatewayClient, LocalRouter, RoutedUnit
from retrain_assets.serving.client.routed_models import RoutedModels
from retrain_assets.serving.journal import LogUnavailable, recover
from retrain_assets.serving.live import UnknownModel
from retrain_assets_tests.serving.client.conftest import ODD_UNITS, listening
from retrain_assets_tests.serving.gateway.gateway_process import eventually
from retrain_assets_tests.serving.gateway.served import MODEL, RUTH, SECOND, TERMS, Served, bundle_manifest, contract_with

JFK = {"origin": "JFK"}
TOGGLE = f"{MODEL}-{SECOND}"


def logged(world: Served) -> pl.DataFrame:
    recover(world.home)
    return ExposureLog(world.home).read_exposures(MODEL)


def test_the_arm_is_the_flag_documents_for_every_unit(world: Served) -> None:
    route = compile_rule(rules_from_document(world.flags())[MODEL])
    with LocalRouter(world.home) as router:
        for unit in (*ODD_UNITS, *(f"N{number}" for number in range(200))):
            assert router.assign(MODEL, unit, JFK).assignment == route(unit, JFK, datetime.now(UTC))
        assert router.assign(MODEL, None, JFK).reason is Reason.NO_UNIT
        assert router.assign(MODEL, "", JFK).unit is None
        assert router.assign(MODEL, "N1", {"origin": "LGA"}).reason is Reason.COHORT_EXCLUDED
        with pytest.raises(UnknownModel, match=f"models: {MODEL}"):
            router.assign("nobody", "N1")


def test_a_rollback_is_in_force_for_the_next_requests(world: Served) -> None:
    with LocalRouter(world.home) as router:
        inside = [unit for unit in (f"N{number}" for number in range(200)) if router.assign(MODEL, unit, JFK).arm == "challenger"]
        assert inside
        world.controller.rollback(TOGGLE, RUTH, "worse")
        eventually(lambda: router.assign(MODEL, inside[0], JFK).arm == "champion")
        assert {router.assign(MODEL, unit, JFK).reason for unit in inside} == {Reason.ROLLED_BACK}


def test_what_is_logged_has_the_attributes_of_the_contract_as_the_gateway_logs_them(world: Served) -> None:
    with LocalRouter(world.home) as router:
        for number in range(40):
            routed = router.assign(MODEL, f"N{number}", {**JFK, "not in the contract": 1})
            with router.scoring(routed, request_id=f"r-{number:02}") as scoring:
                scoring.score, scoring.decision = 0.75, True
    rows = logged(world)
    assert rows.height == 40
    assert set(rows.columns) >= {"origin", "decision"}
    assert "not in the contract" not in rows.columns
    first = rows.filter(pl.col("arm") == "challenger").row(0, named=True)
    assert (first["toggle"], first["stage"], first["score"], first["decision"]) == (TOGGLE, "25", 0.75, True)
    assert (first["origin"], first["error"], first["shadow_score"]) == ("JFK", False, None)
    assert first["latency_ms"] > 0


def test_a_gateway_and_a_router_log_into_the_same_files(world: Served) -> None:
    with listening(world) as serving, GatewayClient(serving.url) as client, LocalRouter(world.home) as router:
        by_gateway, by_router = client.assign(MODEL, "Zoë", JFK), router.assign(MODEL, "Zoë", JFK)
        assert by_gateway.assignment == by_router.assignment
        client.log_exposure(by_gateway, request_id="r-1", latency_ms=2.0, score=0.5)
        router.log_exposure(by_router, request_id="r-2", latency_ms=2.0, score=0.5)
    rows = logged(world).drop("request_id", "exposed_at")
    assert rows[0].equals(rows[1])


def test_threads_may_share_a_router_and_none_of_their_exposures_is_lost(world: Served) -> None:
    with LocalRouter(world.home) as router:

        def serve(number: int) -> None:
            router.log_exposure(router.assign(MODEL, f"N{number}", JFK), request_id=f"r-{number}", latency_ms=1.0, score=0.5)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(serve, range(200)))
    assert sorted(logged(world)["unit_id"]) == sorted(f"N{number}" for number in range(200))


KILLED = """
import os, signal, sys
from retrain_assets.home import Home
from retrain_assets.serving.client import GatewayClient, LocalRouter, RoutedUnit
from retrain_assets.serving.client.routed_models import RoutedModels
router = LocalRouter(Home.from_environment())
for number in range(20):
    router.log_exposure(router.assign("flight_delay", f"N{number}", {"origin": "JFK"}), request_id=f"r-{number}", latency_ms=1.0)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_service_logged_is_there(world: Served) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    assert sorted(logged(world)["request_id"]) == sorted(f"r-{number}" for number in range(20))


def test_a_document_that_the_ledger_does_not_hold_is_not_followed(world: Served) -> None:
    document = world.flags()
    world.controller.rollback(TOGGLE, RUTH, "worse")
    forged = json.loads(json.dumps(document))
    forged["metadata"]["ledger_sequence"] = world.flags()["metadata"]["ledger_sequence"]
    with LocalRouter(world.home) as router:
        assert router.problems() == []
        assert router.assign(MODEL, "N1", JFK).reason is Reason.ROLLED_BACK
        scratch = world.home.flags_path.with_suffix(".new")
        scratch.write_text(json.dumps(forged))
        scratch.replace(world.home.flags_path)
        eventually(lambda: router.assign(MODEL, "N1", JFK) and any("refused" in problem for problem in router.problems()))
        units = [f"N{number}" for number in range(100)]
        assert {router.assign(MODEL, unit, JFK).reason for unit in units} == {Reason.ROLLED_BACK}


def test_a_new_contracts_terms_are_learnt_with_its_toggle(world: Served) -> None:
    models = RoutedModels(world.home, world.another_controller())
    assert set(models.current(MODEL).terms.attributes) == {"origin"}
    world.controller.rollback(TOGGLE, RUTH, "worse")
    world.contract = contract_with({**TERMS, "experiment": {**TERMS["experiment"], "segments": ["origin", "carrier"]}})
    world.candidate("2013-08-01", registered=bundle_manifest("2013-08-01"))
    name = world.controller.register_and_arm(world.contract, "2013-08-01").name
    eventually(lambda: models.current(MODEL).rule.toggle == name)
    eventually(lambda: set(models.current(MODEL).terms.attributes) == {"origin", "carrier"})
    models.close()


def test_a_block_that_raises_says_so_if_its_exposure_could_not_be_logged_either(world: Served) -> None:
    with LocalRouter(world.home) as router:
        routed = router.assign(MODEL, "N1", JFK)
        router.close()
        with pytest.raises(LogUnavailable), router.scoring(routed, request_id="r-1"):
            pass
        with pytest.raises(ZeroDivisionError) as raised, router.scoring(routed, request_id="r-1"):
            _ = 1 / 0
        assert "its exposure could not be recorded" in raised.value.__notes__[0]


def test_where_nobody_served_there_is_nothing_to_log(world: Served) -> None:
    nobody = Assignment("champion", "", "", None, 0, None, Reason.NO_CHAMPION)
    with LocalRouter(world.home) as router, pytest.raises(RetrainError, match="there is no champion, so nothing was served"):
        router.log_exposure(RoutedUnit(MODEL, "N1", nobody, {}, world.clock.now()), request_id="r-1", latency_ms=1.0)


def test_a_folder_that_is_no_home_is_refused_and_not_made_one(tmp_path: Path) -> None:
    with pytest.raises(RetrainError, match="there is no flag document"):
        LocalRouter(Home(tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()


def test_a_home_may_be_named_by_its_folder(world: Served) -> None:
    for folder in (world.home.root, str(world.home.root)):
        with LocalRouter(folder) as router:
            assert router.assign(MODEL, "N1", JFK).version
    with pytest.raises(RetrainError, match="there is no flag document"):
        LocalRouter("nowhere")


def test_a_router_made_before_a_fork_refuses_instead_of_losing_exposures(world: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalRouter(world.home) as router:
        routed = router.assign(MODEL, "N1", JFK)
        monkeypatch.setattr("os.getpid", lambda: -1)
        with pytest.raises(RetrainError, match="was made before the fork"):
            router.log_exposure(routed, request_id="r-1", latency_ms=1.0)
        monkeypatch.undo()
