"""Connections are kept, and never to a file that is not the ledger any more or by a process that did not open them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from retrain_assets.contract import CustodyError, RetrainError
from retrain_assets.ledger import Ledger

from .conftest import draft


def test_a_file_that_was_removed_is_an_error_and_no_empty_ledger(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    sqlite_ledger.append(draft())
    for file in (tmp_path / "home").iterdir():
        file.unlink()
    for act in (sqlite_ledger.head, sqlite_ledger.verify, lambda: sqlite_ledger.append(draft())):
        with pytest.raises(CustodyError, match="the ledger is gone"):
            act()
    assert list((tmp_path / "home").iterdir()) == []


def test_a_file_that_was_replaced_is_opened_anew(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    """A backup is put in its place while a process has it open."""
    file = tmp_path / "home" / "ledger.db"
    sqlite_ledger.append(draft())
    sqlite_ledger.close()
    shutil.copy(file, tmp_path / "backup.db")
    sqlite_ledger.append(draft())
    assert sqlite_ledger.head()[0] == 2
    for old in (tmp_path / "home").iterdir():
        old.unlink()
    (tmp_path / "backup.db").rename(file)
    assert sqlite_ledger.head()[0] == 1
    sqlite_ledger.append(draft(reason="after the restore"))
    assert [event.reason for event in Ledger(f"sqlite:///{file}").events()][1:] == ["after the restore"]
    assert sqlite_ledger.verify() == []


def test_nothing_is_lost_where_the_file_was_read_beside_sqlite(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    """Reading the file drops this process's locks, so that another one takes itself for alone and removes the write-ahead log."""
    sqlite_ledger.append(draft())
    shutil.copytree(tmp_path / "home", tmp_path / "copy")
    code = f"""
from datetime import UTC, datetime
from retrain_assets.ledger import *
Ledger("sqlite:///{tmp_path}/home/ledger.db").append(
    EventDraft(datetime(2013, 7, 1, tzinfo=UTC), SYSTEM, EventKind.AUDIT_RECORDED, "m", "of another process"))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    sqlite_ledger.append(draft(reason="of this one"))
    subprocess.run([sys.executable, "-c", code], check=True)
    sqlite_ledger.append(draft(reason="of this one"))
    assert [event.reason for event in sqlite_ledger.events()][1:] == ["of another process", "of this one"] * 2
    assert sqlite_ledger.verify() == []


def test_the_file_alone_is_whole_after_closing(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    sqlite_ledger.append_all([draft()] * 3)
    sqlite_ledger.close()
    assert [file.name for file in (tmp_path / "home").iterdir()] == ["ledger.db"]
    shutil.copy(tmp_path / "home" / "ledger.db", tmp_path / "alone.db")
    assert Ledger(f"sqlite:///{tmp_path}/alone.db").head() == sqlite_ledger.head()


def test_a_process_that_ends_leaves_a_whole_file(tmp_path: Path) -> None:
    code = f"""
from datetime import UTC, datetime
from retrain_assets.ledger import *
ledger = Ledger("sqlite:///{tmp_path}/ledger.db")
ledger.append(EventDraft(datetime(2013, 7, 1, tzinfo=UTC), SYSTEM, EventKind.AUDIT_RECORDED, "m", "r"))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert [file.name for file in tmp_path.iterdir()] == ["ledger.db"]


def test_threads_append_to_one_ledger(ledger: Ledger) -> None:
    def append(name: str) -> None:
        for number in range(12):
            ledger.append(draft(model=name, reason=str(number)))

    threads = [threading.Thread(target=append, args=(f"thread_{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.head()[0] == 72
    assert ledger.verify() == []
    for number in range(6):
        assert [event.reason for event in ledger.events(model=f"thread_{number}")] == [str(number) for number in range(12)]


def test_a_forked_process_and_its_parent_both_go_on(url: str) -> None:
    code = f"""
import os, sys, threading, time
from datetime import UTC, datetime
from retrain_assets.ledger import *
ledger, busy = Ledger({url!r}), True
def append(name):
    ledger.append(EventDraft(datetime(2013, 7, 1, tzinfo=UTC), SYSTEM, EventKind.AUDIT_RECORDED, name, "r"))
def work():
    while busy:
        append("beside")
        time.sleep(0.002)
append("parent")
beside = threading.Thread(target=work)
beside.start()
children = []
for number in range(3):
    if not (child := os.fork()):
        for _ in range(5):
            append(f"child_{{number}}")
        os._exit(0)
    children.append(child)
    append("parent")
failed = [os.waitpid(child, 0)[1] for child in children]
busy = False
beside.join()
append("parent")
sys.exit(any(failed))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    ledger = Ledger(url)
    assert ledger.verify() == []
    assert [len(ledger.events(model=f"child_{number}")) for number in range(3)] == [5, 5, 5]
    assert len(ledger.events(model="parent")) == 5


def test_a_process_forked_within_a_transaction_does_not_touch_the_file(tmp_path: Path) -> None:
    """It has inherited the state of locks that are not its own."""
    code = f"""
import os, sys
from retrain_assets.contract import RetrainError
from retrain_assets.ledger import *
ledger = Ledger("sqlite:///{tmp_path}/ledger.db")
texts = ledger.hashes()
with ledger._database.transaction(write=True):
    child = os.fork()
    if not child:
        try:
            ledger.head()
        except RetrainError as error:
            os._exit(0 if "forked in the middle of a transaction" in error.line else 2)
        os._exit(1)
    status = os.waitpid(child, 0)[1]
ledger.head()
sys.exit(os.waitstatus_to_exitcode(status))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_connection_the_server_dropped_is_made_again(ledger: Ledger, url: str) -> None:
    import psycopg

    ledger.append(draft())
    with psycopg.connect(url, autocommit=True) as other:
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        ended = other.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}").fetchall()
    assert ended
    ledger.append(draft())
    assert ledger.head()[0] == 2


def test_a_writer_that_cannot_get_the_lock_gives_up_in_words(sqlite_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrain_assets.ledger.database.BUSY_SECONDS", 0.05)
    other = Ledger(sqlite_ledger.url)
    with other._database.transaction(write=True), pytest.raises(OperationalError, match="database is locked"):
        sqlite_ledger.append(draft())
    sqlite_ledger.append(draft())
    assert sqlite_ledger.head()[0] == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_file_nobody_may_write_is_read(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    sqlite_ledger.append(draft())
    sqlite_ledger.close()
    (tmp_path / "home" / "ledger.db").chmod(0o400)
    with pytest.raises((RetrainError, OperationalError), match="readonly"):
        sqlite_ledger.append(draft())
