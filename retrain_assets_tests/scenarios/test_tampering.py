"""2,000 single changes, drawn at random, to a small home: each is found, and the first broken link is named.

Which kinds, how many of each, and what cannot be found is told in docs/verification.md.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from retrain_assets.cli.verify import NAMES, verify_home
from retrain_assets.ledger import SYSTEM, EventDraft, EventKind, Ledger, Namespace, SystemKey
from retrain_assets_tests.cli.world import MODEL
from retrain_assets_tests.scenarios import forging
from retrain_assets_tests.scenarios.forging import altered, altered_leaf, flipped
from retrain_assets_tests.scenarios.tampering import CASES, Tampered, draws

CHAIN = ("chain", "checkpoints")


def test_two_thousand_changes_are_made() -> None:
    assert sum(CASES.values()) == 2000


def test_the_home_itself_holds_in_every_part(tampered: Tampered) -> None:
    found = verify_home(tampered.home)
    assert [(part.name, part.faults, part.unchecked) for part in found.parts] == [(name, (), "") for name in NAMES]


@pytest.mark.parametrize("part", range(3))
def test_every_changed_value_of_every_table_is_found_and_its_event_named(tampered: Tampered, part: int) -> None:
    with closing(sqlite3.connect(tampered.database)) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    assert {"events", "head", "projections", "checkpoints"} <= set(tables)
    for number, draw in enumerate(draws("values", part, every=3)):
        table = draw.choice([*tables, *["events"] * 12])
        what, named = _changed_value(tampered, table, draw)
        said = tampered.found(*CHAIN) or tampered.found("flags", "aliases", "anchors")
        assert re.search(named, said), f"{what}: {said!r}"
        if number == 0:
            assert re.search(named, tampered.told())
        tampered.restore()


def _changed_value(tampered: Tampered, table: str, draw: random.Random) -> tuple[str, str]:
    """Change one value; what was changed, and a pattern of what has to be said."""
    with forging.database(tampered.database) as connection:
        cursor = connection.execute(f"SELECT rowid AS place, * FROM {table}")
        names = [column[0] for column in cursor.description]
        row = dict(zip(names, draw.choice(cursor.fetchall()), strict=True))
        column = draw.choice([name for name in names if name != "place"])
        value = altered(row[column], draw)
        try:
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value, row["place"]))
        except sqlite3.IntegrityError:
            connection.execute(f"DELETE FROM {table} WHERE rowid = ?", (row["place"],))
    named = {
        "events": rf"event {row.get('sequence')}\b|first event|event \d+"
        if column == "sequence"
        else rf"event {row.get('sequence')}\b",
        "head": "head",
        "projections": "watermark|notes|progress|checkpoints were made",
        "checkpoints": "checkpoint",
    }.get(table, "schema|revision|version")
    return f"{table}.{column}: {row[column]!r} -> {value!r}", named


@pytest.mark.parametrize("part", range(2))
def test_every_changed_byte_of_the_database_is_found_or_changes_nothing_that_is_stored(tampered: Tampered, part: int) -> None:
    """A byte of a page's unused room, or of a counter SQLite does not rely on, leaves every stored value as it was."""
    before = _dump(tampered.database)
    found = harmless = 0
    for draw in draws("bytes of the database", part, every=2):
        at = flipped(tampered.database, draw)
        after = _dump(tampered.database)
        said = tampered.found(*CHAIN) or tampered.found("flags", "aliases")
        assert said or after == before, f"byte {at}"
        found += bool(said)
        harmless += not said
        tampered.restore()
    assert found + harmless == CASES["bytes of the database"] // 2
    assert found > harmless // 3


def _dump(database: Path) -> list[str] | None:
    """Everything that is stored; None where SQLite cannot read it."""
    copy = database.with_name("looked-at.db")
    shutil.copy(database, copy)
    try:
        with closing(sqlite3.connect(copy)) as connection:
            return list(connection.iterdump())
    except (sqlite3.Error, UnicodeDecodeError):
        return None
    finally:
        for path in (copy, copy.with_name("looked-at.db-wal"), copy.with_name("looked-at.db-shm")):
            path.unlink(missing_ok=True)


