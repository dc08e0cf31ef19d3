"""What vouches for a person's order: their signature where the contract names keys, or the word that there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from retrain_assets.cli.options import Order
from retrain_assets.contract import RetrainError, SignatureError

if TYPE_CHECKING:
    from retrain_assets.contract import Approval
    from retrain_assets.release.orders import Credential
    from retrain_assets.release.signing import Case


def vouching(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a command that gives an order: which key signs it, or that none does."""
    key = click.option(
        "--key",
        type=click.Path(path_type=Path),
        envvar="RETRAIN_SSH_KEY",
        metavar="FILE",
        help="SSH key to sign with. [default: $RETRAIN_SSH_KEY, else the one of ssh-agent or ~/.ssh that the contract names]",
    )
    unsigned = click.option(
        "--unsigned", is_flag=True, help="No key at hand: do it all the same. It is recorded so, and a follow-up says so."
    )
    return key(unsigned(command))


def credential_for(case: Case, terms: Approval | None, order: Order, key: Path | None, unsigned: bool) -> Credential:
    """What vouches for an order.

    Args:
        case: what is ordered.
        terms: whose keys count; None where no contract names any.
        order: who gives it, and how to answer.
        key: the key file that was named; None: the person's own is looked for.
        unsigned: the person says that there is none.

    Raises:
        SignatureError: there is no key of theirs, or it does not sign; with the way out.
    """
    from retrain_assets.release.orders import NOTHING, WITHOUT, Credential, may_operate

    if unsigned:
        return Credential(unsigned=True)
    if terms is None or not terms.signed or not case.actor.is_person or not may_operate(terms, case.actor.name):
        return NOTHING
    from retrain_assets.cli.keys import Hand, signed_by

    try:
        return Credential(signed=signed_by(case, terms, Hand(key), order))
    except RetrainError as error:
        raise SignatureError(error.what, where=error.where, remedy=f"{error.remedy}; in an emergency add {WITHOUT}") from error
