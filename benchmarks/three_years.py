"""Three years of weekly retrains of a hundred models against their first month; the history is simulated (``simulated``)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path

from benchmarks.measure import Row, Target, compared, fresh_process, interleaved
from benchmarks.simulated.history import FIRST, MODELS, SIMULATION, WEEKS, write_history
from retrain_assets.home import Home
from retrain_assets.ledger import Event, EventDraft, EventKind, EvidenceStore, Ledger, SystemKey
from retrain_assets.release import ModelState, PlatformState, ReleaseController, toggle_debt
from retrain_assets.release.kept_state import KeptState
from retrain_assets.release.projection import RegistryProtocol, flag_bytes
from retrain_assets.serving.compaction import compact_traffic

NAME = "three_years"
MONTH = 4
"""Weeks of the first month."""
DAILY = Target(2)
"""What people and sensors do every day may take twice as long in year three as in the first month."""
OPENING_SECONDS = 5.0
"""What the start of a process may take, imports included."""
MODEL = "model_003"
_OPEN = """
import sys
from pathlib import Path
from retrain_assets.cli.opening import controller_of
from retrain_assets.home import Home
assert controller_of(Home(Path(sys.argv[1]))).states()
"""
_COMMAND = "import sys; from retrain_assets.cli import main; sys.argv = ['retrain', *sys.argv[1:]]; main()"


def run() -> list[Row]:
    root = Home.from_environment().root
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix="bench-") as folder:
        month, years = (lived(Path(folder) / name, weeks) for name, weeks in (("month", MONTH), ("years", WEEKS)))
        return [*measured(month, years), *traffic(Path(folder) / "traffic")]


def lived(root: Path, weeks: int, models: int = MODELS) -> Path:
    """A home with so many weeks of history, its state kept and its last head signed."""
    home = Home(root)
    ledger = Ledger(home.ledger_url)
    write_history(ledger, models=models, weeks=weeks)
    ledger.add_checkpoint(SystemKey.open(home.system_key_path), FIRST + timedelta(weeks=weeks))
    opened(home).states()
    return root


def measured(month: Path, years: Path) -> list[Row]:
    """What is done every day, in a home of a month and in one of three years, in turns."""
    young, old = _Life(month), _Life(years)
    retrains = sum(len(state.retrains) for state in old.states.values())
    rows = []
    for measure, unit, target, work in (
        ("the state after one new event", "ms", DAILY, _Life.one_more),
        ("append one event", "ms", DAILY, _Life.append),
        ("events of one retrain (audit show)", "ms", DAILY, _Life.show),
        ("the flag document", "ms", DAILY, _Life.flags),
        ("verify the chain since the last checkpoint", "ms", None, _Life.verify_since),
        ("debt of every toggle", "ms", None, _Life.debt),
        ("the first change of a model in a process", "ms", None, _Life.from_record),
        ("verify the whole chain", "ms", None, _Life.verify),
        ("the kept state read", "ms", None, _Life.kept),
    ):
        rows.append(_compared(measure, unit, target, partial(work, young), partial(work, old), retrains))
    start = {"MLFLOW_TRACKING_URI": "sqlite:////nowhere/mlflow.db"}
    rows.append(
        _compared(
            "a process that opens the record",
            "s",
            DAILY,
            fresh_process(["-c", _OPEN, str(month)], environment=start),
            fresh_process(["-c", _OPEN, str(years)], environment=start),
            retrains,
        )
    )
    opening = rows[-1].value or 0.0
    limit = "five seconds, imports included"
    rows.append(
        compared(
            NAME,
            "a process that opens the record, s",
            ours=opening,
            against=limit,
            peer=OPENING_SECONDS,
            rows=retrains,
            target=Target(1),
        )
    )
    rows += [_size(f"{name}, kB a retrain", month / path, years / path, young, old) for name, path in _FILES.items()]
    return rows


_FILES = {"the ledger": "ledger.db", "the kept state": "cache/state.db"}


def traffic(root: Path, files: int = 10_000) -> list[Row]:
    """Reading ten thousand small files of exposures against reading what they were merged into."""
    import polars as pl

    from retrain_assets.compute.traffic_schema import EXPOSURE_COLUMNS
    from retrain_assets.serving import ExposureLog

    before, after = ExposureLog(Home(root / "before")), ExposureLog(Home(root / "after"))
    empty = pl.DataFrame(schema=EXPOSURE_COLUMNS)
    for number in range(files):
        at = FIRST + timedelta(minutes=10 * number)
        row = pl.DataFrame({"request_id": [f"r{number}"], "unit_id": [f"u{number}"], "exposed_at": [at], "error": [False]})
        frame = pl.concat([empty, row], how="diagonal_relaxed").cast(EXPOSURE_COLUMNS)  # type: ignore[arg-type]
        for log in (before, after):
            folder = log.home.exposures_dir(MODEL)
            folder.mkdir(parents=True, exist_ok=True)
            frame.write_parquet(folder / f"gateway-{number:06d}.parquet")
    while compact_traffic(after.home, ModelState(MODEL), FIRST + timedelta(days=400)).files:
        pass
    took = interleaved(
        {
            "many": lambda: [one.records().collect() for one in before.exposure_batches(MODEL)],
            "merged": lambda: [one.records().collect() for one in after.exposure_batches(MODEL)],
        },
        rounds=3,
    )
    return [
        compared(
            NAME,
            f"read {files:,} files of exposures, s",
            ours=took["merged"],
            against="the same rows before they were merged",
            peer=took["many"],
            rows=files,
            target=Target(10, at_least=True),
            note=f"{len(after.exposure_batches(MODEL))} files, one a day",
        )
    ]


def opened(home: Home) -> ReleaseController:
    """The controller of a home, nothing repaired and no registry asked."""

    def no_registry() -> RegistryProtocol:
        raise AssertionError("no registry is asked")

    evidence = EvidenceStore(home.evidence_dir)
    return ReleaseController(home, Ledger(home.ledger_url), evidence, no_registry, home.clock, anchors=False)


@dataclass
class _Life:
    root: Path

    @cached_property
    def controller(self) -> ReleaseController:
        return opened(Home(self.root))

    @cached_property
    def states(self) -> dict[str, ModelState]:
        return self.controller.states()

    @cached_property
    def newest(self) -> str:
        return list(self.states[MODEL].retrains)[-1]

    def append(self) -> list[Event]:
        draft = EventDraft(FIRST, SIMULATION, EventKind.STAGE_FAILED, MODEL, "simulated", self.newest)
        return [self.controller.ledger.append(_with(draft))]

    def one_more(self) -> None:
        self.append()
        self.controller.snapshot()

    def show(self) -> list[Event]:
        return self.controller.ledger.events(model=MODEL, retrain=self.newest)

    def flags(self) -> bytes:
        return flag_bytes(self.states, PlatformState())

    def debt(self) -> None:
        for state in self.states.values():
            toggle_debt(state, PlatformState(), FIRST + timedelta(weeks=WEEKS))

    def from_record(self) -> None:
        fresh = opened(Home(self.root))
        fresh._states, fresh._platform = dict(self.states), PlatformState()
        fresh._folded, fresh._from_ledger = self.controller._folded, {"another"}
        fresh._from_record(MODEL)

    def kept(self) -> None:
        assert KeptState(Home(self.root), self.controller.ledger).read() is not None

    def verify(self) -> None:
        assert self.controller.ledger.verify() == []

    def verify_since(self) -> None:
        assert self.controller.ledger.verify(self.controller.ledger.checkpoints()[-1]) == []


def _with(draft: EventDraft) -> EventDraft:
    return EventDraft(**{**{name: getattr(draft, name) for name in draft.__slots__}, "payload": {"stage": "s", "message": "m"}})


def _compared(
    measure: str, unit: str, target: Target | None, young: Callable[[], object], old: Callable[[], object], retrains: int
) -> Row:
    took = interleaved({"old": old, "young": young}, rounds=7)
    per = {"ms": 1000.0, "s": 1.0}[unit]
    return compared(
        NAME,
        f"{measure}, {unit}",
        ours=took["old"] * per,
        against="the first month",
        peer=took["young"] * per,
        rows=retrains,
        target=target,
    )


def _size(measure: str, young: Path, old: Path, month: _Life, years: _Life) -> Row:
    each = [
        path.stat().st_size / 1000 / sum(len(one.retrains) for one in life.states.values())
        for path, life in ((young, month), (old, years))
    ]
    return compared(NAME, measure, ours=each[1], against="the first month", peer=each[0], rows=round(each[1]), note="of the file")
