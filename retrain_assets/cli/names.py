"""Names the shell can complete: models, toggles and retrains of the home. Never fails, never makes a ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.release import ModelState


def complete_models(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Models something is recorded about."""
    return sorted(name for name in _states() if name.startswith(incomplete))


def complete_toggles(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Models and toggles, the newest toggles first."""
    states = _states()
    toggles = sorted((name for state in states.values() for name in state.toggles), reverse=True)
    return [name for name in (*sorted(states), *toggles) if name.startswith(incomplete)]


def complete_retrains(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Retrains of the model that stands before, the newest first."""
    state = _states().get(str(ctx.params.get("model") or ctx.params.get("toggle") or ""))
    return sorted((key for key in state.retrains if key.startswith(incomplete)), reverse=True) if state else []


def _states() -> Mapping[str, ModelState]:
    """What is recorded; nothing where it cannot be read, because a shell that completes must not print errors."""
    from retrain_assets.cli.opening import controller_of, is_recorded

    home = Home.from_environment()
    if not is_recorded(home):
        return {}
    from sqlalchemy.exc import SQLAlchemyError

    from retrain_assets.contract import RetrainError

    try:
        return controller_of(home).states()
    except (RetrainError, SQLAlchemyError, OSError):
        return {}
