"""Python paths of a contract as its folder writes them (``.features.build``) and as everybody else imports them."""

from __future__ import annotations

from typing import Any

from retrain_assets.contract.contract import Contract


def in_module(contract: Contract, module: str) -> Contract:
    """The contract with its relative Python paths made absolute in ``module``."""
    values: dict[str, Any] = contract.to_json()
    values["features"] = absolute(values["features"], module)
    values["source"]["schema"] = absolute(values["source"]["schema"], module)
    return Contract.model_validate(values)


def absolute(path: str, module: str) -> str:
    """A Python path as seen from outside its folder."""
    return module + path if path.startswith(".") else path
