"""A home is of one environment: the first that is named and changes something there; every other is refused afterwards."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

from retrain_assets.contract import Contract, Refused
from retrain_assets.contract.environments import DEFAULT_ENVIRONMENT
from retrain_assets.home import Home
from retrain_assets.ledger import EventKind
from retrain_assets.release.state import ModelState

SAY_WHERE = frozenset(
    {
        EventKind.RETRAIN_LAUNCHED,
        EventKind.CHAMPION_BOOTSTRAPPED,
        EventKind.TOGGLE_ARMED,
        EventKind.PROMOTED,
        EventKind.CONTRACT_PROMOTED,
    }
)
"""Events that name their environment in the payload; those of a process without one name none."""


def environment_of_home(home: Home) -> str | None:
    """The environment a home is of; None for one that no named environment has changed yet."""
    try:
        return home.environment_path.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


def require_environment(home: Home) -> None:
    """Refuse to work in the home of another environment.

    Raises:
        Refused: with both names, and what to set.
    """
    if (owner := environment_of_home(home)) not in (None, home.environment):
        _refuse(f"this home is of environment {owner}", str(home.root), owner, home)


def claim_environment(home: Home) -> None:
    """Write down, before the first change, which environment a home is of; two processes that do it at once agree.

    Raises:
        Refused: it is another's.
    """
    if home.environment != DEFAULT_ENVIRONMENT and not home.environment_path.exists():
        home.root.mkdir(parents=True, exist_ok=True)
        scratch = home.environment_path.with_name(f".environment.{uuid4().hex}")
        scratch.write_text(f"{home.environment}\n", encoding="utf-8")
        with suppress(FileExistsError):
            os.link(scratch, home.environment_path)
        scratch.unlink()
    require_environment(home)


def require_recorded_environment(state: ModelState, home: Home) -> None:
    """Refuse to go on with a model whose newest retrain, in a ledger that homes share, was launched in another environment.

    Raises:
        Refused: with both names.
    """
    recorded = next((one.environment for one in reversed(list(state.retrains.values())) if one.environment), None)
    if recorded not in (None, home.environment):
        _refuse(f"this ledger is of environment {recorded}", state.model, recorded, home)


def require_promoted(contract: Contract, state: ModelState, environment: str) -> None:
    """Refuse a contract that has to be promoted from another environment first and was not, exactly as it is.

    Raises:
        Refused: with the command.
    """
    if contract.promoted_from is None or contract.digest in state.promoted_contracts:
        return
    raise Refused(
        f"this contract ({contract.digest[7:19]}) was not promoted from {contract.promoted_from}",
        where=f"{contract.model} in {environment}",
        remedy=promoting(contract.model, contract.promoted_from, environment),
    )


def promoting(model: str, origin: str, environment: str) -> str:
    """The command that promotes a model's contract."""
    return f"retrain contract promote {model} --from {origin} --to {environment} --proof FILE"


def named(environment: str) -> Mapping[str, Any]:
    """What an event says of its environment."""
    return {} if environment == DEFAULT_ENVIRONMENT else {"environment": environment}


def _refuse(what: str, where: str, owner: str | None, home: Home) -> None:
    here = "RETRAIN_ENVIRONMENT is not set" if home.environment == DEFAULT_ENVIRONMENT else f"this process is {home.environment}"
    raise Refused(
        f"{what} and {here}",
        where=where,
        remedy=f"set RETRAIN_ENVIRONMENT={owner}, or RETRAIN_HOME and the URLs to those of {home.environment}",
    )
