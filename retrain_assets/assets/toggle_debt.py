"""Asset ``toggle_debt``: the toggles of a model that are not retired, what is owed about them, and what is stopped now.

It is shown anew by the upkeep sensor, without a run, when something about it changed and once a day, as ages grow: a run a day
for each of a hundred models would cost more than all it shows. Materialising it by hand does the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import dagster as dg

from retrain_assets.assets.faces import table
from retrain_assets.assets.platform import Platform
from retrain_assets.assets.road import Road
from retrain_assets.contract import digest_of
from retrain_assets.ledger import EVERY_MODEL, timestamp
from retrain_assets.release import (
    Debt,
    DebtKind,
    FollowUp,
    ModelState,
    PlatformState,
    ToggleState,
    ToggleStatus,
    follow_ups,
    toggle_debt,
)
from retrain_assets.release.debt import review_due
from retrain_assets.reports import words

CHECK = "no_toggle_debt"
GRAVE = frozenset({DebtKind.EXPIRED, DebtKind.PAST_REMOVAL, DebtKind.OWNER_LEFT})
"""Kinds of debt that are an error; the others are a warning."""


def toggle_debt_asset(road: Road) -> dg.AssetsDefinition:
    """The model's toggles and what is owed about them, with the check that nothing is."""
    owner = road.owners("toggle_debt")[0]

    @dg.asset(
        key=road.key("toggle_debt"),
        code_version=road.code_version,
        description="Every toggle that is not retired: owner, age, expiry, removal date, review, and what is owed about it in "
        "days; what emergencies left to be looked into; engaged kill switches, change freezes and owners who left. Shown anew "
        "when it changes and once a day.",
        group_name=road.model,
        owners=[owner],
        kinds=road.kinds("toggle_debt"),
        tags=road.tags,
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=road.key("toggle_debt"),
                description="No toggle is past its expiry or removal date, unreviewed, held or offered for too long, or without "
                "an owner, and the cause of every emergency is named within a week. "
                f"Owner {owner}; if it does not hold: settle each debt with the command beside it.",
                metadata={"owner": owner},
            )
        ],
    )
    def toggle_debt(platform: Platform) -> dg.MaterializeResult:  # type: ignore[type-arg]
        states, beyond = platform.controller.snapshot()
        page = DebtPage(road, states.get(road.model) or ModelState(road.model), beyond, platform.clock.now())
        return dg.MaterializeResult(
            metadata=page.metadata, data_version=dg.DataVersion(page.digest), check_results=[page.check_result]
        )

    return toggle_debt


