"""The simulated years are a ledger like any other, and what the benchmark of them does is done at a thirtieth of their size."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import three_years
from benchmarks.simulated.history import RUTH, drafts
from retrain_assets.contract import Gate, Outcome
from retrain_assets.home import Home
from retrain_assets.ledger import EventKind, EvidenceStore, Ledger
from retrain_assets.release import Ending, ToggleStatus, fold
from retrain_assets_tests.release.world import MemoryRegistry, SettableClock


@pytest.fixture(scope="module")
def years(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four models, each with sixteen retrains."""
    return three_years.lived(tmp_path_factory.mktemp("years"), 16, models=4)


def test_the_same_seed_gives_the_same_history() -> None:
    first, again, another = (list(drafts(models=2, weeks=6, seed=seed)) for seed in (8, 8, 9))
    assert first == again
    assert first != another


def test_its_chain_holds_and_every_retrain_ended_as_the_events_say(years: Path) -> None:
    ledger = Ledger(Home(years).ledger_url)
    assert ledger.verify() == []
    states = fold(ledger.events())
    endings = [one.ended for state in states.values() for one in state.retrains.values()]
    assert len(endings) == 64
    assert set(endings) == {Ending.BOOTSTRAPPED, Ending.PROMOTED, Ending.STOPPED, Ending("rolled_back")}
    for state in states.values():
        assert state.active_toggle is None
        promoted = [toggle for toggle in state.toggles.values() if toggle.state is ToggleStatus.PROMOTED]
        assert [toggle.challenger for toggle in promoted] == [state.champion]
    assert {event.actor.name for event in ledger.events()} == {"simulation", "ruth@simulation.example", "retrain_assets"}
    assert 30 <= ledger.head()[0] / 64 <= 45


def test_the_product_goes_on_from_it(years: Path) -> None:
    """The toggle of the last promotion is retired: decided on the model's own events, read from the ledger."""
    home, state = Home(years), fold(Ledger(Home(years).ledger_url).events())[three_years.MODEL]
    controller = three_years.opened(home)
    controller._registry, controller.clock = MemoryRegistry(years / "registry"), SettableClock(three_years.FIRST)  # type: ignore[assignment]
    (toggle,) = [one for one in state.toggles.values() if one.state is ToggleStatus.PROMOTED]

    EvidenceStore(home.evidence_dir).put(dict(toggle.contract))
    assert controller.retire(toggle.name, RUTH, "it stays").state is ToggleStatus.RETIRED
    assert controller.state(three_years.MODEL).champion == toggle.challenger
    assert controller.state(three_years.MODEL).retrains[toggle.retrain].verdicts[Gate.OFFLINE].outcome is Outcome.PASS
    assert [one.kind for one in controller.ledger.events()][-1] is EventKind.TOGGLE_RETIRED


def test_the_benchmark_measures_what_it_says(years: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        three_years, "interleaved", lambda contestants, **_: {name: (work() and 1.0) or 1.0 for name, work in contestants.items()}
    )
    month = three_years.lived(tmp_path / "month", 4, models=4)
    rows = three_years.measured(month, years)
    assert all(row.ratio is not None for row in rows)
    assert {row.target for row in rows} == {None, "≤ 2", "≤ 1"}
    (row,) = three_years.traffic(tmp_path / "traffic", files=300)
    assert "3 files, one a day" in row.note