def test_removed_inserted_doubled_and_exchanged_events_are_found_where_they_stand(tampered: Tampered) -> None:
    for number, draw in enumerate(draws("events")):
        with forging.database(tampered.database) as connection:
            events = forging.rows(connection)
            at = _rearranged(events, draw)
            forging.replace_events(connection, events, fitting=False, head=draw.random() < 0.5)
        said = tampered.found(*CHAIN)
        assert re.search(rf"event {at}\b|events {at} to|event {at - 1} comes|sequence is {at}|after event {at - 1}\b", said), (
            f"{at}: {said!r}"
        )
        if number == 0:
            assert f"event {at}" in tampered.told()
        tampered.restore()


def _rearranged(events: list[forging.Row], draw: random.Random, *, naive: bool = True) -> int:
    """Take one away, put one in, or exchange two that are neighbours; the place where the record first differs."""
    at = draw.randrange(len(events) - 1)
    how = draw.choice(("remove", "insert", "exchange", "double"))
    if how == "remove":
        del events[at]
    elif how == "exchange":
        first, second = events[at], events[at + 1]
        events[at], events[at + 1] = {**second, "sequence": first["sequence"]}, {**first, "sequence": second["sequence"]}
    else:
        source = events[at] if how == "double" else draw.choice(events)
        made = {**source, "reason": source["reason"] + ("" if how == "double" else " indeed")}
        made |= {"hash": f"{draw.getrandbits(256):064x}", "previous_hash": f"{draw.getrandbits(256):064x}"} if naive else {}
        for row in reversed(events[at:]):
            row["sequence"] += 1
        events.insert(at, {**made, "sequence": at + 1})
    return at + 1


@pytest.mark.parametrize("thorough", [False, True], ids=["checkpoints-left", "checkpoints-taken-away"])
def test_a_history_that_was_rewritten_with_every_hash_is_found(tampered: Tampered, thorough: bool) -> None:
    """By the checkpoints; by the heads in the registry and in Dagster where those of the database are gone."""
    for number, draw in enumerate(draws("rewritten history", every=4, skip=not thorough)):
        with forging.database(tampered.database) as connection:
            events = forging.rows(connection)
            at = _rewritten(events, draw)
            forging.replace_events(connection, events, fitting=True)
            if thorough:
                forging.hide(connection, at)
        part, by = ("anchors", r"carries event \d+") if thorough else ("checkpoints", r"checkpoint \d+: ")
        said = tampered.found(part)
        if not re.search(by, said):
            said, by = tampered.found("chain"), rf"event {at} (is not an event any more|.*this release never writes)"
        assert re.search(by, said), f"{at}: {said!r}"
        named = int(re.findall(r"(?:event|checkpoint) (\d+)", said)[0])
        assert named >= at, "an anchor before the change still holds"
        if number == 0:
            (first, last) = re.findall(r"the first change lies in events (\d+) to (\d+)", tampered.told())[0]
            assert int(first) <= at <= int(last)
        tampered.restore()


def _rewritten(events: list[forging.Row], draw: random.Random) -> int:
    if draw.random() < 0.5:
        return _rearranged(events, draw, naive=False)
    at = draw.randrange(len(events))
    column = draw.choice(("reason", "at", "actor_name", "payload"))
    if column == "payload":
        payload = json.loads(events[at]["payload"])
        if payload:
            altered_leaf(payload, draw)
        else:
            payload["more"] = 1
        events[at]["payload"] = json.dumps(payload)
    else:
        events[at][column] = altered(events[at][column], draw)
    return at + 1


