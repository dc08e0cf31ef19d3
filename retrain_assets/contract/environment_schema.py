"""The JSON schema of what stands below ``environments``: that of a contract in which every field may be left out or be null."""

from __future__ import annotations

from typing import Any

from retrain_assets.contract.environments import MAY_DIFFER, PLACE_OF_SOURCE

SUFFIX = "InEnvironment"
_REFERENCE = "#/$defs/"


def with_environments(schema: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of a contract with that of its environments filled in, for editors and ``dg check yaml``."""
    own = {name: part for name, part in schema["properties"].items() if name in MAY_DIFFER}
    parts = {name + SUFFIX: _partial(part) for name, part in schema["$defs"].items()}
    source = parts["Source" + SUFFIX]
    source["properties"] = {name: part for name, part in source["properties"].items() if name in PLACE_OF_SOURCE}
    environment = {"type": ["object", "null"], "properties": _optional(own), "additionalProperties": False}
    environments = {**schema["properties"]["environments"], "additionalProperties": environment}
    environments.pop("patternProperties", None)
    used = {name: part for name, part in parts.items() if name in _reached(environment, parts)}
    return {
        **schema,
        "$defs": {**schema["$defs"], **used},
        "properties": {**schema["properties"], "environments": environments},
    }


def _partial(part: Any) -> Any:
    """A schema in which nothing is required, references lead to schemas of the same kind, and one of several may match."""
    if isinstance(part, list):
        return [_partial(one) for one in part]
    if not isinstance(part, dict):
        return part
    kept = {
        ("anyOf" if name == "oneOf" else name): value for name, value in part.items() if name not in ("required", "discriminator")
    }
    if isinstance(properties := kept.pop("properties", None), dict):
        kept["properties"] = _optional(properties)
    return {
        name: value + SUFFIX
        if name == "$ref"
        else value
        if name in ("properties", "default", "enum", "const", "examples")
        else _partial(value)
        for name, value in kept.items()
    }


def _optional(properties: dict[str, Any]) -> dict[str, Any]:
    """Fields that may be null, which takes them away."""
    return {
        name: {
            **{key: part[key] for key in ("description", "title") if key in part},
            "if": {"type": "null"},
            "else": _partial({key: value for key, value in part.items() if key not in ("description", "title")}),
        }
        for name, part in properties.items()
    }


def _reached(part: Any, parts: dict[str, Any], found: set[str] | None = None) -> set[str]:
    """Names of the schemas that one leads to."""
    found = set() if found is None else found
    if isinstance(part, dict):
        if isinstance(reference := part.get("$ref"), str) and (name := reference.removeprefix(_REFERENCE)) not in found:
            found.add(name)
            _reached(parts.get(name), parts, found)
        for value in part.values():
            _reached(value, parts, found)
    elif isinstance(part, list):
        for value in part:
            _reached(value, parts, found)
    return found
