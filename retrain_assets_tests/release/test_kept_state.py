"""The kept state is exactly what the ledger amounts to, is used only where it is that, and nothing is decided on it."""

from __future__ import annotations

import ast
import gzip
import json
import logging
import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.simulated.history import write_history
from retrain_assets.contract import Gate, Outcome, Refused
from retrain_assets.home import Home
from retrain_assets.ledger import Event, EventDraft, EventKind, EvidenceStore, Ledger
from retrain_assets.release import ReleaseController, fold, fold_platform, kept_state
from retrain_assets.release.fold import _MEANING, _nothing
from retrain_assets.release.kept_state import Folded, KeptState
from retrain_assets.release.kept_values import from_plain, to_plain
from retrain_assets.release.platform import PLATFORM_KINDS
from retrain_assets.release.state import ModelState, ToggleState

from .test_recorded_ledger import recorded
from .world import EVE, MODEL, PAUL, RUTH, MemoryRegistry, SettableClock, World

RELEASED = Path(__file__).parents[1] / "ledger" / "released"


def eventful(world: World) -> list[Event]:
    """A history with every kind of event that means something."""
    controller, clock = world.controller, world.clock
    world.promoted()
    controller.record_audit(MODEL, "2013-07-01", "sha256:" + "a" * 64)
    controller.record_review(MODEL, "2013-07-01", "sha256:" + "b" * 64, {"finding": "kept", "suggestions": 0})
    world.launch("2013-07-03")
    controller.record_stage_failure(MODEL, "2013-07-03", "candidate_model", "out of memory")
    controller.decide(MODEL, "2013-07-03")
    clock.forward(days=8)
    toggle = world.awaiting("2013-07-09")
    controller.approve(MODEL, "2013-07-09", RUTH, "clear win")
    controller.withdraw(MODEL, "2013-07-09", RUTH, "not so clear")
    controller.approve(MODEL, "2013-07-09", PAUL, "clear win")
    world.judge("2013-07-09", Gate.OFFLINE, report="sha256:" + "c" * 64)
    controller.offer_transfer(toggle, EVE.name, RUTH, "she owns the funnel")
    controller.accept_transfer(toggle, EVE, "mine")
    controller.review(toggle, EVE, "still needed")
    controller.reject(MODEL, "2013-07-09", PAUL, "wrong season")
    controller.decide(MODEL, "2013-07-09")
    controller.retire(toggle, RUTH, "over")
    clock.forward(days=8)
    world.launch("2013-07-17")
    world.judge("2013-07-17", Gate.DATA, Outcome.FAIL)
    controller.decide(MODEL, "2013-07-17")
    for one in (RUTH, PAUL):
        controller.override(MODEL, "2013-07-17", "data.holds", one, "late, not wrong")
    controller.declare_freeze(clock.now().date(), clock.now().date(), PAUL, "sale")
    controller.lift_freeze(controller.platform().freezes[0].number, PAUL, "over")
    controller.mark_owner_left("team:gone", PAUL, "closed")
    controller.mark_owner_back("team:gone", PAUL, "not closed")
    world.ramp("2013-07-25")
    controller.record_exported_split(MODEL, "2013-07-25", None, {"served": {"1": 100}}, RUTH, "to the endpoint")
    controller.engage_kill_switch(MODEL, PAUL, "prices are wrong")
    controller.release_kill_switch(MODEL, RUTH, "prices are right")
    number = next(one.number for one in controller.platform().follow_ups.values() if one.closed is None)
    controller.close_follow_up(number, EVE, "a cache was stale")
    promoted = {"contract_digest": "sha256:" + "d" * 64}
    world.ledger.append(EventDraft(clock.now(), RUTH, EventKind.CONTRACT_PROMOTED, MODEL, "tried in staging", payload=promoted))
    return world.ledger.events()


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Event]]:
    """What was recorded, by what it is: now, before, by every release, and for years."""
    found = {"now": eventful(World(tmp_path_factory.mktemp("now"))), "before": recorded()}
    for folder in sorted(RELEASED.glob("[0-9]*")):
        path = tmp_path_factory.mktemp("released") / "ledger.db"
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(gzip.decompress((folder / "ledger.sql.gz").read_bytes()).decode())
        found[f"release {folder.name}"] = Ledger(f"sqlite:///{path}").events()
    years = Ledger(f"sqlite:///{tmp_path_factory.mktemp('years')}/ledger.db")
    write_history(years, models=2, weeks=12)
    return {**found, "years": years.events()}


