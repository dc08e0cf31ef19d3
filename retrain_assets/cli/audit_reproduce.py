"""``retrain audit reproduce``: a retrain recomputed from what is stored of it, and compared byte for byte with the record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from retrain_assets.cli.exits import ExitCode, tell
from retrain_assets.cli.options import json_option, model_argument, retrain_argument
from retrain_assets.cli.show import say, say_json, short
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.cli.reproduction import Result


@click.command()
@model_argument
@retrain_argument
@click.option(
    "--fast", is_flag=True, help="Fit nothing: only verify the stored bundle, and judge its gates on what was measured."
)
@click.option("--full", is_flag=True, help="Take the snapshot from the source again, too.")
@json_option
@click.pass_context
def reproduce(ctx: click.Context, model: str, retrain: str, fast: bool, full: bool, as_json: bool) -> None:
    """Recompute RETRAIN from what is stored of it, and say what is equal byte for byte.

    Snapshot, features, candidate, gates, looks, decision and evidence pack; each line is a step with its digest. A difference
    names its cause. Exits 0 only if everything that was recomputed is equal. Works in a scratch folder and changes nothing.
    """
    if fast and full:
        raise click.UsageError("--fast and --full exclude each other")
    from retrain_assets.cli.opening import require_record
    from retrain_assets.cli.reproduction import Depth, Status
    from retrain_assets.cli.reproduction import reproduce as reproduced

    home = Home.from_environment()
    require_record(home)
    from retrain_assets.cli.contracts import project_on_path

    project_on_path()
    found: list[Result] = []
    for result in reproduced(home, model, retrain, Depth.FAST if fast else Depth.FULL if full else Depth.USUAL):
        found.append(result)
        if not as_json:
            _say(result)
    different = [one for one in found if one.status is Status.DIFFERENT]
    missing = [one for one in found if one.missing]
    if as_json:
        told = {"model": model, "retrain": retrain, "equal": not different and not missing}
        told["seconds"] = sum(one.seconds for one in found)
        say_json({**told, "steps": [one.to_json() for one in found]})
    else:
        _say_summary(found)
    where = f"audit reproduce: {model} {retrain}"
    if different:
        ctx.exit(tell(f"{where}: {len(different)} steps differ from the record; the causes stand above", ExitCode.CUSTODY))
    if missing:
        ctx.exit(
            tell(f"{where}: {len(missing)} steps cannot be recomputed, what they rest on is not stored here", ExitCode.INPUT)
        )


def _say(result: Result) -> None:
    from retrain_assets.cli.reproduction import Status

    digests = short(result.recorded) or ""
    if result.status is Status.DIFFERENT:
        digests = f"{digests} → {short(result.recomputed) or 'nothing'}"
    line = f"{result.step:<12}  {result.what:<44}  {result.status:<14}  {digests:<20}  {result.seconds:6.1f} s"
    say(line + (f"  ({result.why})" if result.why and result.status is not Status.DIFFERENT else ""))
    if result.status is Status.DIFFERENT:
        if result.why:
            say(f"{'':<14}{result.why}")
        for cause in result.causes:
            say(f"{'':<14}- {cause.sentence}")


def _say_summary(found: Sequence[Result]) -> None:
    from retrain_assets.cli.reproduction import Status

    counts = {status: sum(one.status is status for one in found) for status in Status}
    say()
    say(", ".join(f"{count} {status}" for status, count in counts.items()) + f"; {sum(one.seconds for one in found):.0f} s")
    measured = [fact for one in found for fact in one.measured]
    if measured:
        say("measured by a clock, so only the outcome is compared:")
        for fact in measured:
            say(f"  {fact['what']}: then {fact['recorded']}; here {fact['here']}")
