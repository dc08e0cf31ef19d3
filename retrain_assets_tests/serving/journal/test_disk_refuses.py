"""A disk that refuses: the call fails as a whole, nothing of it stays, and writing goes on by itself when space returns."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from retrain_assets.home import Home
from retrain_assets.serving import ExposureLog
from retrain_assets.serving.journal import LogUnavailable, TrafficJournal, recover
from retrain_assets_tests.serving.journal.patience import until
from retrain_assets_tests.serving.journal.rows import MODEL, exposures

CODE = """
import json, sys
from pathlib import Path
from retrain_assets_tests.serving.journal.test_disk_refuses import fill
print(json.dumps(fill(Path(sys.argv[1]))))
"""


def fill(root: Path) -> dict[str, object]:
    """Write while the kernel takes no more than a few bytes of any file (EFBIG, as ENOSPC in the middle of a write)."""
    home = Home(root)
    journal = TrafficJournal(home, rotate_after=timedelta(milliseconds=50))
    acknowledged, refused = [], []

    def append(name: str, rows: int) -> None:
        requests = [f"{name}-{row}" for row in range(rows)]
        try:
            journal.append_now(MODEL, "exposures", exposures(*requests))
            acknowledged.extend(requests)
        except LogUnavailable as fault:
            refused.append(fault.line)

    def sizes() -> list[int]:
        return [path.stat().st_size for path in home.journal_dir(MODEL).glob("*.ndjson")]

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    append("before", 3)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, most))
    for number in range(10):
        append(f"full{number}", 40)
    full = journal.state()
    torn = [path.read_bytes()[-1:] for path in home.journal_dir(MODEL).glob("*.ndjson") if path.stat().st_size]
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    append("after", 3)
    until(lambda: journal.state().fault is None)
    journal.close_now()
    return {
        "acknowledged": acknowledged,
        "refused": refused,
        "fault": full.fault,
        "waiting": full.waiting_rows,
        "torn": [one.decode() for one in torn],
        "sizes": sizes(),
    }


def test_a_full_disk_refuses_whole_calls_and_writing_goes_on_when_space_returns(retrain_home: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(retrain_home)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["acknowledged"] == [f"{name}-{row}" for name in ("before", "after") for row in range(3)]
    assert len(told["refused"]) == 10
    assert all("the journal cannot be written (File too large)" in line for line in told["refused"])
    assert "File too large" in told["fault"]
    assert told["waiting"] == 0
    assert set(told["torn"]) <= {"\n"}
    assert told["sizes"] == []
    assert sorted(ExposureLog(Home(retrain_home)).read_exposures(MODEL)["request_id"]) == sorted(told["acknowledged"])


@pytest.fixture
def journal(retrain_home: Path) -> Iterator[TrafficJournal]:
    journal = TrafficJournal(Home(retrain_home), rotate_after=timedelta(hours=1))
    yield journal
    journal.close_now()


def refusing(real: Callable[..., object], refuses: threading.Event) -> Callable[..., object]:
    def refused(*given: object) -> object:
        if refuses.is_set():
            raise OSError(5, os.strerror(5))
        return real(*given)

    return refused


@pytest.mark.parametrize("cannot", [("fdatasync",), ("fdatasync", "ftruncate"), ("pwrite",), ("open",), ("fsync",)])
def test_what_could_not_be_synchronised_is_in_no_file_and_later_rows_are(
    retrain_home: Path, journal: TrafficJournal, cannot: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    refuses = threading.Event()
    begun = cannot[0] in ("fdatasync", "pwrite")
    if begun:
        journal.append_now(MODEL, "exposures", exposures("before"))
    for name in cannot:
        monkeypatch.setattr(os, name, refusing(getattr(os, name), refuses))
    refuses.set()
    for number in range(3):
        with pytest.raises(LogUnavailable, match="Input/output error"):
            journal.append_now(MODEL, "exposures", exposures(f"refused {number}", "repeated"))
    assert "Input/output error" in str(journal.state().fault)
    assert begun or not list(Home(retrain_home).journal_dir(MODEL).glob("*"))
    refuses.clear()
    journal.append_now(MODEL, "exposures", exposures("after", "repeated"))
    assert journal.state().fault is None
    journal.close_now()
    expected = ["after", *(["before"] if begun else []), "repeated"]
    assert sorted(ExposureLog(Home(retrain_home)).read_exposures(MODEL)["request_id"]) == expected
    assert journal.state().repeated_rows == 0


def test_a_home_nobody_may_write_to_refuses_and_says_so(retrain_home: Path, journal: TrafficJournal) -> None:
    home = Home(retrain_home)
    home.journal_dir(MODEL).parent.mkdir(parents=True)
    home.journal_dir(MODEL).write_bytes(b"in the way")
    with pytest.raises(LogUnavailable, match=r"^journal of flight_delay: the journal cannot be written \(.*\); free"):
        journal.append_now(MODEL, "exposures", exposures(1))
    assert str(journal.state().fault).startswith(f"{home.journal_dir(MODEL)}: the journal cannot be written")
    home.journal_dir(MODEL).unlink()
    journal.append_now(MODEL, "exposures", exposures(1))


def test_a_full_disk_while_sealing_keeps_the_rows_and_ends_by_itself(
    retrain_home: Path, journal: TrafficJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuses = threading.Event()
    refuses.set()
    monkeypatch.setattr(os, "fsync", refusing(os.fsync, threading.Event()))
    journal.append_now(MODEL, "exposures", exposures(1))
    monkeypatch.setattr(os, "fsync", refusing(os.fsync, refuses))
    journal.close_now()
    home = Home(retrain_home)
    assert "cannot be sealed, its rows are kept there" in str(journal.state().fault)
    assert not list(home.exposures_dir(MODEL).glob(".*"))
    refuses.clear()
    recover(home)
    assert ExposureLog(home).read_exposures(MODEL).height == 1


def test_what_was_refused_is_cut_off_before_somebody_else_may_seal_the_segment(
    retrain_home: Path, journal: TrafficJournal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    home, refuses = Home(retrain_home), {name: threading.Event() for name in ("fdatasync", "ftruncate", "fsync")}
    for name, event in refuses.items():
        monkeypatch.setattr(os, name, refusing(getattr(os, name), event))
    journal.append_now(MODEL, "exposures", exposures("before"))
    for event in refuses.values():
        event.set()
    with pytest.raises(LogUnavailable):
        journal.append_now(MODEL, "exposures", exposures("refused"))
    until(lambda: "cannot be sealed" in caplog.text)
    (segment,) = home.journal_dir(MODEL).glob("*.ndjson")
    assert b"refused" in segment.read_bytes()
    assert recover(home) == []
    refuses["ftruncate"].clear()
    journal.close_now()
    assert b"refused" not in segment.read_bytes()
    refuses["fsync"].clear()
    recover(home)
    assert ExposureLog(home).read_exposures(MODEL)["request_id"].to_list() == ["before"]
