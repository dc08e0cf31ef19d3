"""A road whose canary is followed by hand-made looks, so that a page can be seen with everything a look can say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from retrain_assets.contract import Contract
from retrain_assets.experiment import Action, Look, PlannedLook
from retrain_assets.gates.canary_view import CanaryView, look_document
from retrain_assets.ledger import SYSTEM
from retrain_assets.release import ramping
from retrain_assets.reports import pack_of
from retrain_assets_tests.reports.sample import Sample
from retrain_assets_tests.reports.sample_evidence import DRIFT, MODEL
from retrain_assets_tests.reports.sample_looks import LOOKS, RICH, START, series_look, stage_counts, view_of

KEY = "2013-07-01"


@dataclass
class RichRoad(Sample):
    """A home with a first champion and one challenger on trial."""

    contract: Contract = RICH

    def look(self, last: Callable[[], Look]) -> None:
        """Follow the ramp to 50 % by hand-made looks; the last one is the given."""
        self.bootstrap()
        self.launch(KEY, DRIFT)
        self.offline(KEY, self.until_candidate(KEY, "2"))
        self.now = START
        self.arm(KEY)
        begun, final, k, planned = START + timedelta(days=1), last(), 0, []
        while (moment := self.now + timedelta(hours=12)) < final.at:
            toggle, k = self.toggle(KEY), k + 1
            stages = stage_counts({"shadow": 1, "5": 2, "25": 3, "50": 4}[toggle.stage or ""])
            look = series_look(moment, toggle.stage or "", toggle.stage_revision, stages, k)
            due = sum(moment - begun >= timedelta(days=day) for day in LOOKS)
            if due > len(planned):
                planned.append(PlannedLook(due, moment, 200.0 * due))
            action = Action.STEP if k in (2, 6, 10) else Action.HOLD
            self._follow(replace(look, action=action, planned=tuple(planned)), moment)
        final = replace(final, stage="50", revision=self.toggle(KEY).stage_revision, planned=tuple(planned))
        self._follow(final, final.at, view_of(final))

    def _follow(self, look: Look, moment: Any, view: CanaryView | None = None) -> None:
        self.now = moment
        document = look.to_json() if view is None else look_document(look, view)
        digest = self.evidence.put(document)
        self.do(SYSTEM, look.reason, lambda drafts: ramping.follow(drafts, KEY, document, digest))

    def pack(self, last: Callable[[], Look]) -> dict[str, Any]:
        """The evidence pack after the last look."""
        self.look(last)
        return pack_of(self.ledger, self.evidence, self.home, MODEL, KEY)
