"""What a source's URI says: environment variables in it, and whether it is a place on this machine or in object storage."""

from __future__ import annotations

import os
import re

from retrain_assets.contract import SourceError
from retrain_assets.home import Home

OBJECT_STORAGE = ("s3://", "s3a://", "abfss://", "abfs://", "az://", "adl://", "gs://")
"""How the URIs of object storage begin."""

_SETTINGS = ("AWS_", "AZURE_", "GOOGLE_")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def expand(uri: str) -> str:
    """A URI with ``$NAME`` and ``${NAME}`` replaced by environment variables; ``RETRAIN_HOME`` falls back to the default home.

    Raises:
        SourceError: when a variable is not set.
    """

    def value(match: re.Match[str]) -> str:
        name = match.group(1) or match.group(2)
        if name in os.environ:
            return os.environ[name]
        if name == "RETRAIN_HOME":
            return str(Home.from_environment().root)
        raise SourceError(f"environment variable {name} is not set", where=f"source.uri {uri}", remedy=f"set {name}")

    return _VARIABLE.sub(value, uri)


def is_object_storage(uri: str) -> bool:
    """Whether a URI names a place in object storage."""
    return uri.startswith(OBJECT_STORAGE)


def storage_options(uri: str) -> dict[str, str] | None:
    """The environment's settings for object storage (``AWS_…``, ``AZURE_…``, ``GOOGLE_…``); None for a place on this machine."""
    if not is_object_storage(uri):
        return None
    return {name: value for name, value in os.environ.items() if name.startswith(_SETTINGS)}
