"""``retrain contract proof`` and ``retrain contract promote``: a contract goes from one environment into the next."""

from __future__ import annotations

import json
from pathlib import Path

import click

from retrain_assets.cli.keys import Hand, signed_by, signing
from retrain_assets.cli.options import Order, model_argument
from retrain_assets.cli.show import say, say_json
from retrain_assets.contract import Refused, RetrainError
from retrain_assets.home import Home


@click.command("proof")
@model_argument
def proof(model: str) -> None:
    """Print that the contract of MODEL ran in this environment: a file to take where it is to be promoted to."""
    from retrain_assets.cli.contracts import contract_of
    from retrain_assets.cli.opening import controller_of, require_record
    from retrain_assets.release.contract_promotion import proof_of

    home = Home.from_environment()
    require_record(home)
    controller = controller_of(home)
    say_json(proof_of(controller.ledger, controller.state(model), contract_of(model), home.environment).to_json())


@click.command("promote")
@model_argument
@click.option("--from", "origin", required=True, metavar="ENVIRONMENT", help="Where it ran.")
@click.option(
    "--to", "target", required=True, metavar="ENVIRONMENT", help="Where it is to hold: the environment of this process."
)
@click.option(
    "--proof",
    "proof_file",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What retrain contract proof printed there.",
)
@signing
def promote(model: str, origin: str, target: str, proof_file: Path, order: Order, hand: Hand) -> None:
    """Let the contract of MODEL, which ran in one environment, be launched and armed under in this one.

    By an approver of the contract as it holds here. The event names what differs, what ran, and the head of its ledger.
    """
    from retrain_assets.cli.contracts import contract_of
    from retrain_assets.cli.opening import controller_of
    from retrain_assets.ledger import named
    from retrain_assets.release.contract_promotion import Proof
    from retrain_assets.reports.contract_diff import changes_between

    home = Home.from_environment()
    if home.environment != target:
        raise Refused(
            f"this process is of environment {home.environment}",
            where=model,
            remedy=f"set RETRAIN_ENVIRONMENT={target} and its home",
        )
    try:
        ran = Proof.from_json(json.loads(proof_file.read_text(encoding="utf-8")))
    except OSError as error:
        raise RetrainError(
            f"cannot be read ({error.strerror})", where=str(proof_file), remedy="write it with retrain contract proof"
        ) from error
    except ValueError as error:
        raise RetrainError("it is not JSON", where=str(proof_file), remedy="take what retrain contract proof printed") from error
    if ran.environment != origin:
        raise Refused(f"the proof is from {ran.environment}", where=str(proof_file), remedy=f"take one from {origin}")
    new, old = contract_of(model, environment=target), contract_of(model, environment=origin)
    controller = controller_of(home)
    case, terms = controller.contract_promotion_case(new, old, ran, order.actor, order.reason)
    hint = f"contract promote {model} --from {origin} --to {target} --proof {proof_file}"
    signed = signed_by(case, terms, hand, order, hint=hint)
    changes = [one.to_json() for one in changes_between(old, new)]
    event = controller.promote_contract(new, old, ran, changes, order.actor, order.reason, signed=signed)
    if order.as_json:
        say_json(event.to_json())
        return
    say(f"{model}: contract {new.digest[7:19]} holds in {target}, as {old.digest[7:19]} ran in {origin} (retrain {ran.retrain})")
    for one in changes:
        say(f"  {one['field']}: {one['before'] or '-'} -> {one['after'] or '-'} ({one['tendency']})")
    say(f"recorded: event {event.sequence} contract_promoted by {named(order.actor)}: {order.reason}")
