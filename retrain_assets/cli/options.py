"""The options and arguments that many commands share, with their completion, and who acts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from retrain_assets.cli.names import complete_models, complete_retrains, complete_toggles
from retrain_assets.contract import Refused

if TYPE_CHECKING:
    from retrain_assets.ledger import Actor

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
reason_option = click.option("--reason", required=True, metavar="TEXT", help="Why, in one sentence; goes into the ledger.")
actor_option = click.option(
    "--as",
    "principal",
    envvar="RETRAIN_ACTOR",
    metavar="PRINCIPAL",
    help="Who acts, an e-mail address. [default: $RETRAIN_ACTOR]",
)
revision_option = click.option(
    "--revision", type=int, metavar="N", help="Only if the toggle is still at this revision. [default: the one just read]"
)
model_argument = click.argument("model", shell_complete=complete_models)
optional_model_argument = click.argument("model", required=False, shell_complete=complete_models)
retrain_argument = click.argument("retrain", shell_complete=complete_retrains)
optional_retrain_argument = click.argument("retrain", required=False, shell_complete=complete_retrains)
toggle_argument = click.argument("toggle", metavar="TOGGLE|MODEL", shell_complete=complete_toggles)


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody asked for: why, as whom, how to answer.

    Args:
        reason: why.
        principal: who, as given; None when nobody was named.
        as_json: answer in JSON.
        revision: revision the toggle must still have; None for the one just read.
    """

    reason: str
    principal: str | None
    as_json: bool
    revision: int | None = None

    @property
    def actor(self) -> Actor:
        """Who acts: a person by default, ``system:NAME`` for a machine.

        Raises:
            Refused: when nobody is named, or a person not by an e-mail address.
            RetrainError: when the text is not an actor.
        """
        from retrain_assets.ledger import Actor

        name = (self.principal or "").strip()
        if not name:
            raise Refused("nobody is named as the one who acts", remedy="add --as you@example.org or set RETRAIN_ACTOR")
        actor = Actor.parse(name) if ":" in name else Actor("person", name)
        if actor.kind == "person" and "@" not in actor.name:
            raise Refused(
                f"{actor.name!r} is not an e-mail address", remedy="write --as you@example.org, or system:NAME for a machine"
            )
        return actor


def changing(command: Callable[..., None]) -> Callable[..., None]:
    """The options of every command that changes something, handed to it as ``order``."""

    @reason_option
    @actor_option
    @json_option
    @wraps(command)
    def ordered(*args: Any, reason: str, principal: str | None, as_json: bool, revision: int | None = None, **more: Any) -> None:
        command(*args, order=Order(reason, principal, as_json, revision), **more)

    return ordered


def moving(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a command that moves a toggle."""
    return toggle_argument(revision_option(changing(command)))
