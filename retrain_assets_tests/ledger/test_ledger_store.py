"""The ledger keeps one chain, whoever writes to it and on whichever database."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from retrain_assets.contract import CustodyError, RetrainError, StaleRevision
from retrain_assets.ledger import EVERY_MODEL, GENESIS, Actor, EventKind, Ledger, ModelMoved, event_hash
from retrain_assets_tests.tampering import tampered

from .conftest import NOON, draft

PERSON = Actor("person", "ann@flights.example")


def test_an_empty_ledger_is_whole(ledger: Ledger) -> None:
    assert ledger.head() == (0, GENESIS)
    assert ledger.verify() == []
    assert ledger.events() == []


def test_each_event_names_the_one_before(ledger: Ledger) -> None:
    first, second = ledger.append(draft()), ledger.append(draft(reason="again"))
    assert (first.sequence, first.previous_hash) == (1, GENESIS)
    assert (second.sequence, second.previous_hash) == (2, first.hash)
    assert ledger.head() == (2, second.hash)
    assert ledger.verify() == []


def test_an_event_comes_back_as_it_was_written(ledger: Ledger) -> None:
    payload = {"größe": 1e21, "share": 5.0, "tiny": 1e-7, "none": None, "list": [True, "ü", {"a": 0.1}]}
    written = ledger.append(
        draft(actor=PERSON, kind=EventKind.TOGGLE_HELD, toggle="t", revision_before=3, revision_after=4, payload=payload)
    )
    (read,) = ledger.events()
    assert read == written
    assert read.payload == payload
    assert (read.actor, read.kind, read.at) == (PERSON, EventKind.TOGGLE_HELD, NOON)
    assert event_hash(read.to_json()) == read.hash
    assert read.recorded_at.tzinfo is not None


def test_the_hash_covers_every_field_but_itself(ledger: Ledger) -> None:
    event = ledger.append(draft(toggle="t", revision_before=0, revision_after=1)).to_json()
    for name, value in event.items():
        if name == "hash":
            assert event_hash({**event, name: "other"}) == event["hash"]
        else:
            other = {"kind": "person", "name": "eve"} if name == "actor" else f"{value}!"
            assert event_hash({**event, name: other}) != event["hash"], name


def test_events_are_found_by_model_retrain_kind_and_place(ledger: Ledger) -> None:
    ledger.append_all([draft(), draft(model="parcels"), draft(retrain="2013-08-01", kind=EventKind.AUDIT_RECORDED)])
    assert [event.sequence for event in ledger.events(model="flight_delay")] == [1, 3]
    assert [event.sequence for event in ledger.events(retrain="2013-08-01")] == [3]
    assert [event.sequence for event in ledger.events(kinds=[EventKind.STAGE_FAILED])] == [1, 2]
    assert [event.sequence for event in ledger.events(after=2)] == [3]


def test_several_events_are_recorded_together_or_not_at_all(ledger: Ledger) -> None:
    with pytest.raises(RetrainError, match="JSON"):
        ledger.append_all([draft(), draft(payload={"value": float("nan")})])
    assert ledger.head() == (0, GENESIS)
    assert ledger.events() == []


def test_a_time_without_timezone_is_refused(ledger: Ledger) -> None:
    with pytest.raises(RetrainError, match="timezone"):
        ledger.append(draft(at=datetime(2013, 7, 1)))  # noqa: DTZ001


def test_compare_and_set_holds_on_the_toggles_revision(ledger: Ledger) -> None:
    def flip(before: int) -> None:
        event = draft(kind=EventKind.TOGGLE_HELD, toggle="t", revision_before=before, revision_after=before + 1, actor=PERSON)
        ledger.append(event, expect_revision=("t", before))

    flip(0)
    flip(1)
    with pytest.raises(StaleRevision, match=r"revision 2 \(toggle_held by person:ann@flights.example\), not 1"):
        flip(1)
    assert ledger.head()[0] == 2
    ledger.append(draft(toggle="t"))
    flip(2)


def test_compare_and_set_holds_on_what_was_seen_of_the_model(ledger: Ledger) -> None:
    ledger.append(draft(), expect_model=("flight_delay", 0))
    ledger.append(draft(model="parcels"))
    ledger.append(draft(), expect_model=("flight_delay", 1))
    with pytest.raises(ModelMoved, match="event 3"):
        ledger.append(draft(), expect_model=("flight_delay", 1))


def test_what_is_recorded_about_every_model_counts_as_about_each(ledger: Ledger) -> None:
    ledger.append(draft(), expect_model=("flight_delay", 0))
    ledger.append(draft(model=EVERY_MODEL), expect_model=(EVERY_MODEL, 0))
    for model, seen in (("flight_delay", 1), ("parcels", 0), (EVERY_MODEL, 0)):
        with pytest.raises(ModelMoved, match="event 2"):
            ledger.append(draft(model=model), expect_model=(model, seen))
    for model in ("flight_delay", "parcels", EVERY_MODEL):
        ledger.append(draft(model=model), expect_model=(model, 2))


def test_of_several_processes_none_records_what_it_decided_before_an_event_about_every_model(url: str) -> None:
    """Each writes down the last event about every model it had seen; in the chain that very one is the last before it."""
    Ledger(url)
    code = f"""
