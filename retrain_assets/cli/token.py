"""``retrain token …``: who may call the gateway, from where, and for what."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from retrain_assets.cli.names import complete_models
from retrain_assets.cli.options import Order, changing, json_option
from retrain_assets.cli.show import moment, say, say_json, say_table
from retrain_assets.contract import Refused, parse_duration
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.ledger import Actor
    from retrain_assets.release.access import Access, Token

SCOPES = ("predict", "outcomes", "operate")


def complete_tokens(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Tokens of the home; nothing where they cannot be read, because a shell that completes must not print errors."""
    from retrain_assets.cli.opening import is_recorded

    home = Home.from_environment()
    if not is_recorded(home):
        return []
    from sqlalchemy.exc import SQLAlchemyError

    from retrain_assets.contract import RetrainError

    try:
        return sorted(name for name in _access(home).tokens() if name.startswith(incomplete))
    except (RetrainError, SQLAlchemyError, OSError):
        return []


@click.group()
def token() -> None:
    """Tokens of the gateway's callers.

    Programs on the gateway's own machine may predict and send outcomes without one. A revoked token is refused from the next
    request on; no restart is needed.
    """


@token.command()
@click.argument("name")
@click.option(
    "--actor", "holder", required=True, metavar="PRINCIPAL", help="Whose it is: an e-mail address, or system:NAME for a service."
)
@click.option(
    "--scope", "scopes", required=True, multiple=True, type=click.Choice(SCOPES), help="What it allows; may be repeated."
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="MODEL",
    shell_complete=complete_models,
    help="A model it is for; may be repeated. [default: all]",
)
@click.option("--expires-after", metavar="DURATION", help="How long it holds, such as 90d. [default: until revoked]")
@changing
def add(
    name: str, holder: str, scopes: tuple[str, ...], models: tuple[str, ...], expires_after: str | None, order: Order
) -> None:
    """Give a token, and print its secret this once.

    predict: predictions, flag evaluations, toggles. outcomes: outcomes, exposures. operate: rollback, hold, kill switches.
    """
    from retrain_assets.release.access import Scope

    access = _opened()
    period = _duration(expires_after)
    if models:
        from retrain_assets.cli.opening import controller_of, known_model

        controller = controller_of(access.home)
        for model in models:
            known_model(controller, model)
    issued = access.add(
        name, _principal(holder), [Scope(one) for one in scopes], order.actor, order.reason, models=models, expires_after=period
    )
    if order.as_json:
        say_json({**_view(issued.token, access), "secret": issued.secret})
        return
    say(f"token {name}: {_words(issued.token)}")
    say(f"secret: {issued.secret}")
    say("it is kept nowhere and shown only now; send it as Authorization: Bearer …")


@token.command("list")
@json_option
def list_tokens(as_json: bool) -> None:
    """All tokens that are not revoked."""
    from retrain_assets.cli.opening import is_recorded

    views: list[dict[str, Any]] = []
    if is_recorded(Home.from_environment()):
        access = _opened()
        views = [_view(one, access) for one in access.tokens().values()]
    if as_json:
        say_json(views)
        return
    say_table(
        ["token", "actor", "scopes", "models", "expires", "added", "by", "reason"],
        [
            [
                view["token"],
                view["actor"],
                ", ".join(view["scopes"]),
                ", ".join(view["models"]) or "all",
                _expiry(view),
                moment(view["added_at"]),
                view["added_by"],
                view["reason"],
            ]
            for view in views
        ],
    )


@token.command()
@click.argument("name", shell_complete=complete_tokens)
@changing
def revoke(name: str, order: Order) -> None:
    """Take a token back."""
    access = _opened()
    taken = access.revoke(name, order.actor, order.reason)
    if order.as_json:
        say_json({**_view(taken, access), "revoked_by": str(order.actor), "reason": order.reason})
        return
    say(f"token {name}: revoked; it allowed {_words(taken)}")


def _opened() -> Access:
    """The access of the home, ``tokens.json`` brought up to the ledger: what a process that died left half-done is repaired."""
    from retrain_assets.cli.exits import tell
    from retrain_assets.cli.opening import require_record

    home = Home.from_environment()
    require_record(home)
    access = _access(home)
    if access.project():
        tell("note: tokens.json was not what the ledger says and was written again")
    return access


def _access(home: Home) -> Access:
    from retrain_assets.ledger import Ledger
    from retrain_assets.release.access import Access

    return Access(home, Ledger(home.ledger_url), home.clock)


def _principal(text: str) -> Actor:
    """Whose the token is: a person by e-mail address, or a service."""
    from retrain_assets.ledger import Actor

    actor = Actor.parse(text) if ":" in text else Actor("person", text)
    if actor.is_person and "@" not in actor.name:
        raise Refused(f"{actor.name!r} is not an e-mail address", where="--actor", remedy="or write system:NAME for a service")
    return actor


def _duration(text: str | None) -> timedelta | None:
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--expires-after") from error


def _view(token: Token, access: Access) -> dict[str, Any]:
    values = token.to_json()
    del values["sha256"]
    return {"token": values.pop("name"), **values, "expired": token.expired(access.clock.now())}


def _words(token: Token) -> str:
    models = f" of {', '.join(sorted(token.models))}" if token.models else ""
    until = f", until {moment(token.expires_at)}" if token.expires_at else ""
    return f"{', '.join(sorted(token.scopes))}{models} for {token.actor}{until}"


def _expiry(view: dict[str, Any]) -> str:
    expires_at: datetime | str | None = view["expires_at"]
    if expires_at is None:
        return "never"
    return f"{moment(expires_at)} (expired)" if view["expired"] else str(moment(expires_at))