class DebtPage:
    """What the asset and its check say of a model at a moment.

    Args:
        road: the model's.
        state: the model's state.
        platform: kill switches, freezes and owners who left.
        now: aware.
    """

    def __init__(self, road: Road, state: ModelState, platform: PlatformState, now: datetime) -> None:
        self._road, self._platform, self._now = road, platform, now
        self._toggles = [toggle for toggle in state.toggles.values() if toggle.state is not ToggleStatus.RETIRED]
        self._retired = len(state.toggles) - len(self._toggles)
        self.follow_ups = follow_ups(state, platform)
        self.debts = sorted(toggle_debt(state, platform, now), key=lambda debt: (debt.kind not in GRAVE, debt.since))

    @property
    def digest(self) -> str:
        """Digest of what is shown but for the day's ages."""
        return digest_of({"rows": [self._row(one, ages=False) for one in self._toggles], "stops": self._stops(), **self._owed()})

    @property
    def days(self) -> int:
        """What is owed, in days, over all debts."""
        return sum(debt.days for debt in self.debts)

    @property
    def metadata(self) -> dict[str, Any]:
        """The page: the sum in a sentence, then the debts, the toggles, and what is stopped."""
        stops = self._stops()
        return {
            "debt": self.total,
            "debt_days": self.days,
            "debts": table(map(self._debt_row, self.debts), as_written=True) if self.debts else "none",
            "follow_ups": table(map(self._follow_up_row, self.follow_ups), as_written=True) if self.follow_ups else "none",
            "open_follow_ups": len(self.follow_ups),
            "toggles": table((self._row(one, ages=True) for one in self._toggles), as_written=True)
            if self._toggles
            else "none that is not retired",
            "open_toggles": len(self._toggles),
            "retired_toggles": self._retired,
            **{name: table(rows, as_written=True) if rows else "none" for name, rows in stops.items()},
            "as_of": words.moment(timestamp(self._now)),
        }

    @property
    def check_result(self) -> dg.AssetCheckResult:
        """The check of a run."""
        return dg.AssetCheckResult(check_name=CHECK, **self._checked())

    @property
    def events(self) -> list[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
        """The same as events without a run."""
        key = self._road.key("toggle_debt")
        tags = {"dagster/data_version": self.digest, "dagster/code_version": self._road.code_version}
        return [
            dg.AssetMaterialization(key, metadata=self.metadata, tags=tags),
            dg.AssetCheckEvaluation(asset_key=key, check_name=CHECK, **self._checked()),
        ]

    @property
    def total(self) -> str:
        """How many debts there are, and what they add up to."""
        count = len(self.debts)
        return f"{count} {'debt' if count == 1 else 'debts'}, {self.days} days in all" if count else "nothing is owed"

    @property
    def sentence(self) -> str:
        """What is owed, in one sentence, the gravest by name; then what is still to be looked into."""
        return "; ".join([self._owed_in_words, *(f"FOLLOW-UP {one.number} is open: {one.sentence}" for one in self.follow_ups)])

    @property
    def _owed_in_words(self) -> str:
        if not self.debts:
            return self.total
        gravest = f"{self.debts[0].toggle}: {self.debts[0].message}"
        return f"{self.total}; the gravest: {gravest}" if len(self.debts) > 1 else gravest

    def _checked(self) -> dict[str, Any]:
        grave = any(debt.kind in GRAVE for debt in self.debts)
        return {
            "passed": not self.debts,
            "severity": dg.AssetCheckSeverity.ERROR if grave else dg.AssetCheckSeverity.WARN,
            "description": self.sentence,
            "metadata": {
                "debts": len(self.debts),
                "debt_days": float(self.days),
                "open_follow_ups": len(self.follow_ups),
                **({"owed": table(map(self._debt_row, self.debts), as_written=True)} if self.debts else {}),
                "owner": self._road.owners("toggle_debt")[0],
            },
        }

    def _owed(self) -> dict[str, Any]:
        return {
            "debts": [(debt.toggle, str(debt.kind), timestamp(debt.since)) for debt in self.debts],
            "follow_ups": [one.number for one in self.follow_ups],
        }

    def _follow_up_row(self, one: FollowUp) -> Mapping[str, Any]:
        by = f"  # by {one.closed_by}" if one.closed_by else ""
        return {
            "number": str(one.number),
            "open, days": (self._now - one.opened_at).days,
            "of": one.scope,
            "what": one.sentence,
            "close it with": one.command + by,
        }

    def _debt_row(self, debt: Debt) -> Mapping[str, Any]:
        return {
            "toggle": debt.toggle,
            "days": debt.days,
            "what": debt.message,
            "settle it with": debt.remedy,
        }

    def _row(self, toggle: ToggleState, *, ages: bool) -> Mapping[str, Any]:
        due = review_due(toggle)
        owed = [debt for debt in self.debts if debt.toggle == toggle.name]
        stage = "" if toggle.stage is None or not toggle.active else f", {words.stage(toggle.stage)}"
        state = words.words(toggle.state.value)
        return {
            "toggle": toggle.name,
            "owes, days": sum(debt.days for debt in owed) if ages else None,
            "age, days": (self._now - toggle.created_at).days if ages and toggle.created_at else None,
            "state": state if stage == f", {state}" else state + stage,
            "owner": toggle.owner + (f", offered to {toggle.offer.owner}" if toggle.offer else ""),
            "expires": _day(toggle.expires_at) if toggle.active else None,
            "review due": _day(due),
            "remove by": _day(toggle.remove_by),
            "owes": ", ".join(words.words(debt.kind.value) for debt in owed) or "nothing",
        }

    def _stops(self) -> dict[str, list[dict[str, Any]]]:
        """Kill switches, freezes that are not over and owners who left, as far as they concern the model."""
        model, platform, today = self._road.model, self._platform, self._now.date()
        owners = {toggle.owner for toggle in self._toggles} | {self._road.contract.toggle.owner}
        return {
            "kill_switches": [
                {"of": one.scope, "since": words.moment(timestamp(one.engaged_at)), "by": words.actor(one.by), "why": one.reason}
                for name, one in platform.kill_switches.items()
                if name in (EVERY_MODEL, model)
            ],
            "freezes": [
                {"from": f"{one.start}", "to": f"{one.end}", "in force": one.start <= today <= one.end, "why": one.reason}
                for one in platform.cadence(self._road.contract).freeze
                if one.end >= today
            ],
            "owners_who_left": [
                {"owner": gone.owner, "since": _day(gone.since), "why": gone.reason}
                for owner in sorted(owners)
                if (gone := platform.left(owner)) is not None
            ],
        }


def _day(moment: datetime | None) -> str | None:
    return words.day(timestamp(moment)) if moment else None
