"""Every model as this process serves it now. A changed flag document is swapped in at once; what it needs is loaded behind it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from retrain_assets.home import Clock, Home
from retrain_assets.release import ReleaseController
from retrain_assets.routing import Arm, RoutingRule
from retrain_assets.serving.live.flag_file import FlagFile
from retrain_assets.serving.live.keeper import Keeper
from retrain_assets.serving.live.live_model import Known, LiveModel, live_model
from retrain_assets.serving.live.values import UnknownModel
from retrain_assets.serving.live.vouching import Vouched

LOOK_EVERY = 0.010
"""Seconds for which a look at the flag document's file holds, so that a request costs at most one file status."""

WATCH_EVERY = 0.25
"""Seconds between looks without requests."""

PATIENCE = 60.0
"""Seconds that the start waits for the first loading; it goes on behind if that is too short."""

Flipped = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class LiveState:
    """How a process's models are doing.

    Args:
        ledger_sequence: of the flag document in use.
        age_seconds: since the flag document was last seen to be the one in use.
        loaded: versions in memory, by model; those kept warm for a rollback included.
        unavailable: why an arm is not loaded, by model and arm.
        stuck_threads: threads that hang in a model, by model and version.
    """

    ledger_sequence: int
    age_seconds: float
    loaded: Mapping[str, tuple[str, ...]]
    unavailable: Mapping[str, Mapping[Arm, str]]
    stuck_threads: Mapping[tuple[str, str], int]


