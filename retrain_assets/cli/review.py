"""``retrain review``: what an ended retrain teaches, as recorded, with the change of the contract it suggests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from retrain_assets.cli.options import json_option, model_argument, retrain_argument
from retrain_assets.cli.show import say, say_json, say_table
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.release import ReleaseController


@click.command()
@model_argument
@retrain_argument
@click.option("--diff", "only_diff", is_flag=True, help="Only the suggested change, for git apply; nothing where none is.")
@json_option
def review(model: str, retrain: str, only_diff: bool, as_json: bool) -> None:
    """What an ended RETRAIN of MODEL teaches.

    Did the cohort design hold, did the offline gain predict the online effect, how long did the way back take, which limit would
    have caught it earlier, and what to change in the contract. The recorded review; one that was never recorded is made now, and
    not recorded.
    """
    from retrain_assets.cli.opening import known_model, open_controller, require_retrain

    controller = open_controller(Home.from_environment())
    require_retrain(known_model(controller, model), retrain)
    recorded = _recorded(controller, model, retrain)
    found = recorded or _made_now(controller, model, retrain)
    if only_diff:
        click.echo((found["suggestions"] or {}).get("diff", ""), nl=False)
    elif as_json:
        say_json({**found, "recorded": recorded is not None})
    else:
        _say(found, recorded=recorded is not None)


def _recorded(controller: ReleaseController, model: str, retrain: str) -> dict[str, Any] | None:
    """The newest recorded review; None without one, and where the retrain has gone on since."""
    from retrain_assets.ledger import EventKind
    from retrain_assets.reports.release_review import reviewed_until

    events = controller.ledger.events(model=model)
    reviews = [event for event in events if event.kind is EventKind.RELEASE_REVIEWED and event.retrain == retrain]
    if not reviews:
        return None
    found: dict[str, Any] = controller.evidence.get(reviews[-1].payload["evidence"])
    return found if found["until"] == reviewed_until(events, retrain) else None


def _made_now(controller: ReleaseController, model: str, retrain: str) -> dict[str, Any]:
    from retrain_assets.cli.contracts import contract_of
    from retrain_assets.contract import ContractError
    from retrain_assets.reports.release_review import contract_file, review_of

    try:
        contract = contract_of(model)
    except ContractError:
        contract = None
    return review_of(
        controller.ledger.events(model=model),
        controller.evidence,
        model,
        retrain,
        contract=contract,
        file=contract_file(contract) if contract is not None else None,
    )


def _say(found: dict[str, Any], *, recorded: bool) -> None:
    from retrain_assets.reports.release_review.tables import review_tables

    model, retrain, suggested = found["model"], found["retrain"], found["suggestions"]
    say(found["finding"])
    say()
    for sentence in (suggested, found["earlier"], found["prediction"]):
        if sentence is not None:
            say(sentence["sentence"])
    if not recorded:
        say("This review is made now; none is recorded for this end of the retrain.")
    for title, rows in review_tables(found).items():
        say()
        say(title.capitalize())
        columns = list(dict.fromkeys(name for row in rows for name in row))
        say_table(columns, [[row.get(name) for name in columns] for row in rows])
    if suggested is not None and suggested["diff"]:
        say()
        click.echo(suggested["diff"], nl=False)
        say()
        say(f"retrain review {model} {retrain} --diff | git apply  # after weighing it, in the checkout of {suggested['file']}")