class ChainOf(Ledger):
    """The events of a history, as far as the kept state asks a ledger."""

    def __init__(self, events: list[Event]) -> None:
        self.all = events

    def hash_of(self, sequence: int) -> str | None:
        return next((event.hash for event in self.all if event.sequence == sequence), None)

    def subjects(self, *, after: int, until: int) -> list[tuple[str, str | None, str | None]]:
        return [(one.model, one.retrain, one.toggle) for one in self.all if after < one.sequence <= until]

    def events(self, *, model: str | None = None, retrain: str | None = None, **_: Any) -> list[Event]:
        return [one for one in self.all if one.model == model and retrain in (None, one.retrain)]


def folded(events: list[Event]) -> Folded:
    return Folded(fold(events), fold_platform(events), events[-1].sequence)


def test_it_is_exactly_a_full_fold_wherever_the_history_was_kept(histories: dict[str, list[Event]], tmp_path: Path) -> None:
    """Kept at random events of each history one after the other, so that what changed meanwhile is written over what was kept."""
    chance = random.Random(8)
    for name, events in histories.items():
        kept = KeptState(Home(tmp_path / name), ChainOf(events))
        places = sorted({*chance.sample(range(1, len(events)), min(6, len(events) - 1)), len(events)})
        for place in places:
            whole = folded(events[:place])
            assert kept.keep(whole)
            found = kept.read()
            assert found is not None
            assert (found.states, found.platform, found.sequence) == (whole.states, whole.platform, whole.sequence), name
            assert list(found.states) == list(whole.states)
            for model, state in found.states.items():
                assert list(state.toggles) == list(whole.states[model].toggles)
                assert list(state.retrains) == list(whole.states[model].retrains)
            assert fold(events[place:], found.states) == fold(events)
            assert fold_platform(events[place:], found.platform) == fold_platform(events)


