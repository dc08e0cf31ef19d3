"""A checkpoint counts by its signature, its key, and the chain it was made of."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from retrain_assets.contract import CustodyError, RetrainError, sha256_hex
from retrain_assets.ledger import (
    Checkpoint,
    EventKind,
    Ledger,
    Namespace,
    SystemKey,
    checkpoint_faults,
    recorded_keys,
    signed_by,
    trusted_checkpoint,
)
from retrain_assets.ledger.merkle import Tree
from retrain_assets_tests.tampering import tampered

from .conftest import NOON, draft


@pytest.fixture
def key(tmp_path: Path) -> SystemKey:
    return SystemKey.open(tmp_path / "keys" / "system")


@pytest.fixture
def other(tmp_path: Path) -> SystemKey:
    return SystemKey.open(tmp_path / "keys" / "other")


def said(ledger: Ledger, *pinned: SystemKey) -> str:
    return "\n".join(fault.message for fault in checkpoint_faults(ledger, [one.public_line for one in pinned] or None))


def test_it_says_where_the_chain_stands_and_holds(ledger: Ledger, key: SystemKey) -> None:
    ledger.append_all([draft()] * 4)
    made = ledger.add_checkpoint(key, NOON)
    events = ledger.events()
    assert made.anchor == f"5:{events[-1].hash}"
    assert (made.ledger, made.at, made.key) == (events[0].hash, NOON, key.fingerprint)
    assert made.root == Tree(bytes.fromhex(event.hash) for event in events).root.hex()
    assert ledger.checkpoints() == [made]
    assert checkpoint_faults(ledger) == checkpoint_faults(ledger, [key.public_line]) == ledger.verify() == []
    assert trusted_checkpoint(ledger) == trusted_checkpoint(ledger, [key.public_line]) == made
    assert Checkpoint.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_the_first_one_records_the_key_and_the_same_head_is_signed_once(ledger: Ledger, key: SystemKey) -> None:
    first = ledger.add_checkpoint(key, NOON)
    (added,) = ledger.events()
    assert (added.kind, added.model) == (EventKind.SYSTEM_KEY_ADDED, "*")
    assert added.payload == {"key": key.public_line, "fingerprint": key.fingerprint, "replaces": None}
    assert ledger.add_checkpoint(key, NOON + timedelta(days=1)) == first
    assert len(ledger.checkpoints()) == len(ledger.events()) == 1


def test_each_goes_on_where_the_one_before_ended(ledger: Ledger, key: SystemKey) -> None:
    for number in range(1, 14):
        ledger.append_all([draft()] * (number % 4))
        made = ledger.add_checkpoint(key, NOON)
        assert made.root == Tree(map(bytes.fromhex, ledger.hashes())).root.hex()
    assert checkpoint_faults(ledger) == []


def test_ssh_keygen_alone_verifies_it(ledger: Ledger, key: SystemKey, tmp_path: Path) -> None:
    made = ledger.add_checkpoint(key, NOON)
    (tmp_path / "checkpoint.sig").write_text(made.signature)
    (tmp_path / "allowed").write_text(f"retrain {key.public_line}\n")
    subprocess.run(
        ["ssh-keygen", "-Y", "verify", "-f", "allowed", "-I", "retrain", "-n", str(Namespace.CHECKPOINT), "-s", "checkpoint.sig"],
        input=made.statement,
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )


def test_another_key_is_recorded_with_the_one_it_replaces(ledger: Ledger, key: SystemKey, other: SystemKey) -> None:
    ledger.add_checkpoint(key, NOON)
    second = ledger.add_checkpoint(other, NOON)
    assert [(one.fingerprint, one.since, one.until) for one in recorded_keys(ledger.events())] == [
        (key.fingerprint, 1, 2),
        (other.fingerprint, 2, None),
    ]
    assert ledger.events()[-1].payload["replaces"] == key.fingerprint
    assert said(ledger) == said(ledger, other) == ""
    assert f"the newest one is signed with key {other.fingerprint}" in said(ledger, key)
    assert trusted_checkpoint(ledger, [key.public_line]) == ledger.checkpoints()[0]
    assert signed_by(second, other.public_line)
    assert not signed_by(second, key.public_line)


def test_a_ledger_without_checkpoints_proves_nothing_to_whoever_knows_the_key(ledger: Ledger, key: SystemKey) -> None:
    ledger.append(draft())
    assert said(ledger) == ""
    assert "there is no checkpoint" in said(ledger, key)
    assert trusted_checkpoint(ledger) is None


def forged(ledger: Ledger, file: Path, signer: SystemKey, change: Callable[[Checkpoint], Checkpoint]) -> None:
    """Put a checkpoint that says something else in the place of the newest one, properly signed by a key."""
    made = replace(change(ledger.checkpoints()[-1]), key=signer.fingerprint)
    row = (made.sequence, made.statement.decode(), signer.sign(made.statement, Namespace.CHECKPOINT), made.key)
    with tampered(file) as connection:
        connection.execute("UPDATE checkpoints SET sequence = ?, statement = ?, signature = ?, key = ?", row)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: replace(one, head="f" * 64), "its last event has hash"),
        (lambda one: replace(one, root="f" * 64), "do not give the root"),
        (lambda one: replace(one, ledger="f" * 64), "it is of ledger ffffffffffff…"),
        (lambda one: replace(one, sequence=99), "it covers 99 events, the ledger has 4"),
        (lambda one: replace(one, sequence=3), "its last event has hash"),
    ],
    ids=["head", "root", "ledger", "ahead", "behind"],
)
def test_what_it_says_has_to_be_true_of_the_chain_even_if_it_is_properly_signed(
    sqlite_ledger: Ledger, tmp_path: Path, key: SystemKey, change: Callable[[Checkpoint], Checkpoint], words: str
) -> None:
    sqlite_ledger.append_all([draft()] * 3)
    sqlite_ledger.add_checkpoint(key, NOON)
    forged(sqlite_ledger, tmp_path / "home" / "ledger.db", key, change)
    assert words in said(sqlite_ledger)


def test_a_key_the_ledger_does_not_name_counts_for_nothing(
    sqlite_ledger: Ledger, tmp_path: Path, key: SystemKey, other: SystemKey
) -> None:
    sqlite_ledger.add_checkpoint(key, NOON)
    forged(sqlite_ledger, tmp_path / "home" / "ledger.db", other, lambda one: one)
    assert f"it is signed with key {other.fingerprint}, which the ledger does not name" in said(sqlite_ledger)
    assert trusted_checkpoint(sqlite_ledger) is None
    assert said(sqlite_ledger, other) == "", "whoever knows the key from outside knows better"


def test_a_key_that_was_replaced_signs_no_more(sqlite_ledger: Ledger, tmp_path: Path, key: SystemKey, other: SystemKey) -> None:
    sqlite_ledger.append(draft())
    sqlite_ledger.add_checkpoint(key, NOON)
    with tampered(tmp_path / "home" / "ledger.db") as connection:
        connection.execute("DELETE FROM checkpoints")
    sqlite_ledger.add_checkpoint(other, NOON)
    forged(sqlite_ledger, tmp_path / "home" / "ledger.db", key, lambda one: one)
    assert f"it is signed with key {key.fingerprint}, which event 3 had replaced" in said(sqlite_ledger)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ("SET signature = replace(signature, '-----END', ' -----END')", "the text of its signature was changed"),
        ("SET signature = signature || char(10)", "the text of its signature was changed"),
        ("SET signature = ''", "it is not an SSH signature"),
        ("SET signature = x'00'", "its signature is no text"),
        ("SET statement = replace(statement, '{', '{ ')", "its statement is not the one that was signed"),
        ("SET statement = replace(statement, '2013-07-01', '2013-07-02')", "the signature is not of what it is said to be of"),
        ("SET statement = '[]'", "its statement names no event"),
        ("SET key = 'SHA256:x'", "not with the one it names"),
        ("SET sequence = 'one'", "its statement is about event 1"),
        ("SET peaks = upper(peaks)", "the compact range"),
        ("SET peaks = ''", "the compact range"),
    ],
)
def test_a_changed_row_is_named(sqlite_ledger: Ledger, tmp_path: Path, key: SystemKey, edit: str, words: str) -> None:
    sqlite_ledger.add_checkpoint(key, NOON)
    with tampered(tmp_path / "home" / "ledger.db") as connection:
        connection.execute(f"UPDATE checkpoints {edit}")
    assert words in said(sqlite_ledger)


def test_a_signature_given_for_something_else_counts_for_nothing(sqlite_ledger: Ledger, tmp_path: Path, key: SystemKey) -> None:
    made = sqlite_ledger.add_checkpoint(key, NOON)
    with tampered(tmp_path / "home" / "ledger.db") as connection:
        connection.execute("UPDATE checkpoints SET signature = ?", (key.sign(made.statement, Namespace.EXPORT),))
    assert "its signature was given for 'export@retrain-assets'" in said(sqlite_ledger)


def test_none_is_made_on_a_damaged_one_or_a_damaged_end(sqlite_ledger: Ledger, tmp_path: Path, key: SystemKey) -> None:
    sqlite_ledger.add_checkpoint(key, NOON)
    sqlite_ledger.append(draft())
    with tampered(tmp_path / "home" / "ledger.db") as connection:
        connection.execute("UPDATE checkpoints SET peaks = ?", ("a" * 64,))
    with pytest.raises(CustodyError, match="does not give its root"):
        sqlite_ledger.add_checkpoint(key, NOON)
    with tampered(tmp_path / "home" / "ledger.db") as connection:
        connection.execute("UPDATE events SET reason = 'x' WHERE sequence = 2")
    with pytest.raises(CustodyError, match="not what its hash stands for"):
        sqlite_ledger.add_checkpoint(key, NOON)


def test_one_event_is_proved_without_the_others(ledger: Ledger, key: SystemKey) -> None:
    ledger.append_all([draft()] * 6)
    made = ledger.add_checkpoint(key, NOON)
    ledger.append(draft())
    texts = {one.sequence: one.text for one in ledger.texts()}
    for proof in ledger.inclusions(range(1, 8), made):
        event_hash = sha256_hex(texts[proof.sequence].encode())
        assert len(proof.path) <= 3
        assert proof.holds(event_hash, made.root)
        assert not proof.holds(sha256_hex(b"another"), made.root)
        assert not replace(proof, sequence=proof.sequence % 7 + 1).holds(event_hash, made.root)
        assert not replace(proof, path=("no hash", *proof.path)).holds(event_hash, made.root)
    assert ledger.inclusion(3, made).to_json()["size"] == 7
    with pytest.raises(RetrainError, match="checkpoint 7 does not cover event 8"):
        ledger.inclusion(8, made)
    with pytest.raises(CustodyError, match="do not give the root"):
        ledger.inclusion(1, replace(made, root="f" * 64))


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"statement": {}, "key": "k", "signature": "s"},
        {"statement": {"sequence": 1}, "key": "k", "signature": "s"},
        {"statement": 1},
    ],
)
def test_what_is_no_checkpoint_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(CustodyError, match="it is not a checkpoint"):
        Checkpoint.from_json(value)


def test_one_that_is_older_than_the_one_before_is_named(sqlite_ledger: Ledger, tmp_path: Path, key: SystemKey) -> None:
    sqlite_ledger.add_checkpoint(key, datetime(2013, 7, 2, tzinfo=UTC))
    sqlite_ledger.append(draft())
    made = sqlite_ledger.add_checkpoint(key, datetime(2013, 7, 3, tzinfo=UTC))
    older = replace(made, at=datetime(2013, 7, 1, tzinfo=UTC))
    row = (older.statement.decode(), key.sign(older.statement, Namespace.CHECKPOINT))
    with tampered(tmp_path / "home" / "ledger.db") as connection:
        connection.execute("UPDATE checkpoints SET statement = ?, signature = ? WHERE sequence = 2", row)
    assert "checkpoint 2: it is older than checkpoint 1 before it" in said(sqlite_ledger)


def test_a_clock_that_went_back_breaks_nothing(ledger: Ledger, key: SystemKey) -> None:
    """What is signed is never changed: a checkpoint that contradicts the one before would stay broken for ever."""
    ledger.add_checkpoint(key, datetime(2013, 7, 2, tzinfo=UTC))
    ledger.append(draft())
    assert ledger.add_checkpoint(key, datetime(2013, 7, 1, tzinfo=UTC)).at == datetime(2013, 7, 2, tzinfo=UTC)
    assert said(ledger) == ""