class LiveModels:
    """The models of a home, routed by its flag document and loaded as its ledger says.

    Args:
        home: the home.
        controller: opened from the home in the background where none is given.
    """

    def __init__(self, home: Home, *, controller: ReleaseController | None = None) -> None:
        self.home = home
        self.clock: Clock = controller.clock if controller is not None else home.clock
        self._flags = FlagFile(home.flags_path)
        self._models: Mapping[str, LiveModel] = {}
        self._known = Known()
        self._keeper = Keeper(home, self.look, self._rules, self._learn, controller)
        self._lock = threading.Lock()
        self._looked_at = self._seen_at = -LOOK_EVERY
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._told: list[Flipped] = []

    async def start(self) -> None:
        """Look at the flag document, load what it needs, and go on watching; returns when the first loading was tried."""
        self._loop = asyncio.get_running_loop()
        self.look()
        tried = asyncio.Event()
        self._keeper.start(lambda: self._in_loop(tried.set))
        try:
            async with asyncio.timeout(PATIENCE):
                await tried.wait()
        except TimeoutError:
            pass
        self._watcher = asyncio.create_task(self._watch(), name="flag document")

    async def close(self) -> None:
        """Stop watching and loading."""
        self._keeper.stop()
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)

    def names(self) -> list[str]:
        """Models the flag document names, in alphabetical order."""
        self._look_soon()
        return sorted(self._models)

    def current(self, model: str) -> LiveModel:
        """A model as it is served at this moment; hold on to it for everything that belongs to one request.

        Raises:
            UnknownModel: when no flag document names it.
        """
        self._look_soon()
        try:
            return self._models[model]
        except KeyError:
            known = ", ".join(sorted(self._models)) or "none"
            raise UnknownModel(f"there is no model {model!r}", where="flags.json", remedy=f"models: {known}") from None

    def vouched(self, model: str) -> Vouched | None:
        """What the ledger said last about a model; None while it has not answered."""
        return self._known.vouched.get(model)

    def snapshot(self) -> Mapping[str, LiveModel]:
        """Every model at one moment."""
        self._look_soon()
        return MappingProxyType(dict(self._models))

    def problems(self) -> list[str]:
        """What keeps models from being answered, in words; empty when all can."""
        self._look_soon()
        found = [] if self._models else [self._flags.fault or f"{self._flags.path}: names no model; bootstrap one"]
        for model, live in sorted(self._models.items()):
            if live.rule.champion is None and not live.unavailable:
                found.append(f"{model}: has no champion yet; bootstrap one")
            elif live.champion is None:
                found.append(f"{model}: the champion cannot answer: {live.unavailable['champion']}")
        return found

    def warnings(self) -> list[str]:
        """What should be looked at while requests are answered, in words."""
        self._look_soon()
        with self._lock:  # what is known and what is served by it change together
            known, models, rules, fault = self._known, self._models, self._flags.rules, self._flags.fault
        found = [fault] if fault and models else []
        if known.fault:
            found.append(f"{known.fault}; what is loaded goes on being served")
        for model, live in sorted(models.items()):
            wanted = rules[model]
            if known.refused.get(model) == wanted:
                found.append(f"{model}: flags.json routes it as the ledger does not say; refused; run: retrain reconcile")
            elif live.rule != wanted:
                found.append(f"{model}: served as before, the new champion is not loaded yet")
            if (why := live.unavailable.get("challenger")) is not None:
                found.append(f"{model}: the challenger cannot answer, its units get the champion: {why}")
        for (model, version), stuck in self.state().stuck_threads.items():
            found.append(f"{model}: {stuck} threads hang in version {version}")
        return found

    def state(self) -> LiveState:
        """Loaded versions, age of the rules, what is missing."""
        known, models = self._known, self._models
        loaded: dict[str, tuple[str, ...]] = dict.fromkeys(models, ())
        for model, version in known.seats:
            loaded[model] = (*loaded.get(model, ()), version.version)
        stuck = {(model, version.version): seat.threads.stuck for (model, version), seat in known.seats.items()}
        return LiveState(
            ledger_sequence=self._flags.sequence,
            age_seconds=time.monotonic() - self._seen_at,
            loaded=loaded,
            unavailable={model: live.unavailable for model, live in models.items() if live.unavailable},
            stuck_threads={key: number for key, number in stuck.items() if number},
        )

    def tell(self, flipped: Flipped) -> None:
        """Have a function called with model and revision whenever a model is routed by another rule; in the event loop."""
        self._told.append(flipped)

    def look(self) -> None:
        """Look at the flag document's file now; a changed document is in force when this returns."""
        if not self._lock.acquire(blocking=False):
            return  # another thread is at it
        try:
            self._looked_at, sequence = time.monotonic(), self._flags.sequence
            changed = self._flags.look()
            is_other = changed or sequence != self._flags.sequence
            if self._flags.fault is None:
                self._seen_at = self._looked_at
            flipped = self._rebuild(changed)
        finally:
            self._lock.release()
        if is_other:
            self._keeper.wake()
        self._announce(flipped)

    def _look_soon(self) -> None:
        if time.monotonic() - self._looked_at >= LOOK_EVERY:
            self.look()

    def _rules(self) -> tuple[int, Mapping[str, RoutingRule]]:
        with self._lock:
            return self._flags.sequence, self._flags.rules

    def _learn(self, known: Known) -> None:
        with self._lock:
            self._known = known
            self._flags.confirm(known.sequence)
            flipped = self._rebuild(self._flags.rules)
        self._announce(flipped)

    def _rebuild(self, changed: Iterable[str]) -> list[tuple[str, int]]:
        """Swap in models made anew; those that are routed by another rule than before, with their revision."""
        rules, before = self._flags.rules, self._models
        made = {model: live_model(rules[model], self._known, before.get(model)) for model in changed if model in rules}
        if not made and before.keys() <= rules.keys():
            return []
        self._models = {model: live for model, live in {**before, **made}.items() if model in rules}
        return [
            (model, live.rule.revision) for model, live in made.items() if model not in before or before[model].rule != live.rule
        ]

    def _announce(self, flipped: list[tuple[str, int]]) -> None:
        for model, revision in flipped:
            for told in self._told:
                self._in_loop(partial(told, model, revision))

    def _in_loop(self, call: Callable[[], None]) -> None:
        if self._loop is None:
            call()
            return
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            if not self._loop.is_closed():
                raise

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_EVERY)
            self.look()
