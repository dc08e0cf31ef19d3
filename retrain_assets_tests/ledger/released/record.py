"""Records what a release writes: run by its own code, it leaves the ledger as SQL and what that amounts to as JSON.

    PYTHONPATH=CHECKOUT_OF_THE_RELEASE python retrain_assets_tests/ledger/released/record.py FOLDER

It asks for what every release so far has, and for what only some have where they have it. What is recorded is never written anew.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

from retrain_assets.contract import Gate, Outcome
from retrain_assets.ledger import SYSTEM
from retrain_assets_tests.release.world import MODEL, PAUL, RUTH, World


def main() -> None:
    """Write ``ledger.sql.gz`` and ``state.json`` into the folder."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as root:
        world = World(Path(root))
        _live(world)
        (folder / "state.json").write_text(json.dumps(_said(world), indent=1, sort_keys=True) + "\n")
        with closing(sqlite3.connect(Path(root) / "ledger.db")) as connection:
            sql = "\n".join(connection.iterdump()) + "\n"
        (folder / "ledger.sql.gz").write_bytes(gzip.compress(sql.encode(), 9, mtime=0))


def _live(world: World) -> None:
    """One promoted, one rejected by a person, one stopped, one rolled back, one failed; one in its ramp at the end."""
    controller, clock = world.controller, world.clock
    world.promoted("2013-07-01")
    controller.record_audit(MODEL, "2013-07-01", "sha256:" + "a" * 64)
    clock.forward(days=8)
    world.awaiting("2013-07-09")
    controller.reject(MODEL, "2013-07-09", PAUL, "wrong season")
    controller.decide(MODEL, "2013-07-09")
    clock.forward(days=8)
    world.launch("2013-07-17")
    world.judge("2013-07-17", Gate.DATA, Outcome.FAIL)
    controller.decide(MODEL, "2013-07-17")
    clock.forward(days=8)
    world.ramp("2013-07-25")
    world.look("2013-07-25", "roll_back", "a guardrail was crossed", cause="harm")
    controller.decide(MODEL, "2013-07-25")
    controller.retire(f"{MODEL}-2013-07-25", RUTH, "over")
    clock.forward(days=8)
    world.launch("2013-08-02")
    controller.record_stage_failure(MODEL, "2013-08-02", "candidate_model", "out of memory")
    controller.decide(MODEL, "2013-08-02")
    clock.forward(days=8)
    open_toggle = world.ramp("2013-08-10")
    controller.hold(open_toggle, RUTH, "look at the shop first")
    controller.resume(open_toggle, RUTH, "the shop is fine")
    controller.extend(open_toggle, timedelta(days=3), RUTH, "more traffic is to come")
    for name, work in _later(world, open_toggle).items():
        if hasattr(controller, name):
            work()


def _later(world: World, toggle: str) -> dict[str, Callable[[], Any]]:
    """What came with later releases, by the method that came."""
    controller: Any = world.controller
    today = world.clock.now().date()
    return {
        "transfer": lambda: controller.transfer(toggle, "team:growth", RUTH, "they own the funnel"),
        "offer_transfer": lambda: controller.offer_transfer(toggle, "team:growth", RUTH, "they own the funnel"),
        "review": lambda: controller.review(toggle, RUTH, "still needed"),
        "declare_freeze": lambda: controller.declare_freeze(today, today + timedelta(days=2), PAUL, "sale"),
        "mark_owner_left": lambda: controller.mark_owner_left("team:gone", PAUL, "the team was closed"),
        "engage_kill_switch": lambda: controller.engage_kill_switch(MODEL, PAUL, "prices are wrong"),
        "release_kill_switch": lambda: controller.release_kill_switch(MODEL, RUTH, "prices are right"),
        "override": lambda: [
            controller.override(MODEL, "2013-07-17", "data.holds", one, "the source was late, not wrong") for one in (RUTH, PAUL)
        ],
        "record_review": lambda: controller.record_review(
            MODEL, "2013-07-01", "sha256:" + "b" * 64, {"finding": "kept", "suggestions": 0}
        ),
    }


def _said(world: World) -> dict[str, Any]:
    """What the ledger amounts to, in the words every release has."""
    state = world.state
    sequence, head = world.ledger.head()
    return {
        "head": [sequence, head],
        "kinds": sorted({str(event.kind) for event in world.ledger.events()}),
        "champion": [state.champion.version, state.champion.bundle],
        "reigns": [[one.version.version, one.how, one.retrain] for one in state.champion_history],
        "toggles": {
            name: {
                "state": str(one.state),
                "revision": one.revision,
                "stage": one.stage,
                "share": one.share,
                "owner": one.owner,
                "expires_at": one.expires_at.isoformat(),
                "approvals": [item.approver for item in one.approvals],
            }
            for name, one in state.toggles.items()
        },
        "retrains": {
            key: {
                "candidate": one.candidate and one.candidate.version,
                "ended": one.ended and str(one.ended),
                "decision": one.decision and one.decision.decision,
                "failure": one.failure,
                "gates": {str(gate): str(record.outcome) for gate, record in one.verdicts.items()},
            }
            for key, one in state.retrains.items()
        },
        "written_by": str(SYSTEM),
    }


if __name__ == "__main__":
    main()
