"""Opening a home: the ledger only where there is one, the controller reconciled. Heavy rooms are imported here, on use."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from retrain_assets.cli.exits import is_registry_fault, tell
from retrain_assets.contract import CustodyError, RetrainError, first_line
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.registry import Registry
    from retrain_assets.release import ModelState, ReleaseController

PATIENCE = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT": "30",
}
"""How long a command waits for a tracking server where the environment does not say: somebody sits before it. MLflow's own
measure, eight tries of 120 seconds with pauses, is for jobs."""


def is_recorded(home: Home) -> bool:
    """Whether the home has a ledger; a ledger that is not a file is taken to exist."""
    url = home.ledger_url
    return not url.startswith("sqlite:") or Path(url.removeprefix("sqlite:///").partition("?")[0]).exists()


def require_record(home: Home) -> None:
    """Refuse to go on without a ledger, so that a typing error in RETRAIN_HOME makes no new, empty one.

    Raises:
        RetrainError: naming where it was looked for.
    """
    if not is_recorded(home):
        raise RetrainError(
            "there is no ledger here",
            where=home.ledger_url,
            remedy="set RETRAIN_HOME to the home that has one",
        )


def open_controller(home: Home) -> ReleaseController:
    """The controller of a home; what a process that died left half-done is repaired first, and said on stderr."""
    require_record(home)
    controller = controller_of(home)
    try:
        repaired = controller.reconcile()
    except Exception as error:
        if not is_registry_fault(error):
            raise
        controller.states()  # a ledger that cannot be read is the fault itself, not a note about the registry
        if isinstance(error, CustodyError):
            tell(f"note: {error.line}")
        else:
            tell(f"note: the registry is behind the ledger ({first_line(error)}); run retrain reconcile when it answers")
        return controller
    for toggle in repaired.rolled_back:
        tell(f"note: {toggle} was rolled back, as an engaged kill switch demands")
    if repaired.flags:
        tell("note: flags.json was not what the ledger says and was written again")
    if repaired.registry:
        tell(f"note: the registry was behind the ledger and was brought up to it ({', '.join(repaired.registry)})")
    return controller


def open_at_once(home: Home) -> ReleaseController:
    """As :func:`open_controller` for what must not wait for a registry: nothing is repaired before it acts; acting repairs it."""
    require_record(home)
    return controller_of(home)


def controller_of(home: Home) -> ReleaseController:
    """The controller of a home, nothing repaired."""
    from retrain_assets.ledger import EvidenceStore, Ledger
    from retrain_assets.release import ReleaseController

    return ReleaseController(
        home, Ledger(home.ledger_url), EvidenceStore(home.evidence_dir), lambda: registry_of(home), home.clock
    )


def registry_of(home: Home) -> Registry:
    """The registry of a home."""
    from retrain_assets.registry import Registry

    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    return Registry.of(home)


def known_model(controller: ReleaseController, model: str) -> ModelState:
    """The state of a model something is recorded about.

    Raises:
        RetrainError: naming the models there are.
    """
    states = controller.states()
    if model not in states:
        raise RetrainError(f"nothing is recorded about model {model!r}", remedy=_instead(model, list(states), "models"))
    return states[model]


def known_or_contracted(controller: ReleaseController, model: str) -> None:
    """Refuse a model that neither the record nor the project around the working directory knows.

    Raises:
        RetrainError: naming the models there are.
    """
    from retrain_assets.cli.contracts import contract_of
    from retrain_assets.contract import ContractError

    if model in controller.states():
        return
    try:
        contract_of(model)
    except ContractError:
        known_model(controller, model)


def require_retrain(state: ModelState, retrain: str) -> None:
    """Refuse a retrain the ledger does not know.

    Raises:
        RetrainError: naming those there are.
    """
    if retrain not in state.retrains:
        raise RetrainError(
            f"there is no retrain {retrain!r}", where=state.model, remedy=_instead(retrain, list(state.retrains), "retrains")
        )


def _instead(written: str, known: list[str], what: str) -> str:
    close = get_close_matches(written, known, n=1)
    return f"did you mean {close[0]}?" if close else f"{what}: {', '.join(known) or 'none'}"
