"""A ledger moves to another database as it is, and is verified there."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain_assets.contract import CustodyError, RetrainError
from retrain_assets.ledger import Ledger, SystemKey, checkpoint_faults
from retrain_assets.ledger.moving import copy_ledger
from retrain_assets_tests.tampering import tampered

from .conftest import NOON, draft


def test_it_goes_to_postgresql_and_back_and_is_the_same(tmp_path: Path, postgres_database: str) -> None:
    here, there, back = f"sqlite:///{tmp_path}/here.db", postgres_database, f"sqlite:///{tmp_path}/back.db"
    ledger, key = Ledger(here), SystemKey.open(tmp_path / "system")
    ledger.append_all([draft(payload={"value": 1e-7, "text": "größer\n"})] * 700)
    ledger.add_checkpoint(key, NOON)
    ledger.append(draft(toggle="t", revision_before=0, revision_after=1))
    ledger.set_projection("flags", 600)
    head = ledger.head()
    assert copy_ledger(here, there) == copy_ledger(there, back) == head
    for url in (there, back):
        copy = Ledger(url)
        assert list(copy.texts()) == list(ledger.texts())
        assert copy.checkpoints() == ledger.checkpoints()
        assert copy.projection("flags") == 600
        assert copy.verify() == checkpoint_faults(copy, [key.public_line]) == []
        copy.append(draft(), expect_revision=("t", 1))


def test_nothing_is_written_over(tmp_path: Path) -> None:
    here, there = f"sqlite:///{tmp_path}/here.db", f"sqlite:///{tmp_path}/there.db"
    Ledger(here).append(draft())
    kept = Ledger(there).append(draft(reason="theirs"))
    with pytest.raises(RetrainError, match="there is a ledger with events already"):
        copy_ledger(here, there)
    assert Ledger(there).events() == [kept]


def test_a_broken_one_is_not_copied(tmp_path: Path) -> None:
    here, there = f"sqlite:///{tmp_path}/here.db", f"sqlite:///{tmp_path}/there.db"
    Ledger(here).append_all([draft(), draft()])
    with tampered(tmp_path / "here.db") as connection:
        connection.execute("UPDATE events SET reason = 'x' WHERE sequence = 1")
    with pytest.raises(CustodyError, match=r"event 1 .* was changed"):
        copy_ledger(here, there)
    assert Ledger(there).events() == []
