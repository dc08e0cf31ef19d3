"""What the record says of every model now, as Prometheus metrics: bounded by the contracts, without a unit or a person. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime

from retrain_assets.observability import Family
from retrain_assets.observability.exposition import Labels, labels
from retrain_assets.release.debt import toggle_debt
from retrain_assets.release.follow_ups import follow_ups
from retrain_assets.release.platform import PlatformState
from retrain_assets.release.policy import standing_approvals
from retrain_assets.release.state import ModelState, ToggleStatus

MOST_CHECKS = 100
"""Most checks of one model that are told by name; further ones are counted as ``other``."""

OTHER = "other"
_DAY = 86400.0


def ledger_metrics(
    states: Mapping[str, ModelState], platform: PlatformState, now: datetime, head: int, events: Mapping[tuple[str, str], int]
) -> Iterator[Family]:
    """The metrics.

    Args:
        states: every model.
        platform: what holds for all.
        now: the clock's time.
        head: sequence of the ledger's last event.
        events: how many of each kind the ledger has, by model and kind.
    """
    yield _family("ledger_head", "Sequence of the ledger's last event.", {(): float(head)})
    yield Family(
        "retrain_events_total",
        "counter",
        "Events in the ledger, by kind: launches, looks, approvals, rollbacks.",
        {labels(model=model, kind=kind): float(count) for (model, kind), count in sorted(events.items())},
    )
    endings = Counter((name, str(one.ended or "open")) for name, state in states.items() for one in state.retrains.values())
    yield _family("retrains", "Retrains by how they ended, or open.", _counted(endings, "model", "ending"))
    yield _family("verdicts", "Recorded verdicts of retrains, the newest of each check.", dict(_verdicts(states)))
    active = {name: state.active_toggle for name, state in states.items()}
    toggles = Counter((name, str(one.state)) for name, state in states.items() for one in state.toggles.values())
    yield _family("toggles", "Toggles by state.", _counted(toggles, "model", "state"))
    yield _family(
        "toggle_active_share",
        "Part of the cohort that the active toggle gives the challenger, 0..1.",
        {labels(model=name, stage=one.stage or "none"): one.share for name, one in active.items() if one},
    )
    yield _family(
        "toggle_days_to_expiry",
        "Days until the active toggle rolls back by itself.",
        {
            labels(model=name): (one.expires_at - now).total_seconds() / _DAY
            for name, one in active.items()
            if one and one.expires_at
        },
    )
    waiting = {name: one for name, one in active.items() if one and one.state is ToggleStatus.AWAITING_APPROVAL}
    yield _family(
        "approvals_missing",
        "Approvals that a toggle which awaits them still needs.",
        {
            labels(model=name): float(max(0, one.contract["approval"]["required"] - len(standing_approvals(one, now))))
            for name, one in waiting.items()
        },
    )
    yield _family(
        "approval_waiting_days",
        "Days since approval was asked for.",
        {labels(model=name): (now - one.status_since).total_seconds() / _DAY for name, one in waiting.items()},
    )
    yield _family(
        "last_look_age_seconds",
        "Time since the last look at the active toggle's traffic.",
        {labels(model=name): (now - one.last_look.at).total_seconds() for name, one in active.items() if one and one.last_look},
    )
    debts = Counter((name, str(debt.kind)) for name, state in states.items() for debt in toggle_debt(state, platform, now))
    yield _family("toggle_debts", "What is owed about toggles, by kind.", _counted(debts, "model", "kind"))
    open_ones = {name: sum(one.closed is None for one in follow_ups(state, platform)) for name, state in states.items()}
    yield _family("follow_ups_open", "Emergencies whose follow-up nobody closed.", _by_model(open_ones))
    killed = {name: int(platform.kill_switch(name) is not None) for name in states}
    yield _family("kill_switch_engaged", "Whether a kill switch holds for the model.", _by_model(killed))
    ages = {name: (now - one.champion_history[-1].since).total_seconds() / _DAY for name, one in states.items() if one.champion}
    yield _family(
        "champion_age_days", "Days since the champion became it.", {labels(model=name): age for name, age in ages.items()}
    )


def _verdicts(states: Mapping[str, ModelState]) -> Iterator[tuple[Labels, float]]:
    for model, state in states.items():
        counted: Counter[tuple[str, str, str]] = Counter()
        named: set[str] = set()
        for retrain in state.retrains.values():
            for gate, record in retrain.verdicts.items():
                for name, check in record.checks.items():
                    shown = name if name in named or len(named) < MOST_CHECKS else OTHER
                    named.add(shown)
                    counted[str(gate), shown, str(check.verdict.outcome)] += 1
        for (judged, check_name, outcome), count in sorted(counted.items()):
            yield labels(model=model, gate=judged, check=check_name, outcome=outcome), float(count)


def _family(name: str, text: str, samples: Mapping[Labels, float]) -> Family:
    return Family(f"retrain_release_{name}", "gauge", text, samples)


def _counted(counts: Mapping[tuple[str, str], int], *names: str) -> dict[Labels, float]:
    return {labels(**dict(zip(names, key, strict=True))): float(count) for key, count in sorted(counts.items())}


def _by_model(values: Mapping[str, int]) -> dict[Labels, float]:
    return {labels(model=name): float(value) for name, value in values.items()}
