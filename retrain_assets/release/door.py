"""How a change of activation happens: verify on recorded state, append to the ledger, project; and how a crash is repaired."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

from retrain_assets.contract import Contract, CustodyError, Refused, RetrainError, StaleRevision
from retrain_assets.home import Clock, Home
from retrain_assets.ledger import Actor, Event, EvidenceStore, Ledger, ModelMoved
from retrain_assets.release import anchoring
from retrain_assets.release.drafts import Drafts
from retrain_assets.release.environment import claim_environment, require_environment, require_recorded_environment
from retrain_assets.release.flag_times import note_written
from retrain_assets.release.fold import fold
from retrain_assets.release.kept_state import WORTH_KEEPING, Folded, KeptState
from retrain_assets.release.platform import PLATFORM_FOLDED, PlatformState, fold_platform
from retrain_assets.release.projection import (
    RegistryProtocol,
    file_lock,
    flag_bytes,
    shown_otherwise,
    shown_sequence,
    write_flags,
    write_registry,
)
from retrain_assets.release.recorded import tell_recorded
from retrain_assets.release.state import ModelState, ToggleState
from retrain_assets.routing import VersionRef

if TYPE_CHECKING:
    from retrain_assets.bundle import Manifest

ATTEMPTS = 20
"""How often an action is decided anew because something else about the model was recorded meanwhile."""

_LOG = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a reconciliation repaired: whether the flag document was written, what was set in the registry, and the toggles that
    an engaged kill switch had still to roll back."""

    flags: bool
    registry: tuple[str, ...]
    rolled_back: tuple[str, ...] = ()