import sys
from datetime import UTC, datetime
from retrain_assets.ledger import *
ledger, model, done = Ledger({url!r}), sys.argv[1], 0
while done < 12:
    about = [event.sequence for event in ledger.events() if event.model in (model, "*")]
    of_all = [event.sequence for event in ledger.events(model="*") if event.sequence <= max(about, default=0)]
    draft = EventDraft(datetime(2013, 7, 1, tzinfo=UTC), SYSTEM, EventKind.AUDIT_RECORDED, model, "r",
                       payload={{"seen": max(of_all, default=0)}})
    try:
        ledger.append(draft, expect_model=(model, max(about, default=0)))
        done += 1
    except ModelMoved:
        continue
"""
    running = [
        subprocess.Popen([sys.executable, "-c", code, name], stderr=subprocess.PIPE, text=True) for name in ("a", "b", "*")
    ]
    errors = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], errors
    last = 0
    for event in Ledger(url).events():
        assert event.payload["seen"] == last, event
        last = event.sequence if event.model == EVERY_MODEL else last


def test_a_watermark_never_goes_back(ledger: Ledger) -> None:
    ledger.append_all([draft()] * 7)
    assert ledger.projection("flags") == 0
    for sequence in (4, 7, 5):
        ledger.set_projection("flags", sequence)
    assert ledger.projection("flags") == 7
    assert ledger.projection("registry") == 0
    with pytest.raises(CustodyError, match="event 8, which the ledger does not have"):
        ledger.set_projection("flags", 8)
    assert ledger.verify() == []


def test_concurrent_processes_never_fork_the_chain(url: str) -> None:
    """The tables do not exist yet either: the processes also race to make them."""
    code = f"""
import sys
from datetime import UTC, datetime
from retrain_assets.ledger import *
ledger = Ledger({url!r})
for number in range(15):
    ledger.append(EventDraft(datetime(2013, 7, 1, tzinfo=UTC), SYSTEM, EventKind.AUDIT_RECORDED, sys.argv[1], f"{{number}}"))
"""
    names = [f"process_{number}" for number in range(3)]
    running = [subprocess.Popen([sys.executable, "-c", code, name], stderr=subprocess.PIPE, text=True) for name in names]
    errors = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], errors
    ledger = Ledger(url)
    assert ledger.head()[0] == 45
    assert ledger.verify() == []
    for name in names:
        assert [event.reason for event in ledger.events(model=name)] == [str(number) for number in range(15)]


def test_only_one_of_several_processes_wins_a_revision(url: str) -> None:
    Ledger(url)
    code = f"""
from datetime import UTC, datetime
from retrain_assets.contract import StaleRevision
from retrain_assets.ledger import *
try:
    Ledger({url!r}).append(
        EventDraft(datetime(2013, 7, 1, tzinfo=UTC), SYSTEM, EventKind.TOGGLE_HELD, "m", "r", toggle="t", revision_before=0,
                   revision_after=1), expect_revision=("t", 0))
    print("won")
except StaleRevision:
    print("stale")
