"""The benchmarks judge by ratios: a missed target says so, a missing peer is never a pass, and bench.json has one shape."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import polars as pl
import pytest
from rich.console import Console

from benchmarks import drift
from benchmarks.__main__ import BENCHMARKS
from benchmarks.measure import Target, absent, compared, fresh_process, interleaved
from benchmarks.peers import PeerMissing
from benchmarks.table import print_table, write_json

FIELDS = ["benchmark", "measure", "value", "against", "ratio", "target", "holds", "rows", "note"]


@pytest.mark.parametrize(("ours", "holds"), [(2.9, True), (3.0, True), (3.1, False)])
def test_a_cost_is_judged_by_its_ratio_to_the_peer(ours: float, holds: bool) -> None:
    row = compared("b", "time, µs", ours=ours, against="bare loop", peer=1.0, target=Target(3), rows=10)
    assert (row.value, row.ratio, row.target, row.holds) == (ours, ours, "≤ 3", holds)
    assert row.note == "bare loop: 1"


@pytest.mark.parametrize(("ours", "ratio", "holds"), [(0.5, 40.0, True), (1.0, 20.0, True), (2.0, 10.0, False)])
def test_times_faster_is_the_peer_over_ours(ours: float, ratio: float, holds: bool) -> None:
    row = compared("b", "time, µs", ours=ours, against="peer", peer=20.0, target=Target(20, at_least=True), rows=10)
    assert (row.ratio, row.target, row.holds) == (ratio, "≥ 20", holds)


def test_without_a_target_nothing_is_judged() -> None:
    row = compared("b", "time, s", ours=4.0, against="peer", peer=2.0, rows=1, note="in a fresh process")
    assert (row.ratio, row.target, row.holds) == (2.0, None, None)
    assert row.note == "peer: 2; in a fresh process; no target is set"


@pytest.mark.parametrize(("ours", "peer"), [(0.0, 1.0), (1.0, 0.0), (-1.0, 1.0), (float("nan"), 1.0)])
def test_a_cost_that_was_not_measured_has_no_ratio(ours: float, peer: float) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        compared("b", "time, s", ours=ours, against="peer", peer=peer, target=Target(3), rows=1)


def test_a_peer_that_is_not_installed_is_not_a_pass() -> None:
    row = absent("b", "time, s", against="peer", target=Target(30, at_least=True), reason="peer is not installed")
    assert row.holds is None
    assert (row.value, row.ratio, row.target, row.note) == (None, None, "≥ 30", "peer is not installed")


def test_a_peer_of_drift_that_cannot_be_run_is_a_row_with_the_reason(monkeypatch) -> None:
    def run_peer(name: str, files: list[str]) -> None:
        raise PeerMissing(f"{name} could not be installed: no network")

    monkeypatch.setattr(drift, "run_peer", run_peer)
    frame = pl.DataFrame({"x": [1.0]})
    rows = drift._against_peers({drift.BOTH: lambda: sum(range(1000)), drift.STORED: lambda: sum(range(1000))}, frame, frame)
    assert [(row.target, row.holds, row.value) for row in rows] == [(f"≥ {times}", None, None) for times in (30, 60, 15, 30)]
    assert rows[0].note == "evidently could not be installed: no network"


def test_contestants_take_turns_and_the_median_counts() -> None:
    now, turns = [0.0], []
    costs = {"a": iter([100.0, 1.0, 9.0, 2.0]), "b": iter([100.0, 5.0, 5.0, 50.0])}

    def contestant(name: str) -> None:
        turns.append(name)
        now[0] += next(costs[name])

    took = interleaved({name: lambda name=name: contestant(name) for name in costs}, rounds=3, clock=lambda: now[0])
    assert turns == ["a", "b", "a", "b", "b", "a", "a", "b"]
    assert took == {"a": 2.0, "b": 5.0}


def test_slow_contestants_still_get_three_rounds() -> None:
    turns: list[int] = []
    interleaved({"slow": lambda: turns.append(1)}, rounds=50, seconds=0.0)
    assert len(turns) == 1 + 3


def test_a_process_that_fails_fails_the_benchmark() -> None:
    fresh_process(["-c", "import os; assert os.environ['BENCHED'] == 'yes'"], environment={"BENCHED": "yes"})()
    with pytest.raises(subprocess.CalledProcessError):
        fresh_process(["-c", "raise SystemExit(3)"])()


def test_bench_json_is_a_list_of_rows_with_these_fields(tmp_path) -> None:
    rows = [
        compared("b", "time, µs", ours=4.0, against="bare loop", peer=1.0, target=Target(3), rows=10),
        absent("b", "time, µs", against="peer", reason="peer is not installed"),
    ]
    path = tmp_path / "home" / "bench.json"
    write_json(rows, path)
    first, second = json.loads(path.read_text(encoding="utf-8"))
    assert [*first] == [*second] == FIELDS
    assert (first["holds"], second["holds"], second["target"]) == (False, None, None)
    assert [each.name for each in path.parent.iterdir()] == ["bench.json"]


def test_the_table_says_what_missed_and_what_was_not_judged() -> None:
    console = Console(file=io.StringIO(), width=80)
    print_table(
        [
            compared("routing", "time, µs", ours=4.0, against="bare loop", peer=1.0, target=Target(3), rows=12345),
            compared("routing", "time, µs", ours=2.0, against="bare loop", peer=1.0, target=Target(3), rows=10),
            absent("routing", "time, µs", against="peer", reason="peer is not installed"),
        ],
        console,
    )
    missed, held, unjudged = [line for line in console.file.getvalue().splitlines() if "time, µs" in line]
    assert "MISSED" in missed
    assert "12,345" in missed
    assert "yes" in held
    assert "not judged" in unjudged


def test_an_unknown_benchmark_is_refused_with_the_known_names() -> None:
    done = subprocess.run([sys.executable, "-m", "benchmarks", "speed"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"there is no benchmark 'speed'; choose from {', '.join(BENCHMARKS)}" in done.stderr
