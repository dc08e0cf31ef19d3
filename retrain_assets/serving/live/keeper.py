"""The thread that asks ledger and registry: confirms rules, loads what the ledger vouches for, drops what nobody needs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from retrain_assets.contract import RetrainError, first_line
from retrain_assets.home import Home
from retrain_assets.release import ReleaseController
from retrain_assets.routing import RoutingRule, VersionRef
from retrain_assets.serving.live.bundle_cache import BundleCache, copy_from
from retrain_assets.serving.live.fetch import fetch
from retrain_assets.serving.live.live_model import Key, Known, Seat, versions_of
from retrain_assets.serving.live.scoring_threads import ScoringThreads
from retrain_assets.serving.live.vouching import rules_on_record, vouched

FIRST_RETRY, LONGEST_RETRY = 0.5, 30.0
"""Seconds until what failed is tried again; doubled each time."""

LINGER = 60.0
"""Seconds for which a dropped bundle's threads still serve requests that began with it."""

_LOG = logging.getLogger(__name__)

Rules = tuple[int, Mapping[str, RoutingRule]]


class Keeper:
    """Keeps what a process knows up to the ledger; whoever wants it is told on every change, in the keeper's thread.

    Args:
        home: the home.
        look: looks at the flag document.
        rules: gives its sequence and rules as of the last look.
        tell: is given what is known, whenever it changed.
        controller: opened from the home where none is given.
    """

    def __init__(
        self,
        home: Home,
        look: Callable[[], None],
        rules: Callable[[], Rules],
        tell: Callable[[Known], None],
        controller: ReleaseController | None,
    ) -> None:
        self.home = home
        self.known = Known()
        self._look = look
        self._rules = rules
        self._tell = tell
        self._controller = controller
        self._is_own = controller is None
        self._cache = BundleCache(home, self._fill)
        self._dropped: list[tuple[float, Seat]] = []
        self._wake = threading.Event()
        self._stop = False

    def start(self, after_first_round: Callable[[], None]) -> None:
        """Begin; once everything was tried for the first time, say so (in the keeper's thread)."""
        threading.Thread(target=self._run, args=(after_first_round,), name="serving keeper", daemon=True).start()

    def wake(self) -> None:
        """The flag document changed."""
        self._wake.set()

    def stop(self) -> None:
        """End after what is being done; threads of bundles end, too."""
        self._stop = True
        self._wake.set()
        for seat in (*self.known.seats.values(), *(seat for _, seat in self._dropped)):
            seat.threads.close()

    def _run(self, after_first_round: Callable[[], None]) -> None:
        retry = FIRST_RETRY
        while not self._stop:
            self._wake.clear()
            is_done = self._round()
            if not self._wake.is_set():
                after_first_round()
            retry = FIRST_RETRY if is_done else min(2 * retry, LONGEST_RETRY)
            self._wake.wait(retry if not is_done else LINGER if self._dropped else None)

    def _round(self) -> bool:
        """Ask ledger and registry once; False where something is to be tried again."""
        try:
            self._ask_ledger()
        except Exception as error:  # noqa: BLE001 (whatever a database or a damaged record raises: it is told, and tried again)
            _LOG.warning("the ledger cannot be asked: %s", first_line(error))
            self._change(fault=f"the ledger cannot be asked ({first_line(error)})")
            return False
        self._load(self._wanted())
        self._drop()
        return not (self.known.unloadable or self.known.refused or self.known.unreadable)

    def _ask_ledger(self) -> None:
        if self._controller is None:
            self._controller = ReleaseController.open(self.home)
        self._look()
        self._wake.clear()
        sequence, rules = self._rules()
        recorded = rules_on_record(self._controller, sequence)
        confirmed = {model: rule for model, rule in rules.items() if recorded.get(model) == rule}
        refused = {model: rule for model, rule in rules.items() if model not in confirmed}
        self._ask_about(confirmed)
        self._change(
            sequence=self.known.sequence if refused else sequence,
            confirmed={**self.known.confirmed, **confirmed},
            refused=refused,
            fault=None,
        )

    def _ask_about(self, models: Iterable[str]) -> None:
        assert self._controller is not None
        states, found, unreadable = self._controller.states(), dict(self.known.vouched), dict[str, str]()
        for model in models:
            state = states[model]
            if model in found and found[model].sequence == state.sequence:
                continue
            try:
                found[model] = vouched(state, self._controller.evidence)
            except (RetrainError, ValueError, KeyError, OSError) as error:
                unreadable[model] = f"its contract in force cannot be read ({first_line(error)})"
        self._change(vouched=found, unreadable=unreadable)

    def _wanted(self) -> list[Key]:
        """Champions first, then challengers, then where a rollback of the last promotion leads."""
        rules = {model: rule for model, rule in self.known.confirmed.items() if model in self.known.vouched}
        needed = {model: versions_of(rule) for model, rule in rules.items()}
        wanted = [(model, needed[model][arm]) for arm in ("champion", "challenger") for model in rules if arm in needed[model]]
        wanted += [(model, one.previous) for model, one in self.known.vouched.items() if one.previous is not None]
        return [key for key in dict.fromkeys(wanted) if key[1] in self.known.vouched[key[0]].versions]

    def _load(self, wanted: list[Key]) -> None:
        self._change(unloadable={key: why for key, why in self.known.unloadable.items() if key in wanted})
        missing = [key for key in wanted if key not in self.known.seats]
        missing.sort(key=lambda key: key not in self._cache)  # what needs no registry first
        for place, key in enumerate(missing):
            if self._stop or (place and self._wake.is_set()):
                break  # another document may want something else
            try:
                seat = self._seat(*key)
            except Exception as error:  # noqa: BLE001 (whatever a registry, a disk or a model file raises: it is told, and tried again)
                _LOG.warning("version %s of %s is not loaded: %s", key[1].version, key[0], first_line(error))
                self._change(unloadable={**self.known.unloadable, key: first_line(error)})
            else:
                others = {one: why for one, why in self.known.unloadable.items() if one != key}
                self._change(seats={**self.known.seats, key: seat}, unloadable=others)

    def _seat(self, model: str, version: VersionRef) -> Seat:
        bundle = self._cache.load(model, version)
        return Seat(bundle, ScoringThreads(f"{model} version {version.version}"))

    def _drop(self) -> None:
        now, wanted = time.monotonic(), self._wanted()
        gone = {key: seat for key, seat in self.known.seats.items() if key not in wanted}
        if gone:
            self._change(seats={key: seat for key, seat in self.known.seats.items() if key in wanted})
            self._dropped += [(now + LINGER, seat) for seat in gone.values()]
        for due, seat in self._dropped:
            if due <= now:
                seat.threads.close()
        self._dropped = [one for one in self._dropped if one[0] > now]
        for model in self.known.vouched:
            self._cache.tidy(model, {version.bundle for one, version in wanted if one == model})

    def _fill(self, model: str, version: VersionRef) -> None:
        if self._is_own or self._controller is None:
            fetch(self.home, model, version)
        else:
            copy_from(self._controller.registry, self.home, model, version)

    def _change(self, **changes: object) -> None:
        self.known = replace(self.known, **changes)  # type: ignore[arg-type]
        self._tell(self.known)
