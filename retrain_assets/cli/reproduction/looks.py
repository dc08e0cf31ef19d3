"""Step 5: every recorded look computed again from the exposures and outcomes that were there then, and what it led to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from retrain_assets.cli.reproduction.as_of import Moment, Way, ways
from retrain_assets.cli.reproduction.causes import surroundings
from retrain_assets.cli.reproduction.decision import rehearsed
from retrain_assets.cli.reproduction.look_causes import traffic_causes
from retrain_assets.cli.reproduction.results import Cause, CauseKind, Result, Status, compared, skipped
from retrain_assets.cli.reproduction.scene import Scene
from retrain_assets.cli.reproduction.stored import Stored
from retrain_assets.cli.reproduction.verdicts import judged_again, record_of
from retrain_assets.compute.stages.source import only_files
from retrain_assets.contract import CustodyError, Gate, RetrainError, digest_of
from retrain_assets.experiment import Look
from retrain_assets.gates.canary_view import look_document
from retrain_assets.ledger import Event, EventKind
from retrain_assets.release import ToggleState, fold
from retrain_assets.serving.canary_view import canary_view
from retrain_assets.serving.look import look_at, look_verdicts, training_hours

STEP = "5 canary"
BESIDE_THE_LOOK = ("view", "failure")
"""What a recorded look has besides the look itself: its view, which needs the source as well, and why the challenger lost."""


def look_results(stored: Stored, scratch: Path) -> Iterator[Result]:
    """Each look with its gate and with what followed from it.

    Args:
        stored: the retrain.
        scratch: where files of then are laid out, and what a look keeps between two of them.
    """
    looked = stored.of(EventKind.CANARY_LOOKED)
    if not looked:
        yield skipped(STEP, "looks", "there is none")
        return
    looks = Looks(stored, scratch)
    for number, event in enumerate(looked, 1):
        yield from looks.results(number, event)


@dataclass
class Looks:
    """The looks of a toggle, in order: a look counts on from the one before.

    Args:
        stored: the retrain.
        scratch: where files of then are laid out.
        traffic: the way that told the traffic of then from later files, at the last look that came out equal.
        source: the same of the source's files.
    """

    stored: Stored
    scratch: Path
    traffic: Way | None = None
    source: Way | None = None
    scenes: dict[str, Scene] = field(default_factory=dict)

    def results(self, number: int, event: Event) -> Iterator[Result]:
        """One look, gate canary on it, what followed."""
        what, recorded = f"look {number}, {event.at:%Y-%m-%d %H:%M}", str(event.payload["evidence"])
        toggle = self._toggle(event)
        try:
            document: Mapping[str, Any] | None = self.stored.evidence.get(recorded)
        except CustodyError as error:
            document, fault = None, Cause(CauseKind.EVIDENCE, error.what)
        try:
            again = self._again(toggle, event, recorded, document)
        except RetrainError as error:
            yield Result(STEP, what, Status.DIFFERENT, recorded, None, error.line, (Cause(CauseKind.EVIDENCE, error.what),))
            return
        found = digest_of(again)
        if document is None:
            why = "recomputed it has the recorded digest" if found == recorded else ""
            yield Result(STEP, what, Status.DIFFERENT, recorded, found, why, (fault,))
        elif found == recorded:
            yield compared(STEP, what, recorded, found)
        else:
            yield self._differing(what, event, toggle, document, again)
        yield from self._gate(number, event, toggle, document or again)
        yield rehearsed(
            self.stored,
            STEP,
            f"what followed look {number}: {event.payload['action']}",
            event,
            lambda made: made.follow(self.stored.model, self.stored.retrain, document or again, recorded),
        )

    def _again(self, toggle: ToggleState, event: Event, recorded: str, document: Mapping[str, Any] | None) -> dict[str, Any]:
        """The look's document computed again: with the files of then by whichever way gives the recorded digest."""
        wanted = _look_alone(document) if document is not None else None
        nearest: dict[str, Any] | None = None
        for way in ways(self.traffic):
            look = self._look(toggle, event, way, fresh=False)
            if wanted is not None and digest_of(look.to_json()) != wanted:
                look = self._look(toggle, event, way, fresh=True)
            if wanted is not None and digest_of(look.to_json()) != wanted:
                nearest = nearest or self._document(toggle, look, event, self._scene(way), self.source or Way.WRITTEN)
                continue
            for each in ways(self.source):
                found = self._document(toggle, look, event, self._scene(way), each)
                if digest_of(found) == recorded:
                    self.traffic, self.source = way, each
                    return found
                nearest = found if nearest is None or wanted is not None else nearest
        assert nearest is not None  # there is at least one way
        return nearest

    def _look(self, toggle: ToggleState, event: Event, way: Way, *, fresh: bool) -> Look:
        scene = self._scene(way)
        scene.fill(Moment.of(event), way)
        if fresh:
            scene.forget(toggle.name)
        state = fold(self.stored.before(event.sequence).events(model=self.stored.model))[self.stored.model]
        hours = training_hours(scene.home, state.retrains[self.stored.retrain])
        return look_at(scene.home, toggle, event.at, training_hours=hours)

    def _document(self, toggle: ToggleState, look: Look, event: Event, scene: Scene, way: Way) -> dict[str, Any]:
        source = toggle.terms.source
        with only_files(Moment.of(event).keeps(way, source.event_time, source.label_delay)):
            view = canary_view(scene.home, toggle, look, event.at, registry=cast(Any, self.stored.bundles))
        return look_document(look, view)

    def _differing(
        self, what: str, event: Event, toggle: ToggleState, document: Mapping[str, Any], again: Mapping[str, Any]
    ) -> Result:
        recorded, found = str(event.payload["evidence"]), digest_of(dict(again))
        before, now = ({name: one[name] for name in one if name not in BESIDE_THE_LOOK} for one in (document, again))
        if digest_of(before) != digest_of(now):
            return traffic_causes(self.stored, compared(STEP, what, recorded, found), event, document, again)
        notes = set(again["view"]["notes"]) - set(document["view"]["notes"])
        text = "the look itself is equal, its view is not; " + ("; ".join(sorted(notes)) or "rows of the source are others now")
        causes = surroundings(self.stored)
        return compared(STEP, what, recorded, found, (Cause(CauseKind.SOURCE, text), *causes))

    def _gate(self, number: int, event: Event, toggle: ToggleState, document: Mapping[str, Any]) -> Iterator[Result]:
        """Gate canary, judged on the recorded look."""
        for judged in self.stored.of(EventKind.GATE_EVALUATED):
            told = judged.payload
            if told["gate"] == Gate.CANARY and told["subjects"].get("report") == event.payload["evidence"]:
                verdicts = look_verdicts(document, toggle)
                yield judged_again(
                    STEP, f"gate canary on look {number}", record_of(self.stored, judged), verdicts, surroundings(self.stored)
                )

    def _toggle(self, event: Event) -> ToggleState:
        state = fold(self.stored.before(event.sequence).events(model=self.stored.model))[self.stored.model]
        return state.toggles[event.toggle or ""]

    def _scene(self, way: Way) -> Scene:
        if way.name not in self.scenes:
            self.scenes[way.name] = Scene(self.stored.home, self.stored.model, self.scratch / way.name.lower())
        return self.scenes[way.name]


def _look_alone(document: Mapping[str, Any]) -> str:
    """Digest of a recorded look without its view."""
    return digest_of({name: document[name] for name in document if name not in BESIDE_THE_LOOK})
