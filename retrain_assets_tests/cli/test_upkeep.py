"""``retrain reconcile`` brings what a process left half-done to its end, and says so."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from retrain_assets.home import Home
from retrain_assets.serving import ExposureLog
from retrain_assets.serving.journal.lines import row_line, together
from retrain_assets.serving.journal.segment import Segment
from retrain_assets_tests.serving.journal.rows import outcome

from .conftest import Run, parsed
from .world import MODEL, World


def left_behind(home: Home, *requests: str) -> Path:
    """What a process that was killed had written."""
    segment = Segment.create(home.journal_dir(MODEL), datetime.now(UTC))
    lines = b"".join(row_line("outcomes", outcome(one, cost=30.0)) for one in requests)
    segment.write(together("outcomes", lines, len(requests), {"cost": "number"}), synchronised=False)
    segment.release()
    return segment.path


def test_reconcile_brings_traffic_of_killed_processes_into_its_files(run: Run, ramping: World) -> None:
    path = left_behind(ramping.home, "left-1", "left-2")
    assert "traffic: 1 file that a process had not come to write" in run("reconcile").stdout
    assert not path.exists()
    assert {"left-1", "left-2"} <= {*ExposureLog(ramping.home).read_outcomes(MODEL)["request_id"]}
    assert "traffic: is all in its files" in run("reconcile").stdout
    again = left_behind(ramping.home, "left-3")
    file = ramping.home.outcomes_dir(MODEL) / f"{again.stem}.parquet"
    assert parsed(run("reconcile", "--json")) == {
        "flags": False,
        "tokens": False,
        "registry": [],
        "rolled_back": [],
        "traffic": [str(file)],
    }


def test_traffic_that_cannot_be_sealed_is_said_once_the_rest_is_done(run: Run, ramping: World) -> None:
    path = left_behind(ramping.home, "left-1")
    ramping.home.outcomes_dir(MODEL).mkdir(parents=True, exist_ok=True)
    (ramping.home.outcomes_dir(MODEL) / f"{path.stem}.parquet").write_bytes(b"no Parquet")
    ramping.home.flags_path.unlink()
    result = run("reconcile", code=3)
    assert "written again from the ledger" in result.stdout
    assert "1 segments of the journal cannot be sealed" in result.stderr
    assert ramping.home.flags_path.exists()
    assert path.exists()
