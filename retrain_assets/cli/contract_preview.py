"""``retrain contract preview``: what the changes of a pull request would do, before anybody merges them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from retrain_assets.cli.options import json_option
from retrain_assets.cli.show import say, say_json, say_table
from retrain_assets.contract import Contract, ContractError, RetrainError
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.cli.contract_revisions import Standing, Standings
    from retrain_assets.release import ReleaseController
    from retrain_assets.reports.contract_diff import ModelPreview, PlanLine


@click.command("preview")
@click.argument("models", nargs=-1)
@click.option("--base", default="origin/main", show_default=True, metavar="REVISION", help="What it is to be merged into.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the comment of a pull request.")
@json_option
def preview(models: tuple[str, ...], base: str, as_markdown: bool, as_json: bool) -> None:
    """What the working tree changes in the contracts of MODELS (all by default) since it left a git revision.

    Limits with their direction, ramp, plan, approvals, cadence and cost in every environment, other code of features and schema,
    and what of the record would count no more. Ends with an error only where a contract does not hold.
    """
    from retrain_assets.cli.contract_revisions import fork_of, project_at, standings
    from retrain_assets.cli.opening import controller_of, is_recorded

    if as_markdown and as_json:
        raise click.UsageError("write --markdown or --json")
    fork = fork_of(base)
    with project_at(fork) as folder:
        before = standings(folder) if folder is not None else None
        after = standings()
        home = Home.from_environment()
        found = previews(before, after, models, home, controller_of(home) if is_recorded(home) else None)
    faults = [line for name, line in after.faults.items() if not models or name in models]
    if as_json:
        say_json({"base": base, "commit": fork, "models": [one.to_json() for one in found], "faults": faults})
    elif as_markdown:
        from retrain_assets.reports.contract_diff import markdown_of

        click.echo(markdown_of(found, base, faults), nl=False)
    else:
        _say(found, base)
    if faults:
        raise ContractError(faults[0], remedy=f"and {len(faults) - 1} more contracts do not hold" if faults[1:] else "")


def previews(
    before: Standings | None, after: Standings, models: Sequence[str], home: Home, controller: ReleaseController | None
) -> list[ModelPreview]:
    """What changes, for every model that does.

    Args:
        before: the contracts as they stood; None where the project was not there.
        after: the contracts as they stand.
        models: the models that are asked for; none: all.
        home: whose traffic and record the plan is made of.
        controller: its record; None without one.

    Raises:
        RetrainError: for a model that neither has.
    """
    from retrain_assets.reports.contract_diff import preview_of

    old = before.models if before else {}
    odd = before.faults if before else {}
    known = [*dict.fromkeys([*after.models, *after.faults, *old, *odd])]
    if unknown := [name for name in models if name not in known]:
        raise RetrainError(
            f"there is no contract of model {unknown[0]!r}", remedy=f"contracts here: {', '.join(known) or 'none'}"
        )
    found = []
    for name in models or known:
        if name in after.faults or (name not in after.models and name not in old):
            continue
        now, then = after.models.get(name), old.get(name)
        one = preview_of(
            name,
            then.environments if then else None,
            now.environments if now else None,
            code=[what for what in now.code if now.code[what] != then.code[what]] if now and then else (),
            plans=_plans(then, now, home, controller),
            open_retrains=_open_retrains(controller, name),
            file=(now or then).file,  # type: ignore[union-attr]
        )
        if one.changed:
            found.append(one)
    return found


def _plans(
    before: Standing | None, after: Standing | None, home: Home, controller: ReleaseController | None
) -> dict[str, list[PlanLine]]:
    """What differs of the plan in each environment that both have, or that is new."""
    from retrain_assets.reports.contract_diff import PlanLine

    found = {}
    for name, contract in (after.environments if after else {}).items():
        earlier = before.environments.get(name) if before else None
        if earlier is not None and earlier.digest == contract.digest:
            continue
        old = _plan(earlier, home, controller) if earlier is not None else {}
        new = _plan(contract, home, controller)
        lines = [PlanLine(what, old.get(what), new.get(what)) for what in dict.fromkeys([*new, *old])]
        found[name] = [line for line in lines if line.before != line.after]
    return found


def _plan(contract: Contract, home: Home, controller: ReleaseController | None) -> dict[str, str]:
    """Units and days of each stage, and of the whole, as ``retrain plan`` has them."""
    from retrain_assets.serving.seen import outlook_of

    _, outlook = outlook_of(home, controller, contract, home.clock.now())
    stages = {
        f"stage {one.stage}{' %' if one.stage != 'shadow' else ''}": (
            f"{one.challenger_units:,} challenger units of {one.cohort_units:,}, {_days(one.duration.total_seconds() / 86400)}"
        )
        for one in outlook.stages
    }
    return {
        **stages,
        "approval is asked for not before": f"day {outlook.earliest:.1f}",
        "rejected without a clear result on": f"day {outlook.latest:g}",
        **{f"cannot conclude: {one.field}": one.what for one in outlook.obstacles},
    }


def _days(days: float) -> str:
    return f"{days:.1f} day{'' if round(days, 1) == 1 else 's'}"


def _open_retrains(controller: ReleaseController | None, model: str) -> list[str]:
    if controller is None:
        return []
    state = controller.state(model)
    return [key for key, one in state.retrains.items() if one.ended is None and state.toggle_of(key) is None]


def _say(found: Sequence[ModelPreview], base: str) -> None:
    if not found:
        say(f"no contract changes what {base} has")
    for number, one in enumerate(found):
        if number:
            say()
        say(f"{one.model} ({one.file}): {one.what}")
        rows = [
            (change.field, change.before, change.after, change.tendency, ", ".join(where))
            for changes in one.by_heading().values()
            for change, where in changes
        ]
        if rows:
            say_table(["field", "before", "after", "", "environments"], rows, or_records=True)
        for environment in one.environments:
            for line in environment.plan:
                say(f"  plan in {environment.name}: {line.what}: {line.before or '-'} -> {line.after or '-'}")
        for what in one.code:
            say(f"  other code: {what}")
        for sentence in one.stale:
            say(f"  {sentence}")
