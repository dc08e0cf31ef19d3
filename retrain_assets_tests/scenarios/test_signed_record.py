"""What people signed is verified again from the record alone, whatever they did; what they did without signing is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from retrain_assets.cli.verify import Part, verify_home
from retrain_assets.home import Home
from retrain_assets.ledger import Actor
from retrain_assets.release.orders import Credential
from retrain_assets_tests.cli.world import MODEL, RUTH
from retrain_assets_tests.scenarios import forging
from retrain_assets_tests.scenarios.custody_home import FOURTH, PEOPLE, Custody

PAUL = Actor("person", "paul@example.org")
CHECK = "offline.holds"


@pytest.fixture
def custody(custody_home: Path, tmp_path: Path) -> Custody:
    """A copy of the home, and the people's keys."""
    shutil.copytree(custody_home, tmp_path / "copy")
    return Custody(tmp_path / "copy", {one: custody_home.parent / "keys" / one.partition("@")[0] for one in PEOPLE})


def approvals(home: Home) -> Part:
    (part,) = verify_home(home, only=("approvals",)).parts
    return part


def test_overrides_and_kill_switches_are_verified_by_the_contracts_they_count_by(custody: Custody) -> None:
    controller = custody.controller
    for who in (RUTH, PAUL):
        case, terms = controller.override_case(MODEL, FOURTH, CHECK, who, "a season we know")
        controller.override(MODEL, FOURTH, CHECK, who, "a season we know", signed=custody.signed(case, terms))
    for scope in (MODEL, None):
        case, wanted = controller.kill_case(scope, RUTH, "stop")
        assert wanted is not None
        controller.engage_kill_switch(scope, RUTH, "stop", credential=Credential(signed=custody.signed(case, wanted)))
    found = approvals(custody.home)
    assert (found.faults, found.counted) == ((), "7 signatures")
    assert {note.rpartition(" of ")[2] for note in found.notes} == set(PEOPLE)


def test_an_order_that_nothing_vouches_for_is_told_and_is_no_fault(custody: Custody) -> None:
    custody.controller.engage_kill_switch(MODEL, RUTH, "no key at hand", credential=Credential(unsigned=True))
    found = approvals(custody.home)
    assert (found.faults, found.counted) == ((), "3 signatures, 1 by name alone")
    assert "is an order that nothing vouches for: ruth@example.org did not sign" in found.notes[-1]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("approved", "is not signed"),
        ("champion_bootstrapped", "is not signed"),
        ("rolled_back", "is not signed"),
    ],
)
def test_a_signature_that_was_taken_out_with_every_hash_is_missed(custody: Custody, kind: str, said: str) -> None:
    with forging.database(custody.home.root / "ledger.db") as connection:
        events = forging.rows(connection)
        (row,) = (row for row in events if row["kind"] == kind and '"signed"' in row["payload"])
        forging.change_payload(row, lambda payload: payload.pop("signed"))
        forging.replace_events(connection, events, fitting=True)
    assert f"event {row['sequence']} ({kind}) {said}" in approvals(custody.home).faults


def test_a_promotion_that_rests_on_fewer_approvals_than_its_contract_wants_is_found(custody: Custody) -> None:
    with forging.database(custody.home.root / "ledger.db") as connection:
        events = forging.rows(connection)
        (row,) = (row for row in events if row["kind"] == "promoted")
        forging.change_payload(row, lambda payload: payload.update(approvals=[]))
        forging.replace_events(connection, events, fitting=True)
    (fault,) = approvals(custody.home).faults
    assert fault == f"event {row['sequence']} (promoted, {MODEL}) rests on 0 of the 1 approvals its contract wants"


def test_a_statement_that_is_recorded_twice_counts_once(custody: Custody) -> None:
    """A second approval with the first one's statement and signature, put in by whoever owns the database."""
    with forging.database(custody.home.root / "ledger.db") as connection:
        events = forging.rows(connection)
        (row,) = (row for row in events if row["kind"] == "approved")
        events.append(dict(row))
        forging.replace_events(connection, events, fitting=True)
    twice = [fault for fault in approvals(custody.home).faults if "which counts once" in fault]
    assert len(twice) == 1
    assert f"carries the statement of event {row['sequence']}" in twice[0]
