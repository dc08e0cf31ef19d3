"""A ledger that a released version wrote still verifies, means what it meant, and goes on; one of a later version is refused.

``released/N`` holds what that release wrote by its own code (``released/record.py``); nobody writes it anew.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.contract import CustodyError
from retrain_assets.ledger import EventKind, Ledger, checkpoint_faults, versions
from retrain_assets.ledger.schema import REVISIONS
from retrain_assets.release import fold, toggle_view
from retrain_assets_tests.release.world import MODEL, RUTH, SettableClock, World

from .conftest import draft

FOLDERS = sorted((Path(__file__).parent / "released").glob("[0-9]*"))
RELEASES = [folder.name for folder in FOLDERS]


def sql(release: str) -> str:
    return gzip.decompress((FOLDERS[0].parent / release / "ledger.sql.gz").read_bytes()).decode()


def said(release: str) -> dict[str, Any]:
    return json.loads((FOLDERS[0].parent / release / "state.json").read_text())  # type: ignore[no-any-return]


def put_back(release: str, path: Path) -> str:
    """The URL of a SQLite file with that ledger."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(sql(release))
    return f"sqlite:///{path}"


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_release_so_far_left_a_ledger() -> None:
    assert [str(number) for number in range(1, len(RELEASES) + 1)] == RELEASES
    assert len(RELEASES) >= 6


def test_it_is_upgraded_verifies_means_what_it_meant_and_goes_on(release: str, tmp_path: Path) -> None:
    goes_on(Ledger(put_back(release, tmp_path / "ledger.db")), said(release))


def test_so_does_the_newest_one_on_postgresql(postgres_database: str, tmp_path: Path) -> None:
    """As a ledger that was moved there: the rows of the file, in tables of the schema of then."""
    release = RELEASES[-1]
    with closing(sqlite3.connect(put_back(release, tmp_path / "file" / "ledger.db").removeprefix("sqlite:///"))) as file:
        file.row_factory = sqlite3.Row
        tables = ("events", "head", "checkpoints")
        rows = {table: [dict(row) for row in file.execute(f"SELECT * FROM {table}")] for table in tables}
    as_of_then(postgres_database, rows)
    goes_on(Ledger(postgres_database), said(release))


def as_of_then(url: str, rows: Mapping[str, list[dict[str, Any]]]) -> None:
    import sqlalchemy as sa
    from alembic import command
    from alembic.config import Config

    from retrain_assets.ledger import tables

    config = Config()
    config.set_main_option("script_location", str(Path(tables.__file__).parent / "migrations"))
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        config.attributes.update(connection=connection, version_table=tables.VERSION.name)
        command.upgrade(config, "0003")
        for table in (tables.EVENTS, tables.CHECKPOINTS):
            if rows[table.name]:
                connection.execute(table.insert(), rows[table.name])
        head = rows["head"][0]
        connection.execute(tables.HEAD.update().values(sequence=head["sequence"], hash=head["hash"]))


def goes_on(ledger: Ledger, was: dict[str, Any]) -> None:
    assert [*ledger.verify(), *checkpoint_faults(ledger)] == []
    assert list(ledger.head()) == was["head"]
    state = fold(ledger.events())[MODEL]
    assert state.champion is not None
    assert [state.champion.version, state.champion.bundle] == was["champion"]
    assert [[one.version.version, one.how, one.retrain] for one in state.champion_history] == was["reigns"]
    assert {
        name: {
            "state": str(one.state),
            "revision": one.revision,
            "stage": one.stage,
            "share": one.share,
            "owner": one.owner,
            "expires_at": one.expires_at and one.expires_at.isoformat(),
            "approvals": [item.approver for item in one.approvals],
        }
        for name, one in state.toggles.items()
    } == was["toggles"]
    assert {
        key: {
            "candidate": one.candidate and one.candidate.version,
            "ended": one.ended and str(one.ended),
            "decision": one.decision and one.decision.decision,
            "failure": one.failure,
            "gates": {str(gate): str(record.outcome) for gate, record in one.verdicts.items()},
        }
        for key, one in state.retrains.items()
    } == was["retrains"]
    sequence = ledger.append(draft(model=MODEL, retrain="2013-07-17")).sequence
    assert sequence == was["head"][0] + 1
    assert ledger.verify() == []


def test_its_open_ramp_is_shown_and_moved_on_by_this_program(release: str, tmp_path: Path) -> None:
    put_back(release, tmp_path / "ledger.db")
    last = Ledger(f"sqlite:///{tmp_path}/ledger.db").events()[-1].at
    world = World(tmp_path, SettableClock(last))
    toggle = world.toggle("2013-08-10")
    json.dumps(toggle_view(toggle, last, world.controller.platform()))
    world.evidence.put(dict(toggle.contract))
    if toggle.active:
        assert world.controller.rollback(toggle.name, RUTH, "the shop is closed").state == "rolled_back"
    assert world.controller.decide(MODEL, "2013-08-10").decision == "reject"
    world.clock.forward(days=8)
    world.awaiting("2013-09-01")
    assert world.ledger.verify() == []


@pytest.mark.parametrize("added", [{"kind": "shadow_started"}, {"payload": '{"payload_version":2,"stage":"dataset"}'}])
def test_an_older_program_says_that_a_newer_one_wrote_an_event(added: dict[str, str], tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    ledger.append(draft())
    ledger.close()
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection, connection:
        connection.execute("DROP TRIGGER events_never_changed")
        for column, value in added.items():
            connection.execute(f"UPDATE events SET {column} = ?", (value,))
    with pytest.raises(CustodyError, match=r"event 1 .*(does not know|knows it up to 1); use the version") as refused:
        ledger.events()
    assert "\n" not in refused.value.line


def test_a_payload_of_an_earlier_version_is_read_as_the_present_one_and_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    first = ledger.append(draft(payload={"at_stage": "dataset", "message": "0 rows"}))
    renamed = {EventKind.STAGE_FAILED: (lambda old: {"stage": old["at_stage"], "message": old["message"]},)}
    monkeypatch.setattr(versions, "UPCASTS", renamed)
    (read,) = ledger.events()
    assert read == first
    assert versions.current(read).payload == {"stage": "dataset", "message": "0 rows", "payload_version": 2}
    second = ledger.append(draft(payload={"stage": "dataset", "message": "0 rows"}))
    assert second.payload["payload_version"] == 2
    assert versions.current(second) is second
    assert ledger.verify() == []
    assert replace(versions.current(read), payload={}) == replace(read, payload={})
    launched = draft(kind=EventKind.RETRAIN_LAUNCHED, payload={"trigger": {}, "contract_digest": "sha256:" + "0" * 64})
    state = fold([replace(ledger.append(launched), sequence=1), read, second])["flight_delay"]
    assert state.retrains["2013-07-01"].failure == "dataset: 0 rows"


def test_the_schema_of_every_release_is_one_this_program_upgrades(release: str) -> None:
    text = sql(release)
    found = [one for one in REVISIONS if f"INSERT INTO \"ledger_version\" VALUES('{one}')" in text]
    assert bool(found) == ("CREATE TABLE ledger_version" in text)