"""
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert sorted(process.communicate(timeout=120)[0].strip() for process in running) == ["stale", "stale", "won"]


def test_a_changed_event_is_named(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    _three(sqlite_ledger)
    _edit(tmp_path, "UPDATE events SET reason = 'nothing happened' WHERE sequence = 2")
    (broken,) = sqlite_ledger.verify()
    assert broken.sequence == 2
    assert "event 2 (stage_failed, flight_delay) was changed after it was recorded" in broken.message


def test_an_event_changed_with_its_hash_breaks_the_next_link(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    _three(sqlite_ledger)
    forged = sqlite_ledger.events()[1].to_json() | {"reason": "nothing happened"}
    _edit(tmp_path, f"UPDATE events SET reason = 'nothing happened', hash = '{event_hash(forged)}' WHERE sequence = 2")
    (broken,) = sqlite_ledger.verify()
    assert broken.sequence == 3
    assert "does not follow event 2" in broken.message


@pytest.mark.parametrize(
    ("edit", "sequence", "words"),
    [
        ("DELETE FROM events WHERE sequence = 2", 2, "event 2 missing"),
        ("DELETE FROM events WHERE sequence < 3", 1, "events 1 to 2 missing"),
        ("DELETE FROM events WHERE sequence = 3", 3, "the head names event 3"),
        ("UPDATE events SET payload = '{' WHERE sequence = 1", 1, "was changed"),
        ("UPDATE events SET at = 'yesterday' WHERE sequence = 1", 1, "was changed"),
        ("UPDATE events SET revision_after = 9007199254740993 WHERE sequence = 1", 1, "was changed"),
        ("UPDATE head SET sequence = 2", 3, "the head names event 2"),
        ("UPDATE head SET hash = 'ff'", 3, "the head names event 3"),
        ("DELETE FROM head", 0, "head row is gone"),
    ],
)
def test_the_first_broken_link_is_named(sqlite_ledger: Ledger, tmp_path: Path, edit: str, sequence: int, words: str) -> None:
    _three(sqlite_ledger)
    _edit(tmp_path, edit)
    broken = sqlite_ledger.verify()[0]
    assert broken.sequence == sequence
    assert words in broken.message


@pytest.mark.parametrize(
    "edit", ["DELETE FROM events WHERE sequence = 3", "UPDATE events SET reason = 'another one' WHERE sequence = 3"]
)
def test_nothing_is_appended_to_a_chain_whose_end_is_damaged(sqlite_ledger: Ledger, tmp_path: Path, edit: str) -> None:
    _three(sqlite_ledger)
    _edit(tmp_path, edit)
    with pytest.raises(CustodyError, match="audit verify"):
        sqlite_ledger.append(draft())


def test_a_row_that_is_no_event_is_refused_not_guessed(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    _three(sqlite_ledger)
    _edit(tmp_path, "UPDATE events SET kind = 'celebrated' WHERE sequence = 1")
    with pytest.raises(CustodyError, match="stored event 1"):
        sqlite_ledger.events()


def test_the_stored_text_is_plain_json_and_iso_times(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    _three(sqlite_ledger)
    with sqlite3.connect(tmp_path / "home" / "ledger.db") as connection:
        at, payload = connection.execute("SELECT at, payload FROM events WHERE sequence = 1").fetchone()
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    connection.close()
    assert at == "2013-07-01T12:00:00.000000+00:00"
    assert json.loads(payload)["stage"] == "dataset"
    assert mode == "wal"


@pytest.mark.parametrize("url", ["mysql://somewhere/x", "sqlite://", "ledger.db"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(RetrainError, match="sqlite:///"):
        Ledger(url)


def test_a_database_that_does_not_answer_is_said_in_one_line() -> None:
    with pytest.raises(RetrainError, match="does not open") as caught:
        Ledger("postgresql://nobody:secret@127.0.0.1:1/none")
    assert "secret" not in caught.value.line


def test_times_of_other_zones_are_kept_as_utc(sqlite_ledger: Ledger) -> None:
    event = sqlite_ledger.append(draft(at=datetime.fromisoformat("2013-07-01T14:00:00+02:00")))
    assert event.at == NOON
    assert event.at.tzinfo == UTC


def _three(ledger: Ledger) -> None:
    ledger.append_all([draft(), draft(), draft()])


def _edit(tmp_path: Path, statement: str) -> None:
    with tampered(tmp_path / "home" / "ledger.db") as connection:
        connection.execute(statement)
