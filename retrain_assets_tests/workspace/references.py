"""Dynamic value references such as ``{{job.parameters.order}}`` and ``{{secrets/scope/key}}``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

REFERENCE = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
SECRET = re.compile(r"\{\{\s*secrets/([^/{}]+)/([^/{}]+?)\s*\}\}")


class UnknownReference(Exception):
    """A reference that names nothing."""


def resolved(value: Any, values: Mapping[str, str]) -> Any:
    """A value with its references replaced, inside lists and objects too."""
    if isinstance(value, str):
        return REFERENCE.sub(lambda found: _value(found.group(1), values), value)
    if isinstance(value, list):
        return [resolved(one, values) for one in value]
    if isinstance(value, dict):
        return {name: resolved(one, values) for name, one in value.items()}
    return value


def with_secrets(environment: Mapping[str, str], secrets: Any) -> dict[str, str]:
    """Environment variables of a cluster with the secrets that they refer to."""
    return {
        name: SECRET.sub(lambda found: secrets.value(found.group(1), found.group(2)).decode(), value)
        for name, value in environment.items()
    }


def _value(name: str, values: Mapping[str, str]) -> str:
    if name not in values:
        raise UnknownReference(f"Invalid reference {{{{{name}}}}}: it names nothing in this run.")
    return values[name]
