"""What of a contract must not leave the house: addresses of services written out in it, and passwords inside addresses."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

WITHHELD = "withheld"
"""What stands in an export where a secret stood."""

_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
_PASSWORD = re.compile(r"://([^/\s@]*:[^/\s@]+)@")


def secrets_of(contract: Mapping[str, Any]) -> frozenset[str]:
    """Texts that no file of an export may hold.

    These are the services the contract tells, where they are written out, the values of the variables they are named by, an
    address of a policy that carries a query, and user and password of any address.
    """
    services = list(_texts(contract.get("notify", [])))
    policy = contract.get("approval", {}).get("policy") or {}
    asked = [policy["url"]] if policy.get("url") else []
    found = {one for one in services if not _VARIABLE.fullmatch(one)} | {one for one in asked if "?" in one}
    found |= {os.environ.get(name, "") for one in (*services, *asked) for name in _VARIABLE.findall(one)}
    found |= {secret for text in _texts(contract) for secret in _PASSWORD.findall(text)}
    return frozenset(found - {""})


def cleared(value: Any, secrets: Iterable[str]) -> Any:
    """A JSON value whose texts hold none of the secrets."""
    if isinstance(value, Mapping):
        return {name: cleared(one, secrets) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [cleared(one, secrets) for one in value]
    if isinstance(value, str):
        for secret in sorted(secrets, key=len, reverse=True):
            value = value.replace(secret, WITHHELD)
    return value


def holds_secret(data: bytes, secrets: Iterable[str]) -> bool:
    """Whether a file holds one of them, as it is or as JSON writes it."""
    return any(one.encode() in data or json.dumps(one)[1:-1].encode() in data for one in secrets)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