class Door:
    """State, the append with its compare-and-set, and the projections.

    Safe to share between threads; several processes may work on one home at the same time.

    Args:
        home: where the flag document lives.
        ledger: the append-only record.
        evidence: content-addressed evidence.
        registry: the registry, or a function that opens it; called only when an alias, tag or manifest is needed.
        clock: what time it is.
        anchors: whether this process signs checkpoints and anchors the head; where not, the next that reconciles does.
    """

    def __init__(
        self,
        home: Home,
        ledger: Ledger,
        evidence: EvidenceStore,
        registry: RegistryProtocol | Callable[[], RegistryProtocol],
        clock: Clock,
        *,
        anchors: bool = True,
    ) -> None:
        require_environment(home)
        self.home, self.ledger, self.evidence, self.clock = home, ledger, evidence, clock
        self._registry, self._anchors = registry, anchors
        self._states: dict[str, ModelState] = {}
        self._platform = PlatformState()
        self._folded = 0
        self._kept = KeptState(home, ledger) if type(ledger) is Ledger else None  # not of a record that is rehearsed in memory
        self._worth_keeping = WORTH_KEEPING
        self._from_ledger: set[str] | None = None
        """Models folded from the ledger since the state was begun with a kept one; None: all of them."""
        self._lock = threading.Lock()

    @classmethod
    def open(cls, home: Home) -> Self:
        """The controller of a home, reconciled. A registry that does not answer is logged and does not stand in the way."""
        controller = cls(
            home, Ledger(home.ledger_url), EvidenceStore(home.evidence_dir), lambda: _open_registry(home), home.clock
        )
        controller.catch_up()
        return controller

    def snapshot(self) -> tuple[dict[str, ModelState], PlatformState]:
        """The state of every model and what holds for all of them, both up to the same event, the ledger's last."""
        with self._lock:
            self._fold_on()
            return dict(self._states), self._platform

    def _fold_on(self) -> None:
        """Bring the state up to the ledger's last event; begin with the kept one, and keep it where much came since."""
        if not self._folded and self._kept is not None and (found := self._kept.read()) is not None:
            self._states, self._platform, self._folded = dict(found.states), found.platform, found.sequence
            self._from_ledger, self._worth_keeping = set(), found.sequence + WORTH_KEEPING
        if self._folded or self._kept is None:
            self._take(self.ledger.events(after=self._folded))
        else:
            for events in self.ledger.parts():
                self._take(events)
        if self._kept is not None and self._folded >= self._worth_keeping:
            self._kept.keep(Folded(self._states, self._platform, self._folded))
            self._worth_keeping = self._folded + WORTH_KEEPING

    def _take(self, events: list[Event]) -> None:
        if events:
            self._states = fold(events, self._states)
            self._platform = fold_platform(events, self._platform)
            self._folded = events[-1].sequence

    def _from_record(self, model: str) -> tuple[ModelState, PlatformState]:
        """The state of a model and what holds for all, up to the last event, folded from the ledger and not from what is kept.

        What changes activation is decided on this. The model's own events are read again once in a process; from then on
        its state goes on from there.
        """
        states, platform = self.snapshot()
        if self._from_ledger is None or model in self._from_ledger:
            return states.get(model) or ModelState(model), platform
        with self._lock:
            until = self._folded
            self._states.pop(model, None)
            self._states |= fold(event for event in self.ledger.events(model=model) if event.sequence <= until)
            if not self._from_ledger:
                recorded = self.ledger.about_all(PLATFORM_FOLDED)
                self._platform = fold_platform(event for event in recorded if event.sequence <= until)
            self._from_ledger.add(model)
            return self._states.get(model) or ModelState(model), self._platform

    def _as_recorded(self, models: Iterable[str]) -> tuple[dict[str, ModelState], PlatformState]:
        """Every state, those of some models folded from the ledger: what serves and what the registry says is written from it."""
        for model in models:
            self._from_record(model)
        return self.snapshot()

    def states(self) -> dict[str, ModelState]:
        """The state of every model, up to the ledger's last event."""
        return self.snapshot()[0]

    def platform(self) -> PlatformState:
        """Engaged kill switches, declared freezes, owners who left."""
        return self.snapshot()[1]

    def state(self, model: str) -> ModelState:
        """The state of one model; an empty one when nothing is recorded about it."""
        return self.states().get(model) or ModelState(model)

    @property
    def registry(self) -> RegistryProtocol:
        """The registry, opened when it is first needed."""
        return self._opened_registry()

    def reconcile(self, *, everything: bool = False) -> Reconciled:
        """Bring flag document and registry up to the ledger; cheap, and without the registry, when nothing is due.

        Args:
            everything: set every alias and tag again, also those that should be right (somebody changed the registry by hand).
        """
        flags = self._project_flags()
        return Reconciled(flags=flags, registry=self._project_registry(everything=everything))

    def _change(
        self,
        model: str,
        actor: Actor,
        reason: str,
        plan: Callable[[Drafts], _Answer],
        *,
        expect_revision: tuple[str, int] | None = None,
    ) -> tuple[_Answer, list[Event]]:
        """Verify on the present state, append if nothing about the model was recorded meanwhile, else verify anew; project."""
        answer, events = self._record(model, actor, reason, plan, expect_revision=expect_revision)
        if events:
            self.project()
        return answer, events

    def _record(
        self,
        model: str,
        actor: Actor,
        reason: str,
        plan: Callable[[Drafts], _Answer],
        *,
        expect_revision: tuple[str, int] | None = None,
    ) -> tuple[_Answer, list[Event]]:
        """As :meth:`_change`, without projecting. What is recorded about all models counts as about this one."""
        claim_environment(self.home)
        began = time.monotonic()
        for _ in range(ATTEMPTS):
            state, platform = self._from_record(model)
            if expect_revision is not None:
                require_revision(state, *expect_revision)
            require_recorded_environment(state, self.home)
            drafts = Drafts(state, actor, self.clock.now(), reason, platform, self.home.environment)
            answer = plan(drafts)
            if not drafts.events:
                return answer, []
            seen = max(state.sequence, platform.sequence)
            try:
                events = self.ledger.append_all(drafts.events, expect_revision=expect_revision, expect_model=(model, seen))
            except ModelMoved:
                continue
            tell_recorded(events, time.monotonic() - began)
            return answer, events
        raise StaleRevision(
            f"the record moved {ATTEMPTS} times while this was decided", where=model, remedy="repeat the action when it is calmer"
        )

    def project(self) -> None:
        """Bring the projections up to the ledger after an append: first what serving routes, then the registry."""
        self._project_flags()
        self._project_registry()

    def catch_up(self) -> None:
        """As :meth:`reconcile`, but a registry that does not answer is logged and does not stand in the way of what follows."""
        self._project_flags()
        try:
            self._project_registry()
        except RetrainError as error:
            _LOG.warning("the registry is behind the ledger: %s; run retrain reconcile when it answers", error.line)

    def _project_flags(self) -> bool:
        states, platform = self.snapshot()
        due = shown_sequence(states, platform)
        if not due:
            return False
        path = self.home.flags_path
        if self.ledger.projection("flags") >= due and path.is_file() and path.read_bytes() == flag_bytes(states, platform):
            return False
        with file_lock(path.with_name(".flags.lock")):
            states, platform = self._as_recorded(shown_otherwise(path, flag_bytes(*self.snapshot())))
            written = write_flags(path, flag_bytes(states, platform))
            if written:
                note_written(path, shown_sequence(states, platform))
            self.ledger.set_projection("flags", shown_sequence(states, platform))
        return written

    def _project_registry(self, *, everything: bool = False) -> tuple[str, ...]:
        """Sign the head after a decision, bring aliases and tags up, and have the decided versions carry the head."""
        if self._anchors:
            anchoring.sign_decisions(self.ledger, self.home, self.clock.now())
        done = self._project_aliases(everything=everything)
        if not self._anchors:
            return done
        return (
            *done,
            *anchoring.anchor_versions(self.ledger, self.home, self._opened_registry, self.states, everything=everything),
        )

    def _project_aliases(self, *, everything: bool) -> tuple[str, ...]:
        due = max((state.registry_sequence for state in self.states().values()), default=0)
        if not everything and self.ledger.projection("registry") >= due:
            return ()
        with file_lock(self.home.flags_path.with_name(".registry.lock")):
            states, shown = self.states(), self.ledger.projection("registry")
            late = [model for model, state in states.items() if everything or state.registry_sequence > shown]
            states = self._as_recorded(late)[0]
            behind = {model: states[model] for model in late if model in states}
            if everything:
                done = write_registry(self._opened_registry(), states, None)
            else:
                done = write_registry(self._opened_registry(), behind, self._states_at(shown, behind))
            self.ledger.set_projection("registry", max((state.registry_sequence for state in states.values()), default=0))
        return done

    def _states_at(self, sequence: int, models: Iterable[str]) -> dict[str, ModelState]:
        """Some models as they stood after an event; the ledger of a hundred others is not read for it."""
        return {
            name: state
            for model in models
            for name, state in fold(event for event in self.ledger.events(model=model) if event.sequence <= sequence).items()
        }

    def _opened_registry(self) -> RegistryProtocol:
        if callable(self._registry):
            self._registry = self._registry()
        return self._registry

    def _toggle(self, name: str) -> ToggleState:
        toggles = {key: toggle for state in self.states().values() for key, toggle in state.toggles.items()}
        if name not in toggles:
            raise Refused("there is no such toggle", where=name, remedy=f"toggles: {', '.join(toggles) or 'none'}")
        return toggles[name]

    def _contract_of(self, model: str, retrain: str) -> Contract:
        known = self._from_record(model)[0].retrains.get(retrain)
        if known is None:
            raise Refused("this retrain was never launched", where=f"{model} {retrain}", remedy="launch it first")
        return Contract.recorded(self.evidence.get(known.contract_digest))

    def _manifest_of_candidate(self, state: ModelState, retrain: str) -> dict[str, str]:
        """The digests of what is registered, read from the registry; they must be the recorded ones."""
        known = state.retrains[retrain]
        if known.candidate is None:
            return {}
        manifest = self._verified(state.model, known.candidate)
        found = {"dataset": manifest.dataset, "features": manifest.feature_pipeline, "bundle": manifest.digest}
        if found != known.subjects:
            wrong = ", ".join(name for name in found if found[name] != known.subjects.get(name))
            raise CustodyError(
                f"the manifest of version {known.candidate.version} names another {wrong} than the ledger",
                where=f"{state.model} {retrain}",
                remedy="launch a new retrain",
            )
        return found

    def _verified(self, model: str, version: VersionRef) -> Manifest:
        """The manifest of a registered version whose files all are what the ledger's digest stands for."""
        from retrain_assets.bundle import verify_bundle

        return verify_bundle(self._opened_registry().download(model, version.version), version.bundle)


def require_revision(state: ModelState, toggle: str, expected: int) -> None:
    """Refuse what was decided on another revision of a toggle than it has now."""
    current = state.toggles[toggle].revision
    if current != expected:
        raise StaleRevision(
            f"the toggle is at revision {current}, not {expected}",
            where=toggle,
            remedy="look at its state again and repeat the action if it is still meant",
        )


def _open_registry(home: Home) -> RegistryProtocol:
    from retrain_assets.registry import Registry

    return Registry.of(home)
