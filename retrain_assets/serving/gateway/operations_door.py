"""Operations through the one door to activation, in threads beside the event loop; done is what this worker routes by."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from retrain_assets.contract import RetrainError, first_line
from retrain_assets.home import Home
from retrain_assets.ledger import Actor, Event, EvidenceStore, Ledger
from retrain_assets.release import ModelState, ReleaseController
from retrain_assets.release.platform import PlatformState
from retrain_assets.release.projection import routing_rule, shown_sequence
from retrain_assets.serving.gateway.operations_registry import LeftToReconcile, RegistryElsewhere, RegistryFollower
from retrain_assets.serving.live import LiveModels

REGISTRY_PATIENCE = 2.0
"""Seconds an answer waits for the registry after everything that serves has changed."""

ROUTED_WITHIN = 5.0
"""Seconds an answer waits for this worker to route by what was recorded."""

THREADS = 16
"""Operations at once; one that waits for a registry that hangs must not keep the next rollback from happening."""

_LOG = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")

Action = Callable[[ReleaseController], tuple[str, ...]]
"""What is to be done; gives what could not be done of it, one line each."""


class NotRouted(RetrainError):
    """An operation is recorded, and what serves could not be brought up to it."""


@dataclass(frozen=True, slots=True)
class Done:
    """What an operation did.

    Args:
        events: what was recorded, in order.
        states: every model after it.
        platform: kill switches and freezes after it.
        notes: what is still to come, or could not be done, one line each.
    """

    events: tuple[Event, ...]
    states: Mapping[str, ModelState]
    platform: PlatformState
    notes: tuple[str, ...]


class Operator:
    """Carries operations out.

    Args:
        home: the home.
        models: what this worker serves.
        controller: the door; the home's own where none is given.
    """

    def __init__(self, home: Home, models: LiveModels, controller: ReleaseController | None = None) -> None:
        self._home, self._models, self._controller = home, models, controller
        self._follower = RegistryFollower(home)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="operation")

    async def carry_out(self, actor: Actor, concerns: Callable[[Event], bool], action: Action) -> Done:
        """Do it; returns when it is recorded and this worker routes by it.

        A registry that does not answer does not keep the answer back: it follows the ledger whenever it can.

        Args:
            actor: in whose name.
            concerns: which of the actor's new events are about it.
            action: what is to be done.

        Raises:
            Refused: policy does not allow it; nothing was changed.
            NotRouted: it is recorded, and the flag document could not be written.
        """
        door = await self._in_thread(self._door)
        before = (await self._in_thread(door.ledger.head))[0]

        def recorded() -> tuple[Event, ...]:
            return tuple(event for event in door.ledger.events(after=before) if event.actor == actor and concerns(event))

        acting = asyncio.get_running_loop().run_in_executor(self._threads, action, door)
        events: tuple[Event, ...] = ()
        while not acting.done() and not events:
            await asyncio.wait([acting], timeout=REGISTRY_PATIENCE)
            events = await self._in_thread(recorded)
        if acting.done():
            events, notes = await self._ended(acting, recorded)
        else:
            acting.add_done_callback(_tell_late_fault)
            notes = ("the registry does not answer yet; it will be brought up to the ledger",)
        states, platform = await self._in_thread(door.snapshot)
        return Done(events, states, platform, (*notes, *await self._routed(events, states, platform)))

    async def look(self) -> Mapping[str, ModelState]:
        """Every model as recorded now."""
        return await self._in_thread((await self._in_thread(self._door)).states)

    def close(self) -> None:
        """Take no more operations; those under way go on."""
        self._threads.shutdown(wait=False)

    async def _ended(
        self, acting: asyncio.Future[tuple[str, ...]], recorded: Callable[[], tuple[Event, ...]]
    ) -> tuple[tuple[Event, ...], tuple[str, ...]]:
        """What was recorded, and what could not be done. What is recorded is done, whatever a projection met afterwards."""
        fault = acting.exception()
        events = await self._in_thread(recorded)
        if fault is None:
            faults = acting.result()
            left = tuple(one for one in faults if one.endswith(LeftToReconcile().line))
            if left:
                self._follower.follow()
            return events, tuple(one for one in faults if one not in left)
        if not events:
            raise fault
        if isinstance(fault, LeftToReconcile):
            self._follower.follow()
            return events, ()
        _LOG.warning("recorded, but not everything follows: %s", first_line(fault))
        return events, (f"recorded, but not everything follows yet ({first_line(fault)}); run retrain reconcile",)

    async def _routed(
        self, events: tuple[Event, ...], states: Mapping[str, ModelState], platform: PlatformState
    ) -> tuple[str, ...]:
        """Wait until this worker routes by what is recorded; what it does not yet, in words."""
        wanted = {
            name: routing_rule(state, killed=platform.kill_switch(name) is not None)
            for name, state in states.items()
            if state.activation_sequence
        }
        due, deadline = shown_sequence(states, platform), time.monotonic() + ROUTED_WITHIN
        while True:
            self._models.look()
            served = self._models.snapshot()
            behind = [name for name, rule in wanted.items() if name not in served or served[name].rule != rule]
            shown = self._models.state().ledger_sequence
            if shown > due or (shown == due and not behind):
                return ()
            if time.monotonic() >= deadline:
                break
            await asyncio.sleep(0.005)
        if shown < due and events:
            raise NotRouted(
                f"event {events[-1].sequence} is recorded, but flags.json does not show it: traffic is divided as before",
                where=str(self._home.flags_path),
                remedy="make room or make it writable, then run: retrain reconcile",
            )
        return tuple(f"{name}: {warning}" for name in behind for warning in self._models.warnings() if warning.startswith(name))

    def _door(self) -> ReleaseController:
        if self._controller is None:
            home = self._home
            door = ReleaseController(
                home,
                Ledger(home.ledger_url),
                EvidenceStore(home.evidence_dir),
                RegistryElsewhere(home, lambda: door.states()),
                home.clock,
                anchors=False,
            )
            self._controller = door
        return self._controller

    async def _in_thread(self, call: Callable[[], _Answer]) -> _Answer:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


def _tell_late_fault(acting: asyncio.Future[tuple[str, ...]]) -> None:
    if not acting.cancelled() and (fault := acting.exception()) is not None:
        _LOG.warning("recorded and routed, but the registry is behind: %s; run retrain reconcile", first_line(fault))