def test_every_kind_of_event_is_among_those_histories(histories: dict[str, list[Event]]) -> None:
    found = {event.kind for events in histories.values() for event in events}
    means_something = {kind for kind, meaning in _MEANING.items() if meaning is not _nothing}
    assert means_something | PLATFORM_KINDS | {EventKind.FOLLOW_UP_CLOSED} <= found


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with some months of two models, its state kept."""
    root = tmp_path_factory.mktemp("lived")
    ledger = Ledger(Home(root).ledger_url)
    write_history(ledger, models=2, weeks=12)
    ledger.close()
    assert controller_of(root).states()
    assert (root / "cache" / "state.db").exists()
    return root


@pytest.fixture
def years(lived: Path, tmp_path: Path) -> Path:
    """A copy of that home."""
    return shutil.copytree(lived, tmp_path / "home")


def controller_of(root: Path) -> ReleaseController:
    home = Home(root)
    registry = MemoryRegistry(root / "registry")
    return ReleaseController(
        home, Ledger(home.ledger_url), EvidenceStore(home.evidence_dir), registry, SettableClock(), anchors=False
    )


def change(root: Path, statement: str) -> None:
    with closing(sqlite3.connect(root / "cache" / "state.db")) as connection, connection:
        connection.execute(statement)


def test_a_second_process_reads_no_event_that_the_first_has_folded(years: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = fold(Ledger(Home(years).ledger_url).events())
    opened, read = controller_of(years), list[int]()
    events = opened.ledger.events

    def counted(**asked: Any) -> list[Event]:
        read.append(asked["after"])
        return events(**asked)

    monkeypatch.setattr(opened.ledger, "events", counted)
    monkeypatch.setattr(opened.ledger, "parts", lambda **asked: pytest.fail("the whole ledger was read"))
    assert opened.states() == expected
    assert read == [opened.ledger.head()[0]]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE kept SET hash = 'x'", "another chain"),
        ("UPDATE kept SET sequence = sequence + 1000000", "another chain"),
        ("UPDATE kept SET code = 'x'", "another version"),
        ("UPDATE models SET value = '[]'", "cannot be read"),
        ("DROP TABLE items", "cannot be read"),
    ],
)
def test_what_does_not_fit_is_dropped_with_a_line_and_all_is_folded_anew(
    years: Path, statement: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    expected = fold(Ledger(Home(years).ledger_url).events())
    change(years, statement)
    with caplog.at_level(logging.INFO):
        assert controller_of(years).states() == expected
    assert said in caplog.text


def test_a_file_that_is_no_database_is_replaced(years: Path) -> None:
    expected = fold(Ledger(Home(years).ledger_url).events())
    path = years / "cache" / "state.db"
    path.write_bytes(b"garbage" * 1000)
    assert controller_of(years).states() == expected
    controller_of(years).states()
    found = KeptState(Home(years), Ledger(Home(years).ledger_url)).read()
    assert found is not None
    assert found.states == expected


def test_verdicts_that_are_not_kept_any_more_are_folded_from_the_ledger(years: Path) -> None:
    expected = fold(Ledger(Home(years).ledger_url).events())
    change(years, "UPDATE parts SET value = x'00'")
    assert controller_of(years).states() == expected
    change(years, "DELETE FROM parts")
    assert controller_of(years).states() == expected


def test_another_ledger_in_the_same_home_gets_nothing_of_it(years: Path) -> None:
    (years / "ledger.db").unlink()
    for name in ("ledger.db-wal", "ledger.db-shm"):
        (years / name).unlink(missing_ok=True)
    write_history(Ledger(Home(years).ledger_url), models=2, weeks=12, seed=9)
    assert controller_of(years).states() == fold(Ledger(Home(years).ledger_url).events())


def test_an_older_state_never_takes_the_place_of_a_later_one(years: Path) -> None:
    ledger = Ledger(Home(years).ledger_url)
    events = ledger.events()
    kept = KeptState(Home(years), ledger)
    assert not kept.keep(folded(events[:600]))
    found = kept.read()
    assert found is not None
    assert found.sequence == events[-1].sequence


def test_a_forged_state_opens_no_door(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Approval, gates and champion written into the kept state count for nothing: what changes activation reads the ledger."""
    monkeypatch.setattr(kept_state, "WORTH_KEEPING", 1)
    monkeypatch.setattr("retrain_assets.release.door.WORTH_KEEPING", 1)
    world.awaiting()
    honest = world.controller.state(MODEL)
    toggle = honest.toggles[f"{MODEL}-2013-07-01"]
    world.controller.approve(MODEL, "2013-07-01", RUTH, "clear win")
    approvals = world.controller.state(MODEL).toggles[toggle.name].approvals
    world.controller.withdraw(MODEL, "2013-07-01", RUTH, "not so clear")
    world.another_controller().states()
    with closing(sqlite3.connect(world.home.root / "cache" / "state.db")) as connection, connection:
        (text,) = connection.execute("SELECT value FROM items WHERE kind = 'toggle'").fetchone()
        forged = replace(from_plain(json.loads(text), ToggleState), approvals=approvals)
        connection.execute("UPDATE items SET value = ? WHERE kind = 'toggle'", (json.dumps(to_plain(forged, ToggleState)),))
    other = world.another_controller()
    assert other.states()[MODEL].toggles[toggle.name].approvals == approvals  # it was taken for what is shown
    assert other.decide(MODEL, "2013-07-01").decision == "wait"
    assert other.state(MODEL).champion == honest.champion
    assert other.state(MODEL).toggles[toggle.name].approvals == ()