def test_an_approval_that_was_changed_with_every_hash_is_refuted_by_its_own_signature(tampered: Tampered) -> None:
    """Also without any checkpoint or anchor: what a person signed is bound to version, bundle, evidence, ledger and reason."""
    by_signature = 0
    for number, draw in enumerate(draws("approvals")):
        with forging.database(tampered.database) as connection:
            events = forging.rows(connection)
            signed = [row for row in events if '"signed"' in row["payload"]]
            assert {row["kind"] for row in signed} >= {"approved", "champion_bootstrapped", "rolled_back"}
            row = draw.choice(signed)
            payload = json.loads(row["payload"])
            path = altered_leaf(payload, draw, but=lambda path: not path.startswith(".signed.") and path not in SIGNED_FIELDS)
            row["payload"] = json.dumps(payload)
            forging.replace_events(connection, events, fitting=True)
        said = tampered.found("approvals")
        by_signature += bool(said)
        said = said or tampered.found("checkpoints")
        assert re.search(rf"event {row['sequence']}\b|checkpoint", said), f"{path}: {said!r}"
        if number == 0:
            tampered.told()
        tampered.restore()
    assert by_signature >= 0.9 * CASES["approvals"]


SIGNED_FIELDS = (".version", ".bundle", ".evidence", ".contract_digest")


@pytest.mark.parametrize("thorough", [False, True], ids=["checkpoints-left", "checkpoints-taken-away"])
def test_a_tail_that_was_cut_off_with_a_fitting_head_is_found(tampered: Tampered, thorough: bool) -> None:
    for number, draw in enumerate(draws("tail", every=4, skip=not thorough)):
        with forging.database(tampered.database) as connection:
            events = forging.rows(connection)
            kept = draw.randrange(1, len(events))
            forging.replace_events(connection, events[:kept], fitting=True)
            if thorough:
                forging.hide(connection, kept + 1)
        said = tampered.found("anchors") if thorough else tampered.found(*CHAIN)
        assert re.search(r"its tail was taken away" if thorough else r"watermark|checkpoint \d+|missing", said), (
            f"{kept}: {said!r}"
        )
        if number == 0:
            tampered.told()
        tampered.restore()


def test_checkpoints_that_were_changed_exchanged_or_taken_away_are_found(tampered: Tampered, tmp_path: Path) -> None:
    stranger = SystemKey.open(tmp_path / "stranger")
    made = Ledger(tampered.home.ledger_url).checkpoints()
    for number, draw in enumerate(draws("checkpoints")):
        one = draw.choice(made)
        how = draw.choice(("gone", "of another", "of a stranger", "changed", "changed", "changed"))
        with forging.database(tampered.database) as connection:
            where = "WHERE sequence = ?"
            if how == "gone":
                connection.execute(f"DELETE FROM checkpoints {where}", (one.sequence,))
            elif how == "of another":
                other = draw.choice([found for found in made if found != one])
                values = (other.signature, one.sequence)
                connection.execute(f"UPDATE checkpoints SET signature = ? {where}", values)
            elif how == "of a stranger":
                signature = stranger.sign(one.statement, Namespace.CHECKPOINT)
                signed = (signature, stranger.fingerprint, one.sequence)
                connection.execute(f"UPDATE checkpoints SET signature = ?, key = ? {where}", signed)
            else:
                column = draw.choice(("statement", "signature", "key", "peaks"))
                (value,) = connection.execute(f"SELECT {column} FROM checkpoints {where}", (one.sequence,)).fetchone()
                connection.execute(f"UPDATE checkpoints SET {column} = ? {where}", (altered(value, draw), one.sequence))
        said = tampered.found(*CHAIN)
        assert re.search("checkpoints were made" if how == "gone" else rf"checkpoint {one.sequence}: ", said), f"{how}: {said!r}"
        if number == 0:
            tampered.told()
        tampered.restore()


def test_what_comes_after_the_last_anchor_can_be_cut_off_by_whoever_owns_the_database(tampered: Tampered) -> None:
    """The limit of the proof, so that nobody takes it for more than it is; ``retrain audit checkpoint`` moves the anchor."""
    ledger = Ledger(tampered.home.ledger_url)
    draft = EventDraft(datetime(2024, 6, 2, tzinfo=UTC), SYSTEM, EventKind.RECORD_EXPORTED, MODEL, "an export nobody anchored")
    added = ledger.append(draft)
    assert not tampered.found()
    with forging.database(tampered.database) as connection:
        events = forging.rows(connection)
        assert events[-1]["sequence"] == added.sequence
        forging.replace_events(connection, events[:-1], fitting=True)
    assert not tampered.found()
