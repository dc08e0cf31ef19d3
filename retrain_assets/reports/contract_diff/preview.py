"""What a change of a contract would do: to limits, ramp, plan and people in each environment, to code, to what is on record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from retrain_assets.contract import Contract
from retrain_assets.reports.contract_diff.changes import HEADINGS, Change, changes_between


@dataclass(frozen=True, slots=True)
class PlanLine:
    """One stage of the plan, or the whole of it.

    Args:
        what: the stage's label, or what is counted.
        before: units and days, or days; None where it is not there.
        after: the same.
    """

    what: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class EnvironmentPreview:
    """What changes in one environment.

    Args:
        name: of the environment.
        before: digest of its contract; None where it is new.
        after: the same; None where it goes.
        changes: the fields that differ.
        plan: lines of the plan that differ.
    """

    name: str
    before: str | None
    after: str | None
    changes: tuple[Change, ...] = ()
    plan: tuple[PlanLine, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelPreview:
    """What a change does to one model.

    Args:
        model: its name.
        what: `added`, `removed` or `changed`.
        environments: each environment, changed or not.
        code: what of the team's code is another: `features`, `schema`, own checks and metrics.
        stale: what is on record and counts no more, or still, one sentence each.
    """

    model: str
    what: str
    environments: tuple[EnvironmentPreview, ...]
    code: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    file: str = field(default="", compare=False)

    @property
    def changed(self) -> bool:
        """Whether anything differs at all."""
        return self.what != "changed" or bool(self.code) or any(one.before != one.after for one in self.environments)

    def by_heading(self) -> dict[str, list[tuple[Change, tuple[str, ...]]]]:
        """The changes under their headings, each once, with the environments that have it."""
        found: dict[Change, list[str]] = {}
        for environment in self.environments:
            for change in environment.changes:
                found.setdefault(change, []).append(environment.name)
        rooms = {heading: [(one, tuple(where)) for one, where in found.items() if one.heading == heading] for heading in HEADINGS}
        return {heading: changes for heading, changes in rooms.items() if changes}

    def to_json(self) -> dict[str, Any]:
        """JSON-able values."""
        return {
            "model": self.model,
            "what": self.what,
            "file": self.file,
            "environments": [
                {
                    "environment": one.name,
                    "before": one.before,
                    "after": one.after,
                    "changes": [change.to_json() for change in one.changes],
                    "plan": [{"what": line.what, "before": line.before, "after": line.after} for line in one.plan],
                }
                for one in self.environments
            ],
            "code": list(self.code),
            "stale": list(self.stale),
        }


def preview_of(
    model: str,
    before: Mapping[str, Contract] | None,
    after: Mapping[str, Contract] | None,
    *,
    code: Sequence[str] = (),
    plans: Mapping[str, Sequence[PlanLine]] | None = None,
    open_retrains: Sequence[str] = (),
    file: str = "",
) -> ModelPreview:
    """What a change does to one model.

    Args:
        model: its name.
        before: the contract of each environment; None for a model that is new. `default` stands for a contract without any.
        after: the same; None for a model that is removed.
        code: names of what is another of the team's code.
        plans: what differs of the plan, by environment.
        open_retrains: retrains on record that have not ended and are not armed yet.
        file: where it is written.
    """
    names = [*dict.fromkeys([*(after or {}), *(before or {})])]
    environments = tuple(_environment(name, before or {}, after or {}, (plans or {}).get(name, ())) for name in names)
    what = "added" if before is None else "removed" if after is None else "changed"
    found = ModelPreview(model, what, environments, tuple(code), file=file)
    return ModelPreview(model, what, environments, tuple(code), _stale(found, before, after, open_retrains), file)


def _environment(
    name: str, before: Mapping[str, Contract], after: Mapping[str, Contract], plan: Sequence[PlanLine]
) -> EnvironmentPreview:
    old, new = before.get(name), after.get(name)
    changes = changes_between(old, new) if old is not None and new is not None else []
    return EnvironmentPreview(name, old.digest if old else None, new.digest if new else None, tuple(changes), tuple(plan))


def _stale(
    preview: ModelPreview,
    before: Mapping[str, Contract] | None,
    after: Mapping[str, Contract] | None,
    open_retrains: Sequence[str],
) -> tuple[str, ...]:
    """What counts no more, by the digests that a release compares."""
    if before is None or after is None:
        return ()
    waiting = f" Open now: {', '.join(open_retrains)}." if open_retrains else ""
    both = [name for name in after if name in before]
    limits = [name for name in both if before[name].limits_digest != after[name].limits_digest]
    made = [change for one in preview.environments for change in one.changes if change.heading == HEADINGS[-1]]
    promoted = [
        f"{one.promoted_from} → {name}"
        for name, one in after.items()
        if one.promoted_from and (name not in both or before[name].digest != one.digest)
    ]
    approvals = [name for name in both if before[name].approval != after[name].approval]
    found = []
    if limits:
        found.append(
            "Verdicts of gates data, training and offline were given by other limits: a candidate that is not armed has to be "
            f"judged again ({', '.join(limits)}).{waiting}"
        )
    if preview.code or made:
        found.append(
            f"What is fitted is another: verdicts on candidates made before say nothing about it; launch a new retrain.{waiting}"
        )
    if any(one.before != one.after for one in preview.environments):
        found.append("An active toggle keeps the contract that was frozen into it when it was armed, its approvals included.")
    if approvals:
        found.append(f"Who approves is asked anew of every retrain armed from now on ({', '.join(approvals)}).")
    if promoted:
        found.append(f"It has to be promoted before anything is launched or armed under it ({', '.join(promoted)}).")
    return tuple(found)