def test_a_forged_switch_does_not_keep_a_toggle_from_being_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrain_assets.release.door.WORTH_KEEPING", 1)
    world.bootstrap()
    world.controller.engage_kill_switch(MODEL, PAUL, "prices are wrong")
    world.candidate("2013-07-09")
    world.another_controller().states()
    with closing(sqlite3.connect(world.home.root / "cache" / "state.db")) as connection, connection:
        (text,) = connection.execute("SELECT platform FROM kept").fetchone()
        connection.execute("UPDATE kept SET platform = ?", (json.dumps([[], *json.loads(text)[1:]]),))
    other = world.another_controller()
    assert other.platform().kill_switches == {}
    with pytest.raises(Refused, match="kill switch"):
        other.register_and_arm(world.contract, "2013-07-09")


def test_a_forged_state_reaches_neither_the_flag_document_nor_an_alias(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share, a champion and a model that nothing recorded: what serves and the registry say what the ledger says."""
    monkeypatch.setattr("retrain_assets.release.door.WORTH_KEEPING", 1)
    world.ramp()
    recorded = fold(world.ledger.events())
    world.another_controller().states()
    shown, aliases = world.home.flags_path.read_bytes(), dict(world.registry.aliases)
    with closing(sqlite3.connect(world.home.root / "cache" / "state.db")) as connection, connection:
        (text,) = connection.execute("SELECT value FROM items WHERE kind = 'toggle'").fetchone()
        forged = replace(from_plain(json.loads(text), ToggleState), share=1.0)
        connection.execute("UPDATE items SET value = ? WHERE kind = 'toggle'", (json.dumps(to_plain(forged, ToggleState)),))
        (text,) = connection.execute("SELECT value FROM models").fetchone()
        challenger = recorded[MODEL].toggles[forged.name].challenger
        state = replace(from_plain(json.loads(text), ModelState), champion=challenger, registry_sequence=10_000)
        connection.execute("UPDATE models SET value = ?", (json.dumps(to_plain(state, ModelState)),))
        invented = json.dumps(to_plain(replace(state, model="invented"), ModelState))
        connection.execute("INSERT INTO models VALUES ('invented', ?)", (invented,))
    other = world.another_controller()
    assert other.states()[MODEL].champion == challenger  # it was taken for what is shown
    other.reconcile()
    assert world.home.flags_path.read_bytes() == shown
    assert world.registry.aliases == aliases
    assert other.states() == recorded
    assert world.ledger.projection("registry") <= world.ledger.head()[0]


def test_a_state_is_kept_as_of_the_code_that_folded_it_though_the_package_was_upgraded_meanwhile(
    years: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (years / "cache" / "state.db").unlink()
    code_of_this_process = kept_state.code_version()
    kept_state.code_version.cache_clear()
    controller = controller_of(years)
    newer = shutil.copytree(kept_state._PACKAGE, tmp_path / "newer")
    with (newer / "release" / "fold.py").open("a") as code:
        code.write("# what an event means was changed\n")
    monkeypatch.setattr(kept_state, "_PACKAGE", newer)
    controller.states()
    with closing(sqlite3.connect(years / "cache" / "state.db")) as connection:
        assert connection.execute("SELECT code FROM kept").fetchone() == (code_of_this_process,)


def test_all_that_the_fold_rests_on_is_among_the_code_it_is_kept_by() -> None:
    named = {path.removesuffix(".py").replace("/", ".") for path in kept_state._CODE}
    rests_on = set()
    for name in ("fold", "platform", "state", "follow_ups", "signed_override"):
        tree = ast.parse((Path(kept_state.__file__).parent / f"{name}.py").read_text())
        rests_on |= {one.module for one in tree.body if isinstance(one, ast.ImportFrom) and one.module}
    own = {module.removeprefix("retrain_assets.") for module in rests_on if module.startswith("retrain_assets.")}
    assert own - named == {"contract", "ledger"}  # whose parts are named one by one
