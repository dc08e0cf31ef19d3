"""Whatever happens in whatever order: every acknowledged row is in the files, once, and nothing else is."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from retrain_assets.home import Home
from retrain_assets.serving import ExposureLog
from retrain_assets.serving.journal import TrafficJournal, recover
from retrain_assets_tests.serving.journal.rows import MODEL, NOON, exposure, outcome

TAILS = [b"", b'{"request_id":"torn', b"\0" * 700, b'{"request_id":"x","":"e00000000"}', b'{"req\0\0\0']
VALUES = st.one_of(st.none(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5))


class Journals(RuleBasedStateMachine):
    """One home; writers begin, write, seal and end, in any way."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.generation = 0
        self.journals: list[TrafficJournal] = []
        self.exposures: dict[str, float | None] = {}
        self.outcomes = 0
        self.begins()

    @property
    def home(self) -> Home:
        return Home(Path(self.folder.name) / str(self.generation))

    @rule()
    def begins(self) -> None:
        if len(self.journals) < 3:
            self.journals.append(TrafficJournal(self.home, rotate_rows=6, rotate_after=timedelta(hours=1)))

    @rule(which=st.integers(0, 2), rows=st.integers(1, 9), value=VALUES, machine=st.booleans())
    def writes(self, which: int, rows: int, value: object, machine: bool) -> None:
        if self.journals:
            journal = self.journals[which % len(self.journals)]
            requests = [str(len(self.exposures) + row) for row in range(rows)]
            written = [exposure(request, **{f"is_{type(value).__name__}": value}) for request in requests]
            journal.append_now(MODEL, "exposures", written, durability="machine" if machine else "process")
            self.exposures |= dict.fromkeys(requests)

    @rule(which=st.integers(0, 2), back=st.integers(0, 30))
    def repeats(self, which: int, back: int) -> None:
        if self.journals and back < len(self.exposures):
            row = exposure(list(self.exposures)[-1 - back], exposed_at=NOON + timedelta(seconds=1), arm="challenger")
            self.journals[which % len(self.journals)].append_now(MODEL, "exposures", [row])

    @rule(which=st.integers(0, 2))
    def observes(self, which: int) -> None:
        if self.journals:
            self.journals[which % len(self.journals)].append_now(MODEL, "outcomes", [outcome(self.outcomes)])
            self.outcomes += 1

    @rule(which=st.integers(0, 2))
    def closes(self, which: int) -> None:
        if self.journals:
            self.journals.pop(which % len(self.journals)).close_now()

    @rule(tail=st.sampled_from(TAILS), again=st.booleans())
    def power_fails(self, tail: bytes, again: bool) -> None:
        """The files as they are now are all that is left; whoever wrote is gone."""
        before = self.home
        self.generation += 1
        for folder in (before.journal_dir(MODEL), before.exposures_dir(MODEL), before.outcomes_dir(MODEL)):
            if folder.exists():  # segments first: what is sealed in between is there twice, as after a kill between the two steps
                shutil.copytree(folder, self.home.root / folder.relative_to(before.root), ignore_dangling_symlinks=True)
        for path in self.home.journal_dir(MODEL).glob("*.ndjson"):
            path.write_bytes(path.read_bytes() + tail)
        for journal in self.journals:
            journal.close_now()
        self.journals.clear()
        if again:
            self.seals()

    @rule()
    def seals(self) -> None:
        recover(self.home)

    @invariant()
    def nothing_strange_is_in_the_files(self) -> None:
        read = ExposureLog(self.home).read_exposures(MODEL)
        assert set(read["request_id"]) <= set(self.exposures)
        assert read.height == read["request_id"].n_unique()
        assert ExposureLog(self.home).read_outcomes(MODEL).height <= self.outcomes

    def teardown(self) -> None:
        for journal in self.journals:
            journal.close_now()
        recover(self.home)
        read = ExposureLog(self.home).read_exposures(MODEL)
        assert set(read["request_id"]) == set(self.exposures)
        assert (read["arm"] == "champion").all()
        assert (read["exposed_at"] == NOON).all()
        assert ExposureLog(self.home).read_outcomes(MODEL).height == self.outcomes
        per_file = [pl.read_parquet(file) for file in self.home.exposures_dir(MODEL).glob("*.parquet")]
        assert all(one["request_id"].n_unique() == one.height for one in per_file)
        assert not list(self.home.journal_dir(MODEL).glob("*.ndjson"))
        self.folder.cleanup()


def test_every_acknowledged_row_is_in_the_files_once_whatever_happened() -> None:
    terms = settings(
        max_examples=30, stateful_step_count=25, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
    )
    run_state_machine_as_test(Journals, settings=terms)
